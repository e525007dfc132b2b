"""What we hold under the UIDs that somebody names."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select

from appliance.stores.receipts_schema import deposits, instances
from appliance.stores.received import StoredInstance, stored_instance

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInstance:
    """An object that we received, and whether an archive has confirmed it."""

    stored: StoredInstance
    archived: bool


def held_instances(
    connection: Connection, sop_instance_uids: Collection[str]
) -> dict[str, tuple[HeldInstance, ...]]:
    """Give by SOP Instance UID every object that came under it."""
    archived = (
        select(deposits.c.number)
        .where(deposits.c.instance == instances.c.number, deposits.c.confirmed_at.is_not(None))
        .exists()
        .label("archived")
    )
    found: dict[str, tuple[HeldInstance, ...]] = {}
    for some in chunks(sorted(sop_instance_uids)):
        statement = (
            select(instances, archived)
            .where(instances.c.sop_instance_uid.in_(some))
            .order_by(instances.c.number)
        )
        for row in connection.execute(statement).mappings():
            one = HeldInstance(stored=stored_instance(row), archived=bool(row["archived"]))
            uid = one.stored.receipt.sop_instance_uid
            found[uid] = (*found.get(uid, ()), one)
    return found


def is_safe(held: Mapping[str, Sequence[HeldInstance]], uid: str) -> bool:
    """Whether everything that came under a UID is here or in an archive."""
    some = held.get(uid, ())
    return bool(some) and all(one.archived or one.stored.purged_at is None for one in some)


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Split what is too long for one statement."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]

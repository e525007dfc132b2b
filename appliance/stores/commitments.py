"""Requests for storage commitment: what scanners asked, what was decided, what was answered.

A request is answered with success only after it was committed here, so that no restart forgets it.
What is decided stands, and objects that were promised are marked in the same commit.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Engine, and_, delete, func, insert, or_, select, update

from appliance.stores.database import READ_ONLY
from appliance.stores.held import HeldInstance, chunks, held_instances, is_safe
from appliance.stores.receipts_schema import commitment_items, commitments, instances

COMMITTED: Final = 0
"""The reason of an object that was committed to; anything else is a failure reason (PS3.3 C.14)."""
NO_SUCH_OBJECT: Final = 0x0112


class CommitmentState(StrEnum):
    """How far a request is."""

    ASKED = "asked"
    DECIDED = "decided"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An object that a scanner names."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """A request, and for each object what was decided."""

    number: int
    transaction_uid: str
    calling_ae_title: str
    association: str
    """Opaque name of the association that brought it."""
    requested_at: float
    attempts: int
    """Tries to give the answer."""
    reasons: Mapping[Reference, int | None]
    """COMMITTED, a failure reason, or None while nothing was decided."""


class Commitments:
    """The store of requests for storage commitment.

    Parameters
    ----------
    engine
        Of the receipts store.
    clock
        Seconds since the epoch.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._reading = engine.execution_options(**{READ_ONLY: True})
        self._clock = clock

    # A scanner asks.

    def ask(
        self,
        references: Sequence[Reference],
        *,
        transaction_uid: str,
        calling_ae_title: str,
        association: str,
    ) -> bool:
        """Commit a request; False when other objects were asked for under its transaction UID.

        A request that comes again is answered again, whatever became of the first answer.

        Raises
        ------
        TransientError
            The store cannot take it now; nothing was committed.
        """
        values = {
            "association": association,
            "requested_at": self._clock(),
            "state": CommitmentState.ASKED,
            "attempts": 0,
            "next_try_at": None,
        }
        mine = and_(
            commitments.c.calling_ae_title == calling_ae_title,
            commitments.c.transaction_uid == transaction_uid,
        )
        with self._engine.begin() as connection:
            number = connection.scalar(select(commitments.c.number).where(mine))
            if number is not None:
                if set(_reasons(connection, [number])[number]) != set(references):
                    return False
                connection.execute(update(commitments).where(mine).values(**values))
                connection.execute(
                    delete(commitment_items).where(commitment_items.c.commitment == number)
                )
            else:
                number = connection.scalar(
                    insert(commitments)
                    .values(
                        transaction_uid=transaction_uid,
                        calling_ae_title=calling_ae_title,
                        **values,
                    )
                    .returning(commitments.c.number)
                )
            connection.execute(
                insert(commitment_items),
                [
                    {
                        "commitment": number,
                        "sop_class_uid": one.sop_class_uid,
                        "sop_instance_uid": one.sop_instance_uid,
                    }
                    for one in dict.fromkeys(references)
                ],
            )
        return True

    def covers(self, sop_instance_uids: Collection[str], calling_ae_title: str) -> bool:
        """Whether one request of a scanner names all of these objects."""
        wanted = sorted(set(sop_instance_uids))
        found: dict[int, int] = {}
        with self._reading.connect() as connection:
            for some in chunks(wanted):
                statement = (
                    select(
                        commitment_items.c.commitment,
                        func.count(func.distinct(commitment_items.c.sop_instance_uid)),
                    )
                    .join(commitments, commitments.c.number == commitment_items.c.commitment)
                    .where(
                        commitments.c.calling_ae_title == calling_ae_title,
                        commitment_items.c.sop_instance_uid.in_(some),
                    )
                    .group_by(commitment_items.c.commitment)
                )
                for number, n_named in connection.execute(statement):
                    found[number] = found.get(number, 0) + n_named
        return bool(wanted) and len(wanted) in found.values()

    # The node decides.

    def asked(self) -> tuple[Commitment, ...]:
        """Give requests on which nothing was decided, oldest first."""
        return self._commitments(commitments.c.state == CommitmentState.ASKED)

    def held(self, sop_instance_uids: Collection[str]) -> dict[str, tuple[HeldInstance, ...]]:
        """By SOP Instance UID every object that came under it."""
        with self._reading.connect() as connection:
            return held_instances(connection, sop_instance_uids)

    def decide(self, commitment: Commitment, reasons: Mapping[Reference, int]) -> None:
        """Record what is answered, and mark what was promised.

        What was purged since it was looked at is not promised, unless an archive has it.
        """
        now = self._clock()
        mine = commitments.c.number == commitment.number
        with self._engine.begin() as connection:
            state = connection.scalar(select(commitments.c.state).where(mine))
            if state != CommitmentState.ASKED:
                return
            promised = [one for one, reason in reasons.items() if reason == COMMITTED]
            held = held_instances(connection, {one.sop_instance_uid for one in promised})
            gone = {
                one: NO_SUCH_OBJECT for one in promised if not is_safe(held, one.sop_instance_uid)
            }
            for one, reason in (dict(reasons) | gone).items():
                connection.execute(
                    update(commitment_items)
                    .where(
                        commitment_items.c.commitment == commitment.number,
                        commitment_items.c.sop_class_uid == one.sop_class_uid,
                        commitment_items.c.sop_instance_uid == one.sop_instance_uid,
                    )
                    .values(reason=reason)
                )
            for some in chunks([one.sop_instance_uid for one in promised if one not in gone]):
                connection.execute(
                    update(instances)
                    .where(
                        instances.c.sop_instance_uid.in_(some), instances.c.promised_at.is_(None)
                    )
                    .values(promised_at=now)
                )
            connection.execute(
                update(commitments).where(mine).values(state=CommitmentState.DECIDED)
            )

    # The node answers.

    def due(self) -> tuple[Commitment, ...]:
        """Give requests that were decided and wait for an answer now, oldest first."""
        return self._commitments(self._is_due())

    def claim(self, numbers: Collection[int], *, lease_s: float) -> tuple[Commitment, ...]:
        """Take requests that are due; nobody else answers them until the lease runs out."""
        statement = (
            update(commitments)
            .where(commitments.c.number.in_(list(numbers)), self._is_due())
            .values(attempts=commitments.c.attempts + 1, next_try_at=self._clock() + lease_s)
            .returning(commitments.c.number)
        )
        with self._engine.begin() as connection:
            mine = [row.number for row in connection.execute(statement)]
        return self._commitments(commitments.c.number.in_(mine))

    def answered(self, number: int) -> None:
        """Record that a scanner took the answer; a request that came again meanwhile stays open."""
        self._set(number, state=CommitmentState.ANSWERED, answered_at=self._clock())

    def put_back(self, numbers: Collection[int], *, after_s: float) -> None:
        """Try again after a while."""
        for number in numbers:
            self._set(number, next_try_at=self._clock() + after_s)

    def wake(self) -> None:
        """Try everything at once that waits for another try; for the start of the node."""
        decided = commitments.c.state == CommitmentState.DECIDED
        with self._engine.begin() as connection:
            connection.execute(update(commitments).where(decided).values(next_try_at=None))

    # Shared by the above.

    def _set(self, number: int, **values: Any) -> None:
        decided = and_(
            commitments.c.number == number, commitments.c.state == CommitmentState.DECIDED
        )
        with self._engine.begin() as connection:
            connection.execute(update(commitments).where(decided).values(**values))

    def _is_due(self) -> Any:
        return and_(
            commitments.c.state == CommitmentState.DECIDED,
            or_(commitments.c.next_try_at.is_(None), commitments.c.next_try_at <= self._clock()),
        )

    def _commitments(self, condition: Any) -> tuple[Commitment, ...]:
        statement = select(commitments).where(condition).order_by(commitments.c.number)
        with self._reading.connect() as connection:
            rows = connection.execute(statement).mappings().all()
            reasons = _reasons(connection, [row["number"] for row in rows])
        names = [name for name in Commitment.__slots__ if name != "reasons"]
        return tuple(
            Commitment(reasons=reasons[row["number"]], **{name: row[name] for name in names})
            for row in rows
        )


def _reasons(
    connection: Connection, numbers: Sequence[int]
) -> dict[int, dict[Reference, int | None]]:
    found: dict[int, dict[Reference, int | None]] = {number: {} for number in numbers}
    for some in chunks(numbers):
        statement = (
            select(commitment_items)
            .where(commitment_items.c.commitment.in_(some))
            .order_by(commitment_items.c.number)
        )
        for row in connection.execute(statement):
            reference = Reference(
                sop_class_uid=row.sop_class_uid, sop_instance_uid=row.sop_instance_uid
            )
            found[row.commitment][reference] = row.reason
    return found

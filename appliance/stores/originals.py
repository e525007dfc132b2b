"""What became of the originals of a slide: promised, archived, awaited, purged."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, or_, select, update

from appliance.errors import ForbiddenAction
from appliance.stores.commitments import CommitmentState
from appliance.stores.database import READ_ONLY
from appliance.stores.receipts_schema import commitment_items, commitments, deposits, instances


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """One received object of a slide, as far as its fate goes."""

    number: int
    sha256: str
    size_bytes: int
    calling_ae_title: str
    promised: bool
    """We told a scanner that it may delete its own."""
    archived: bool
    """An archive has confirmed it."""
    awaited: bool
    """An archive route has not brought it over yet, or a scanner waits for our decision on it."""


class Originals:
    """Reads the fate of originals, and records their end.

    Parameters
    ----------
    engine
        Of the receipts store.
    clock
        Seconds since the epoch.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    def held(self, slide_id: str) -> tuple[Original, ...]:
        """Give what we hold of a slide, in the order in which it came."""
        with self._engine.execution_options(**{READ_ONLY: True}).connect() as connection:
            return _held(connection, slide_id)

    def end(
        self, slide_id: str, *, why_not: Callable[[Sequence[Original]], str | None]
    ) -> tuple[Original, ...]:
        """Record that we hold the originals of a slide no more; the receipts stay.

        The end is recorded before the content goes (`remove`): so no receipt ever speaks of
        content that is not there.

        Parameters
        ----------
        slide_id
            The slide.
        why_not
            Says why these may not be purged; None when they may.

        Raises
        ------
        ForbiddenAction
            They may not be purged.
        """
        with self._engine.begin() as connection:
            held = _held(connection, slide_id)
            reason = why_not(held)
            if reason is not None:
                raise ForbiddenAction(reason)
            numbers = [one.number for one in held]
            connection.execute(
                update(instances)
                .where(instances.c.number.in_(numbers))
                .values(purged_at=self._clock())
            )
        return held

    def remove(self, ended: Sequence[Original], unlink: Callable[[str], None]) -> None:
        """Remove content whose end is recorded; what came again since then stays.

        Parameters
        ----------
        ended
            From `end`.
        unlink
            Removes the content with this hash. Nobody takes it back while it runs.
        """
        with self._engine.begin() as connection:
            statement = select(instances.c.number).where(
                instances.c.number.in_([one.number for one in ended]),
                instances.c.purged_at.is_not(None),
            )
            gone = frozenset(connection.scalars(statement))
            for one in ended:
                if one.number in gone:
                    unlink(one.sha256)


def _held(connection: Connection, slide_id: str) -> tuple[Original, ...]:
    """Give what we hold of a slide, dismissed objects too."""
    mine = deposits.c.instance == instances.c.number
    archived = select(deposits.c.number).where(mine, deposits.c.confirmed_at.is_not(None)).exists()
    carried = select(deposits.c.number).where(mine, deposits.c.state == "waiting").exists()
    asked = (
        select(commitment_items.c.number)
        .join(commitments, commitments.c.number == commitment_items.c.commitment)
        .where(
            commitment_items.c.sop_instance_uid == instances.c.sop_instance_uid,
            commitments.c.state == CommitmentState.ASKED,
        )
        .exists()
    )
    statement = (
        select(
            instances.c.number,
            instances.c.sha256,
            instances.c.size_bytes,
            instances.c.calling_ae_title,
            instances.c.promised_at.is_not(None).label("promised"),
            archived.label("archived"),
            or_(carried, asked).label("awaited"),
        )
        .where(instances.c.slide_id == slide_id, instances.c.purged_at.is_(None))
        .order_by(instances.c.number)
    )
    return tuple(
        Original(
            number=row.number,
            sha256=row.sha256,
            size_bytes=row.size_bytes,
            calling_ae_title=row.calling_ae_title,
            promised=bool(row.promised),
            archived=bool(row.archived),
            awaited=bool(row.awaited),
        )
        for row in connection.execute(statement)
    )

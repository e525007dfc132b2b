"""What came in of late, by scanner and by association, and what scanners wait for.

Read again and again while somebody looks: each time only the objects that came since, and of what
came before the newest ones alone, so that a store of years costs no more than one of days.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Engine, Row, case, func, select

from appliance.facts import OpenCommitments
from appliance.stores.commitments import CommitmentState
from appliance.stores.database import READ_ONLY, schema_of
from appliance.stores.receipts_schema import commitments, instances

_LOOKED_BACK: Final = 20_000
"""Objects that came before the first look."""
_KEPT_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What an association brought so far."""

    ae_title: str
    """Calling AE title."""
    last_at: float
    n_objects: int
    n_bytes: int


class Intake:
    """Reads the receipts store for the screen. Thread-safe.

    Parameters
    ----------
    engine
        Of the receipts store.
    clock
        Seconds since the epoch.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._reading = engine.execution_options(**{READ_ONLY: True})
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: int | None = None
        self._received: dict[str, Received] = {}

    def received(self) -> dict[str, Received]:
        """Give what associations of the last day brought, by their opaque name."""
        with self._lock:
            for row in self._news():
                self._add(row)
            newest = self._newest_by_title()
            begins = self._clock() - _KEPT_S
            self._received = {
                name: one
                for name, one in self._received.items()
                if one.last_at >= begins or one is newest[one.ae_title]
            }
            return dict(self._received)

    def commitments(self) -> OpenCommitments:
        """Count the requests that are not answered."""
        state, undecided = commitments.c.state, commitments.c.state == CommitmentState.ASKED
        statement = select(
            func.coalesce(func.sum(case((undecided, 1), else_=0)), 0).label("undecided"),
            func.count().label("n"),
            func.min(commitments.c.requested_at).label("oldest_at"),
            func.min(commitments.c.next_try_at).label("next_try_at"),
        ).where(state.in_((CommitmentState.ASKED, CommitmentState.DECIDED)))
        with self._reading.connect() as connection:
            row = connection.execute(statement).one()
        return OpenCommitments(
            undecided=row.undecided,
            unanswered=row.n - row.undecided,
            oldest_at=row.oldest_at,
            next_try_at=row.next_try_at,
        )

    def schema(self) -> str:
        """Give the revision of the store's schema."""
        return schema_of(self._reading) or ""

    def _news(self) -> list[Row[tuple[str, str, int, int, float, int]]]:
        with self._reading.connect() as connection:
            if self._seen is None:
                newest = connection.scalar(select(func.max(instances.c.number))) or 0
                self._seen = max(0, newest - _LOOKED_BACK)
            statement = (
                select(
                    instances.c.association,
                    instances.c.calling_ae_title,
                    func.count().label("n_objects"),
                    func.sum(instances.c.size_bytes).label("n_bytes"),
                    func.max(instances.c.received_at).label("last_at"),
                    func.max(instances.c.number).label("newest"),
                )
                .where(instances.c.number > self._seen)
                .group_by(instances.c.association, instances.c.calling_ae_title)
            )
            rows = list(connection.execute(statement))
        self._seen = max((row.newest for row in rows), default=self._seen)
        return rows

    def _add(self, row: Row[tuple[str, str, int, int, float, int]]) -> None:
        before = self._received.get(row.association) or Received(
            ae_title=row.calling_ae_title, last_at=0.0, n_objects=0, n_bytes=0
        )
        self._received[row.association] = replace(
            before,
            last_at=max(before.last_at, row.last_at),
            n_objects=before.n_objects + row.n_objects,
            n_bytes=before.n_bytes + row.n_bytes,
        )

    def _newest_by_title(self) -> dict[str, Received]:
        found: dict[str, Received] = {}
        for one in self._received.values():
            known = found.get(one.ae_title)
            if known is None or one.last_at > known.last_at:
                found[one.ae_title] = one
        return found

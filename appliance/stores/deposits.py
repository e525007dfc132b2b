"""Originals on their way to archives: one row for each object and archive route.

The same leases as everywhere on the line: a row is claimed for a while, and what its holder says
counts only while the claim lives. A row is never removed, so that what an archive confirmed stays
known after our own copy is gone.
"""

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, and_, func, insert, literal, or_, select, update

from appliance.errors import ApplianceError, LeaseLost
from appliance.facts import ArchiveQueue
from appliance.stores.database import READ_ONLY
from appliance.stores.parcels import error_values
from appliance.stores.queues import archive_queue
from appliance.stores.receipts_schema import deposits, instances
from appliance.stores.received import StoredInstance, stored_instance


class DepositState(StrEnum):
    """How far an object is on its way to an archive."""

    WAITING = "waiting"
    SENT = "sent"
    CONFIRMED = "confirmed"
    ASIDE = "aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """An object that is to be brought to an archive."""

    number: int
    stored: StoredInstance
    attempts: int
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositClaim:
    """The right to some deposits of one route until the lease runs out."""

    token: str
    deposits: tuple[Deposit, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the deposits."""
        return tuple(one.number for one in self.deposits)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositStatus:
    """A deposit as an operator sees it: no identity, no original UID."""

    number: int
    route: str
    slide_id: str | None
    state: DepositState
    size_bytes: int
    retries: int
    error: str | None
    error_code: str | None
    next_step: str | None
    next_try_at: float | None
    updated_at: float


class Deposits:
    """The deposits of archive routes.

    Parameters
    ----------
    engine
        Of the receipts store.
    clock
        Seconds since the epoch.
    lease_s
        How long a claim lives without being renewed.
    """

    def __init__(
        self, engine: Engine, clock: Callable[[], float] = time.time, *, lease_s: float
    ) -> None:
        self._engine = engine
        self._reading = engine.execution_options(**{READ_ONLY: True})
        self._clock = clock
        self.lease_s = lease_s

    def queue(self, route: str) -> ArchiveQueue:
        """Count what an archive route has not brought over."""
        return archive_queue(self._reading, route)

    def newest(self) -> int:
        """Give the number of the newest object; 0 when there is none."""
        with self._reading.connect() as connection:
            return int(connection.scalar(select(func.max(instances.c.number))) or 0)

    def enqueue(self, route: str, *, after: int = 0) -> int:
        """Add a row for every object that the route does not have yet; give how many.

        Of different objects under one UID none is forwarded until an operator has chosen; what was
        dismissed or purged is not forwarded.

        Parameters
        ----------
        route
            Name of an archive route.
        after
            Objects up to this number are not looked at.
        """
        other = instances.alias("other")
        conflict = select(other.c.number).where(
            other.c.sop_instance_uid == instances.c.sop_instance_uid,
            other.c.number != instances.c.number,
            other.c.dismissed.is_(False),
        )
        known = select(deposits.c.number).where(
            deposits.c.route == route, deposits.c.instance == instances.c.number
        )
        new = and_(
            instances.c.number > after,
            instances.c.dismissed.is_(False),
            instances.c.purged_at.is_(None),
            ~known.exists(),
            ~conflict.exists(),
        )
        with self._reading.connect() as connection:  # an idle daemon never takes the write lock
            if connection.scalar(select(instances.c.number).where(new).limit(1)) is None:
                return 0
        now = self._clock()
        values = {
            "route": literal(route),
            "state": literal(DepositState.WAITING.value),
            "attempts": literal(0),
            "retries": literal(0),
            "updated_at": literal(now),
        }
        rows = select(instances.c.number, *values.values()).where(new).order_by(instances.c.number)
        statement = insert(deposits).from_select(["instance", *values], rows)
        with self._engine.begin() as connection:
            return int(connection.execute(statement).rowcount)

    def claim(self, route: str, state: DepositState, *, limit: int) -> DepositClaim | None:
        """Claim deposits that are due, oldest first; None when there is none.

        One that ended its daemon before is claimed alone, so that it can take no other with it.
        """
        now = self._clock()
        due = and_(
            deposits.c.route == route,
            deposits.c.state == state,
            or_(deposits.c.next_try_at.is_(None), deposits.c.next_try_at <= now),
            or_(deposits.c.lease_until.is_(None), deposits.c.lease_until <= now),
        )
        candidates = select(deposits.c.number, deposits.c.attempts).where(due)
        candidates = candidates.order_by(deposits.c.number).limit(limit)
        with self._reading.connect() as connection:  # an idle daemon never takes the write lock
            if connection.execute(candidates).first() is None:
                return None
        token = secrets.token_hex(8)
        with self._engine.begin() as connection:
            rows = connection.execute(candidates).all()
            suspect = [row.number for row in rows if row.attempts][:1]
            connection.execute(
                update(deposits)
                .where(deposits.c.number.in_(suspect or [row.number for row in rows]))
                .values(
                    attempts=deposits.c.attempts + 1,
                    lease_token=token,
                    lease_until=now + self.lease_s,
                )
            )
            statement = (
                select(
                    instances,
                    deposits.c.number.label("deposit"),
                    deposits.c.attempts,
                    deposits.c.retries,
                )
                .join(deposits, deposits.c.instance == instances.c.number)
                .where(deposits.c.lease_token == token)
                .order_by(deposits.c.number)
            )
            claimed = connection.execute(statement).mappings().all()
        if not claimed:
            return None
        return DepositClaim(
            token=token,
            deposits=tuple(
                Deposit(
                    number=row["deposit"],
                    stored=stored_instance(row),
                    attempts=row["attempts"],
                    retries=row["retries"],
                )
                for row in claimed
            ),
        )

    def renew(self, claim: DepositClaim) -> None:
        """Hold what is left of a claim for longer; raises LeaseLost when nothing is ours."""
        values = {"lease_until": self._clock() + self.lease_s}
        if not self._update(claim, claim.numbers, values):
            raise LeaseLost("Another process took the deposits over.")

    def sent(self, claim: DepositClaim, numbers: Sequence[int]) -> None:
        """Record that the peer took objects."""
        self._end(claim, numbers, DepositState.SENT, sent_at=self._clock())

    def confirmed(self, claim: DepositClaim, numbers: Sequence[int]) -> None:
        """Record that the archive committed to objects."""
        self._end(claim, numbers, DepositState.CONFIRMED, confirmed_at=self._clock())

    def put_back(
        self,
        claim: DepositClaim,
        numbers: Sequence[int],
        error: ApplianceError,
        *,
        state: DepositState,
        after_s: float,
    ) -> None:
        """Try objects again after a while, in the state that is named."""
        again = {
            "state": state,
            "attempts": 0,
            "retries": deposits.c.retries + 1,
            "next_try_at": self._clock() + after_s,
            **_FREE,
        }
        self._update(claim, numbers, again | error_values(error))

    def set_aside(self, claim: DepositClaim, numbers: Sequence[int], error: ApplianceError) -> None:
        """Give objects up until a person decides."""
        values = {"state": DepositState.ASIDE, **_FREE}
        self._update(claim, numbers, values | error_values(error))

    def give_back(self, claim: DepositClaim, numbers: Sequence[int]) -> None:
        """Let go of objects that were not tried."""
        self._update(claim, numbers, {"attempts": 0, **_FREE})

    def retry(self, route: str, numbers: Collection[int] | None = None) -> int:
        """Take up again what was given up, for an operator; give how many."""
        mine = and_(deposits.c.route == route, deposits.c.state == DepositState.ASIDE)
        if numbers is not None:
            mine = and_(mine, deposits.c.number.in_(list(numbers)))
        values = {
            "state": DepositState.WAITING,
            "attempts": 0,
            "retries": 0,
            "next_try_at": None,
            "updated_at": self._clock(),
        }
        with self._engine.begin() as connection:
            return int(connection.execute(update(deposits).where(mine).values(**values)).rowcount)

    def rows(
        self, route: str | None = None, *, states: Collection[DepositState] = tuple(DepositState)
    ) -> tuple[DepositStatus, ...]:
        """List deposits, oldest first."""
        statement = (
            select(deposits, instances.c.slide_id, instances.c.size_bytes)
            .join(instances, instances.c.number == deposits.c.instance)
            .where(deposits.c.state.in_(list(states)))
            .order_by(deposits.c.number)
        )
        if route is not None:
            statement = statement.where(deposits.c.route == route)
        names = [name for name in DepositStatus.__slots__ if name != "state"]
        with self._reading.connect() as connection:
            return tuple(
                DepositStatus(
                    state=DepositState(row["state"]), **{name: row[name] for name in names}
                )
                for row in connection.execute(statement).mappings()
            )

    def _end(
        self, claim: DepositClaim, numbers: Sequence[int], state: DepositState, **values: Any
    ) -> None:
        done = {"state": state, "attempts": 0, "retries": 0, "next_try_at": None, **_FREE}
        if not self._update(claim, numbers, done | _CLEAR | values):
            raise LeaseLost("Another process took the deposits over.")

    def _update(self, claim: DepositClaim, numbers: Sequence[int], values: dict[str, Any]) -> int:
        mine = and_(
            deposits.c.number.in_(list(numbers)),
            deposits.c.lease_token == claim.token,
            deposits.c.lease_until > self._clock(),
        )
        stamped = {"updated_at": self._clock()} | values
        with self._engine.begin() as connection:
            return int(connection.execute(update(deposits).where(mine).values(**stamped)).rowcount)


_FREE = {"lease_token": None, "lease_until": None}
_CLEAR = {"error": None, "error_code": None, "next_step": None}

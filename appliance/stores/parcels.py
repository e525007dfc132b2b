"""Parcels of the journal: what release handed to each route, and whether it arrived."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    and_,
    insert,
    or_,
    select,
    update,
)

from appliance.errors import ApplianceError, LeaseLost, LimitReached
from appliance.facts import RouteQueue
from appliance.line import Parcel, ParcelClaim, Stage, State
from appliance.stores.journal_schema import events, parcels, slides
from appliance.stores.parcel_fates import ANEW, ParcelFates
from appliance.stores.queues import route_queue


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingParcel:
    """A parcel that has not arrived yet; times are seconds since the epoch, UTC."""

    parcel_id: str
    route: str
    kind: str
    slide_id: str | None
    state: State
    retries: int
    error: str | None
    error_code: str | None
    next_step: str | None
    next_try_at: float | None
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredParcel:
    """A parcel that answers came back for, which release has not collected."""

    parcel_id: str
    route: str
    folder: str
    """Name below `answers/<route>/`, as the journal says."""


class Parcels(ParcelFates):
    """Claims of parcels, with the same leases as slides.

    A parcel row tells a deliverer where to look; what may be sent is decided by the signed manifest
    in the folder alone.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float], *, lease_s: float) -> None:
        super().__init__(engine, clock)
        self.lease_s = lease_s

    def add(self, connection: Connection, parcel: Parcel) -> None:
        """Add a parcel within the commit of the release stage.

        One that is there already stays; when it does not arrive as it is, its new folder counts.
        """
        now = self._clock()
        known = parcels.c.parcel_id == parcel.parcel_id
        later = {} if parcel.not_before is None else error_values(LimitReached(_USED_UP))
        values = ANEW | later | {"folder": parcel.folder, "next_try_at": parcel.not_before}
        if connection.scalar(select(parcels.c.parcel_id).where(known)):
            stuck = known & parcels.c.state.in_((State.ASIDE, State.WAITING))
            changed = update(parcels).where(stuck).values(**values, updated_at=now)
            if connection.execute(changed.returning(parcels.c.parcel_id)).first() is None:
                return
        else:
            connection.execute(
                insert(parcels).values(
                    parcel_id=parcel.parcel_id,
                    route=parcel.route,
                    kind=parcel.kind,
                    slide_id=parcel.slide_id,
                    created_at=now,
                    updated_at=now,
                    **values,
                )
            )
        if parcel.audit:
            connection.execute(
                insert(events).values(
                    at=now,
                    actor="release",
                    slide_id=parcel.slide_id,
                    kind="parcel",
                    text=parcel.audit,
                )
            )

    def queue(self, route: str) -> RouteQueue:
        """Count what a route has not brought over."""
        return route_queue(self._reader, route)

    def known(self, parcel_id: str) -> bool:
        """Whether a parcel of this id was handed over before."""
        with self._reader.connect() as connection:
            statement = select(parcels.c.parcel_id).where(parcels.c.parcel_id == parcel_id)
            return connection.scalar(statement) is not None

    def state(self, parcel_id: str) -> State | None:
        """Tell how far a parcel is; None when it was never handed over."""
        with self._reader.connect() as connection:
            statement = select(parcels.c.state).where(parcels.c.parcel_id == parcel_id)
            state = connection.scalar(statement)
        return None if state is None else State(state)

    def claim(self, route: str) -> ParcelClaim | None:
        """Claim the parcel of a route that waited longest; parcels of held slides stay.

        Those that were put back come after new ones, so that a report never waits behind others
        that the peer leaves unanswered.
        """
        now = self._clock()
        token = secrets.token_hex(8)
        due = or_(parcels.c.next_try_at.is_(None), parcels.c.next_try_at <= now)
        held = select(slides.c.slide_id).where(slides.c.state == State.HELD)
        candidate = (
            select(parcels.c.parcel_id)
            .where(
                parcels.c.route == route,
                parcels.c.state.in_((State.WAITING, State.RUNNING)),  # what the index is by
                or_(parcels.c.slide_id.is_(None), parcels.c.slide_id.not_in(held)),
                or_(
                    and_(parcels.c.state == State.WAITING, due),
                    and_(parcels.c.state == State.RUNNING, parcels.c.lease_until <= now),
                ),
            )
            .order_by(parcels.c.retries > 0, parcels.c.created_at)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        statement = (
            update(parcels)
            .where(parcels.c.parcel_id == candidate)
            .values(
                state=State.RUNNING,
                attempts=parcels.c.attempts + 1,
                lease_token=token,
                lease_until=now + self.lease_s,
                updated_at=now,
            )
            .returning(
                parcels.c.parcel_id,
                parcels.c.route,
                parcels.c.kind,
                parcels.c.folder,
                parcels.c.slide_id,
                parcels.c.attempts,
            )
        )
        with self._reader.connect() as connection:  # an idle deliverer never takes the write lock
            if connection.execute(select(candidate)).scalar() is None:
                return None
        with self._engine.begin() as connection:
            row = connection.execute(statement).mappings().first()
        if row is None:
            return None
        values = dict(row)
        attempts = int(values.pop("attempts"))
        return ParcelClaim(parcel=Parcel(**values), token=token, attempts=attempts)

    def renew(self, claim: ParcelClaim) -> None:
        """Hold a parcel for longer; raises LeaseLost when it is no longer ours."""
        with self._engine.begin() as connection:
            if not self._update(connection, claim, lease_until=self._clock() + self.lease_s):
                raise LeaseLost("Another deliverer took the parcel over.")

    def delivered(self, claim: ParcelClaim, *, words: str, answers: str | None = None) -> None:
        """Record that a parcel arrived; the slide is done when all its parcels are.

        `answers` names the published folder in `answers/<route>/` of what came back for it.
        """
        with self._engine.begin() as connection:
            values = {"error": None, "error_code": None, "next_step": None, "answers": answers}
            kept = self._update(connection, claim, state=State.DONE, lease_token=None, **values)
            if not kept:
                raise LeaseLost("Another deliverer took the parcel over.")
            self._note(connection, claim, "delivered", words)
            if claim.parcel.slide_id is not None:
                self.finish_slide(connection, claim.parcel.slide_id)

    def collected(self, answered: AnsweredParcel) -> None:
        """Record that release needs the answers to a parcel no more."""
        with self._engine.begin() as connection:
            connection.execute(
                update(parcels)
                .where(
                    parcels.c.parcel_id == answered.parcel_id,
                    parcels.c.answers == answered.folder,
                )
                .values(answers=None)
            )

    def put_back(self, claim: ParcelClaim, error: ApplianceError, *, after_s: float) -> None:
        """Try a parcel again after a while."""
        with self._engine.begin() as connection:
            kept = self._update(
                connection,
                claim,
                state=State.WAITING,
                attempts=0,
                retries=parcels.c.retries + 1,
                next_try_at=self._clock() + after_s,
                lease_token=None,
                **error_values(error),
            )
            if kept:
                self._note(connection, claim, "delivery-put-back", str(error))

    def set_aside(self, claim: ParcelClaim, error: ApplianceError) -> None:
        """Give a parcel up until a person decides; its slide is set aside with it."""
        with self._engine.begin() as connection:
            kept = self._update(
                connection, claim, state=State.ASIDE, lease_token=None, **error_values(error)
            )
            if kept and claim.parcel.slide_id is not None:
                connection.execute(
                    update(slides)
                    .where(
                        slides.c.slide_id == claim.parcel.slide_id,
                        slides.c.stage == Stage.DELIVER,
                    )
                    .values(
                        state=State.ASIDE,
                        updated_at=self._clock(),
                        words="",
                        **error_values(error),
                    )
                )
            if kept:
                self._note(connection, claim, "delivery-set-aside", str(error))

    def answered(self) -> tuple[AnsweredParcel, ...]:
        """Give the parcels whose answers wait to be collected, oldest first."""
        statement = (
            select(parcels.c.parcel_id, parcels.c.route, parcels.c.answers.label("folder"))
            .where(parcels.c.answers.is_not(None))
            .order_by(parcels.c.updated_at)
        )
        with self._reader.connect() as connection:
            rows = connection.execute(statement).mappings().all()
        return tuple(AnsweredParcel(**row) for row in rows)

    def retries(self, claim: ParcelClaim) -> int:
        """How often a parcel was put back."""
        statement = select(parcels.c.retries).where(parcels.c.parcel_id == claim.parcel.parcel_id)
        with self._reader.connect() as connection:
            return int(connection.scalar(statement) or 0)

    def pending(self, route: str | None = None) -> tuple[PendingParcel, ...]:
        """Give what has not arrived yet, oldest first: waiting, on its way, or set aside."""
        columns = [parcels.c[one.name] for one in fields(PendingParcel)]
        statement = select(*columns).where(parcels.c.state != State.DONE)
        if route is not None:
            statement = statement.where(parcels.c.route == route)
        with self._reader.connect() as connection:
            rows = connection.execute(statement.order_by(parcels.c.created_at)).mappings().all()
        return tuple(PendingParcel(**{**row, "state": State(row["state"])}) for row in rows)

    def _update(self, connection: Connection, claim: ParcelClaim, **values: Any) -> bool:
        live = and_(
            parcels.c.parcel_id == claim.parcel.parcel_id,
            parcels.c.lease_token == claim.token,
            parcels.c.lease_until > self._clock(),
        )
        values.setdefault("updated_at", self._clock())
        result = connection.execute(update(parcels).where(live).values(**values))
        assert isinstance(result, CursorResult)  # noqa: S101  for the type checker
        return bool(result.rowcount)

    def _note(self, connection: Connection, claim: ParcelClaim, kind: str, words: str) -> None:
        connection.execute(
            insert(events).values(
                at=self._clock(),
                actor=f"deliver@{claim.parcel.route}",
                slide_id=claim.parcel.slide_id,
                kind=kind,
                text=words,
            )
        )


_USED_UP = "The limit of this route for today is used up; it leaves on a later day."


def error_values(error: ApplianceError) -> dict[str, Any]:
    """Columns that tell an operator what went wrong and what to do about it."""
    return {"error": str(error), "error_code": error.code, "next_step": error.next_step}

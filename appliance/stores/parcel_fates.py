"""What becomes of parcels that did not arrive: tried again, signed anew, or withdrawn."""

from collections.abc import Callable

from sqlalchemy import Connection, Engine, and_, delete, func, insert, not_, select, update

from appliance.errors import PermissionEnded
from appliance.line import Stage, State
from appliance.messages import SET_ASIDE_BY_OPERATOR
from appliance.stores.database import READ_ONLY
from appliance.stores.journal_schema import events, parcels, slides

LOST = and_(parcels.c.state == State.ASIDE, parcels.c.error_code == PermissionEnded.code)
"""Given up, and only release can let it leave again."""
ANEW = {
    "state": State.WAITING,
    "attempts": 0,
    "retries": 0,
    "next_try_at": None,
    "error": None,
    "error_code": None,
    "next_step": None,
}
"""New values of a parcel that waits to be tried again."""


class ParcelFates:
    """Parcels that did not arrive, and the slides that they keep from being done."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**{READ_ONLY: True})
        self._clock = clock

    def retry(self, route: str, parcel_id: str = "", *, operator: str) -> int:
        """Put parcels that wait or were set aside back in the queue now; tell how many.

        A slide with one among them that lost its permission goes back to release instead.

        Parameters
        ----------
        route
            Only parcels of this route.
        parcel_id
            Only this one; empty means all of the route that were set aside or wait.
        operator
            Who asks, for the audit event.
        """
        chosen = and_(parcels.c.route == route, parcels.c.state.in_((State.ASIDE, State.WAITING)))
        if parcel_id:
            chosen = and_(chosen, parcels.c.parcel_id == parcel_id)
        with self._engine.begin() as connection:
            lost = and_(chosen, LOST, parcels.c.slide_id.is_not(None))
            back = connection.execute(select(parcels.c.slide_id).where(lost)).all()
            for slide_id in {row.slide_id for row in back}:
                self._back_to_release(connection, slide_id)
            rows = connection.execute(
                update(parcels)
                .where(chosen, not_(lost))
                .values(**ANEW, updated_at=self._clock())
                .returning(parcels.c.slide_id)
            ).all()
            for slide_id in dict.fromkeys(row.slide_id for row in (*back, *rows)):
                if slide_id is not None:
                    self._revive_slide(connection, slide_id)
                words = "A delivery that had not succeeded was put back in the queue."
                connection.execute(
                    insert(events).values(
                        at=self._clock(),
                        actor=operator,
                        slide_id=slide_id,
                        kind="delivery-retry",
                        text=f"{words} Route {route}.",
                    )
                )
        return len(rows) + len(back)

    def _back_to_release(self, connection: Connection, slide_id: str) -> None:
        """Let release sign a slide's products anew, unless a person has stopped the slide."""
        at_deliver = and_(slides.c.slide_id == slide_id, slides.c.stage == Stage.DELIVER)
        by_person = slides.c.error_code.is_not_distinct_from(SET_ASIDE_BY_OPERATOR)
        connection.execute(
            update(slides)
            .where(at_deliver, slides.c.state.in_((State.ASIDE, State.WAITING)), not_(by_person))
            .values(
                stage=Stage.RELEASE,
                state=State.WAITING,
                attempts=0,
                retries=0,
                next_try_at=None,
                updated_at=self._clock(),
                error=None,
                error_code=None,
                next_step=None,
            )
        )

    def _revive_slide(self, connection: Connection, slide_id: str) -> None:
        """Let a slide wait again that was set aside because of its parcels, not by a person."""
        given_up = select(parcels.c.parcel_id).where(
            parcels.c.slide_id == slide_id, parcels.c.state == State.ASIDE
        )
        if connection.execute(given_up.limit(1)).first() is not None:
            return
        connection.execute(
            update(slides)
            .where(
                slides.c.slide_id == slide_id,
                slides.c.stage == Stage.DELIVER,
                slides.c.state == State.ASIDE,
                slides.c.error_code != SET_ASIDE_BY_OPERATOR,
            )
            .values(
                state=State.WAITING,
                updated_at=self._clock(),
                error=None,
                error_code=None,
                next_step=None,
            )
        )

    def lost_permission(self, connection: Connection, slide_id: str) -> bool:
        """Whether a parcel of a slide was given up that only release can let leave again."""
        ended = select(parcels.c.parcel_id).where(parcels.c.slide_id == slide_id, LOST)
        return connection.execute(ended.limit(1)).first() is not None

    def lost_tiles(self, route: str) -> bool:
        """Whether a parcel of tiles on a route was given up that may not leave as it is."""
        ended = select(parcels.c.parcel_id).where(LOST, parcels.c.slide_id.is_(None))
        with self._reader.connect() as connection:
            found = connection.execute(ended.where(parcels.c.route == route).limit(1)).first()
        return found is not None

    def withdraw_tiles(self, connection: Connection, route: str) -> None:
        """Forget the parcels of tiles on a route that may not leave as they are."""
        lost = and_(LOST, parcels.c.slide_id.is_(None), parcels.c.route == route)
        connection.execute(delete(parcels).where(lost))

    def withdraw(self, connection: Connection, slide_id: str) -> None:
        """Forget what may not leave of a slide that release has just signed anew.

        It was of an earlier revision, or the policy lets nothing leave in its place.
        """
        gone = delete(parcels).where(parcels.c.slide_id == slide_id, LOST)
        for row in connection.execute(gone.returning(parcels.c.route)).all():
            connection.execute(
                insert(events).values(
                    at=self._clock(),
                    actor="release",
                    slide_id=slide_id,
                    kind="withdrawn",
                    text=f"A parcel on route {row.route} was withdrawn: it may not leave any more.",
                )
            )

    def retry_slide(self, connection: Connection, slide_id: str) -> None:
        """Put a slide's parcels that were given up or are waiting back in the queue now."""
        connection.execute(
            update(parcels)
            .where(
                parcels.c.slide_id == slide_id,
                parcels.c.state.in_((State.ASIDE, State.WAITING)),
            )
            .values(**ANEW)
        )

    def finish_slide(self, connection: Connection, slide_id: str) -> None:
        """Mark a slide at deliver as done when none of its parcels is still open."""
        still_open = select(func.count()).where(
            parcels.c.slide_id == slide_id, parcels.c.state != State.DONE
        )
        if connection.scalar(still_open):
            return
        connection.execute(
            update(slides)
            .where(
                slides.c.slide_id == slide_id,
                slides.c.stage == Stage.DELIVER,
                slides.c.state != State.HELD,
            )
            .values(
                state=State.DONE,
                progress=1.0,
                words="",
                updated_at=self._clock(),
                error=None,
                error_code=None,
                next_step=None,
            )
        )

"""What of the journal may need a person who is not at the screen: slides, and routes that fail."""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, or_, select

from appliance.errors import LimitReached
from appliance.line import SlideStatus, State, Verdict
from appliance.stores.journal_rows import SlideRows
from appliance.stores.journal_schema import parcels, slides
from appliance.stores.sound_rows import is_moment


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteNeed:
    """What does not leave on a route; times are seconds since the epoch, UTC."""

    route: str
    failing: int = 0
    """Parcels that were tried in vain and wait to be tried again."""
    failing_since: float | None = None
    """When the oldest of them was made."""
    refused: int = 0
    """Parcels of no single slide that were set aside; of a slide, the slide is set aside."""
    arrived_at: float | None = None
    """When the newest parcel arrived, if it was lately."""


class Needs(SlideRows):
    """Finds what may need a person."""

    def unsettled(self, *, since: float) -> tuple[SlideStatus, ...]:
        """Give slides that are not done, or are to be scanned again by a verdict since then."""
        rescan = and_(
            slides.c.verdict == Verdict.RESCAN,
            slides.c.mark.is_(None),
            slides.c.verdict_at >= since,
        )
        statement = select(slides.c.slide_id).where(or_(slides.c.state != State.DONE, rescan))
        with self._reader.connect() as connection:
            found = connection.scalars(statement.order_by(slides.c.created_at)).all()
        return self.shown.read_slides(found)

    def superseded(self) -> frozenset[str]:
        """Give the ids of slides whose container was scanned again since."""
        statement = select(slides.c.supersedes).where(slides.c.supersedes.is_not(None))
        with self._reader.connect() as connection:
            return frozenset(found for found in connection.scalars(statement) if found)

    def route_needs(self, *, since: float) -> tuple[RouteNeed, ...]:
        """Give the routes on which something does not leave; `since` is how old lately may be."""
        with self._reader.connect() as connection:
            failing = _failing(connection)
            refused = _refused(connection)
            arrived = _arrived(connection, since)
        return tuple(
            RouteNeed(
                route=route,
                failing=failing.get(route, (0, None))[0],
                failing_since=failing.get(route, (0, None))[1],
                refused=refused.get(route, 0),
                arrived_at=arrived.get(route),
            )
            for route in sorted(failing.keys() | refused.keys())
        )


def _failing(connection: Connection) -> dict[str, tuple[int, float | None]]:
    in_vain = and_(
        parcels.c.state.in_((State.WAITING, State.RUNNING)),
        parcels.c.retries > 0,
        func.coalesce(parcels.c.error_code, "") != LimitReached.code,
    )
    statement = select(parcels.c.route, func.count(), func.min(parcels.c.created_at))
    rows = connection.execute(statement.where(in_vain).group_by(parcels.c.route)).all()
    return {
        route: (number, first)
        for route, number, first in rows
        if isinstance(route, str) and is_moment(first)
    }


def _refused(connection: Connection) -> dict[str, int]:
    shard = and_(parcels.c.state == State.ASIDE, parcels.c.slide_id.is_(None))
    statement = select(parcels.c.route, func.count()).where(shard).group_by(parcels.c.route)
    return {row[0]: row[1] for row in connection.execute(statement) if isinstance(row[0], str)}


def _arrived(connection: Connection, since: float) -> dict[str, float]:
    lately = and_(parcels.c.updated_at >= since, parcels.c.state == State.DONE)
    statement = select(parcels.c.route, func.max(parcels.c.updated_at)).where(lately)
    return {row.route: row[1] for row in connection.execute(statement.group_by(parcels.c.route))}

"""What the screen, the status command and the sweeper read of the journal."""

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select

from appliance.line import DiskSample, Event, Heartbeat, Pause, SlideStatus, Stage
from appliance.stores.database import schema_of
from appliance.stores.figures import Throughput, throughput
from appliance.stores.journal_schema import (
    disk_samples,
    events,
    heartbeats,
    parcels,
    pauses,
    products,
    slides,
)
from appliance.stores.slide_reading import SlideReading
from appliance.stores.sound_rows import is_moment

MOST_SCANS = 50
"""Of one container: a chain that is longer is not followed to its end."""


class Board(SlideReading):
    """A reader of the journal; it never takes the write lock and never changes a row."""

    def events(
        self, *, slide_id: str | None = None, after: int = 0, newest: int = 1000
    ) -> tuple[Event, ...]:
        """Give events with a number above `after`, oldest first, at most the `newest` of them."""
        statement: Select[tuple[int, float, str, str | None, str, str]] = select(
            events.c.number,
            events.c.at,
            events.c.actor,
            events.c.slide_id,
            events.c.kind,
            events.c.text,
        ).where(events.c.number > after)
        if slide_id is not None:
            statement = statement.where(events.c.slide_id == slide_id)
        with self._engine.connect() as connection:
            statement = statement.order_by(events.c.number.desc()).limit(newest)
            rows = self._rows(connection, statement, "event")
            return tuple(Event(**dict(row)) for row in reversed(rows))

    def heartbeats(self) -> tuple[Heartbeat, ...]:
        """Give when each daemon was last seen, by name."""
        with self._engine.connect() as connection:
            statement = select(heartbeats).order_by(heartbeats.c.daemon)
            rows = self._rows(connection, statement, "heartbeat")
            return tuple(Heartbeat(**dict(row)) for row in rows)

    def pauses(self) -> tuple[Pause, ...]:
        """Give the daemons that are paused, by name."""
        with self._engine.connect() as connection:
            rows = self._rows(connection, select(pauses).order_by(pauses.c.daemon), "pause")
            return tuple(Pause(**dict(row)) for row in rows)

    def disk_samples(self, *, since: float) -> tuple[DiskSample, ...]:
        """Give how full the disk was since then, oldest first."""
        statement = select(disk_samples).where(disk_samples.c.at >= since)
        with self._engine.connect() as connection:
            rows = self._rows(connection, statement.order_by(disk_samples.c.at), "sample")
            return tuple(DiskSample(**dict(row)) for row in rows)

    def throughput(self, *, since: float, bin_s: float, n_bins: int) -> Throughput:
        """Count what came, was judged and arrived since then, in bins of time."""
        return throughput(self._engine, since=since, bin_s=bin_s, n_bins=n_bins)

    def schema(self) -> str:
        """Give the revision of the journal's schema."""
        return schema_of(self._engine) or ""

    def folder(self, slide_id: str, stage: Stage) -> str | None:
        """Name of the folder that a stage published for a slide's newest revision that has one."""
        statement = (
            select(products.c.folder)
            .where(products.c.slide_id == slide_id, products.c.stage == stage)
            .order_by(products.c.revision.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            return connection.scalar(statement)

    def earlier_findings(self, slide_id: str, revision: int) -> str | None:
        """Name of the findings folder of the newest revision before this one that has one."""
        chosen = and_(
            products.c.slide_id == slide_id,
            products.c.stage == Stage.INFER,
            products.c.revision < revision,
        )
        statement = select(products.c.folder).where(chosen).order_by(products.c.revision.desc())
        with self._engine.connect() as connection:
            return connection.scalar(statement.limit(1))

    def superseded_report(self, slide_id: str, revision: int) -> tuple[str, str] | None:
        """Slide id and folder of the report that a revision's report takes the place of.

        The newest earlier one that was handed to a route: of this slide, else of the earlier scan
        of the same container. What never left supersedes nothing that a PACS has.
        """
        earlier_scan = select(slides.c.supersedes).where(slides.c.slide_id == slide_id)
        own = and_(products.c.slide_id == slide_id, products.c.revision < revision)
        before = products.c.slide_id == earlier_scan.scalar_subquery()
        with self._engine.connect() as connection:
            for condition in (own, before):
                row = connection.execute(_released_reports(condition)).first()
                if row is not None:
                    return (row.slide_id, row.folder)
        return None

    def scans(self, slide_id: str) -> tuple[SlideStatus, ...]:
        """Give every scan of the container of a slide that the line knows, the oldest first."""
        links = select(slides.c.slide_id, slides.c.supersedes)
        found, new = {slide_id}, {slide_id}
        with self._engine.connect() as connection:
            while new and len(found) < MOST_SCANS:
                near = or_(slides.c.slide_id.in_(new), slides.c.supersedes.in_(new))
                rows = connection.execute(links.where(near)).all()
                new = {
                    each for row in rows for each in row if each and isinstance(each, str)
                } - found
                found |= new
        return tuple(sorted(self.read_slides(tuple(found)), key=lambda one: one.created_at))

    def stage_times(self, slide_id: str, revision: int) -> dict[Stage, float]:
        """When each stage of a revision was committed."""
        statement = select(products.c.stage, products.c.committed_at).where(
            products.c.slide_id == slide_id, products.c.revision == revision
        )
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
        times = {row.stage: row.committed_at for row in rows if is_moment(row.committed_at)}
        return {stage: times[stage] for stage in Stage if stage in times}

    def named_folders(self, stage: str) -> frozenset[str]:
        """Folders of a stage, or of the siding, that the journal names; the rest may be swept."""
        with self._engine.connect() as connection:
            found = connection.scalars(select(products.c.folder).where(products.c.stage == stage))
            return frozenset(found)

    def named_parcels(self, route: str) -> frozenset[str]:
        """Folders of a route's outbox that the journal names."""
        with self._engine.connect() as connection:
            found = connection.scalars(select(parcels.c.folder).where(parcels.c.route == route))
            return frozenset(found)

    def named_answers(self, route: str) -> frozenset[str]:
        """Folders of answers on a route that release has not collected."""
        chosen = and_(parcels.c.route == route, parcels.c.answers.is_not(None))
        with self._engine.connect() as connection:
            found = connection.scalars(select(parcels.c.answers).where(chosen))
            return frozenset(name for name in found if name)

    def live_parcel_tokens(self, now: float) -> frozenset[str]:
        """Tokens of parcel leases that have not run out."""
        statement = select(parcels.c.lease_token).where(parcels.c.lease_until > now)
        with self._engine.connect() as connection:
            return frozenset(token for token in connection.scalars(statement) if token)

    def live_tokens(self, now: float) -> frozenset[str]:
        """Tokens of slide leases that have not run out."""
        statement = select(slides.c.lease_token).where(slides.c.lease_until > now)
        with self._engine.connect() as connection:
            return frozenset(token for token in connection.scalars(statement) if token)


def _released_reports(condition: ColumnElement[bool]) -> Select[tuple[str, str]]:
    """Select folders of reports that were handed to a route, the newest first."""
    sent = exists().where(
        parcels.c.slide_id == products.c.slide_id,
        parcels.c.kind == "report",
        parcels.c.created_at >= products.c.committed_at,
    )
    return (
        select(products.c.slide_id, products.c.folder)
        .where(condition, products.c.stage == Stage.REPORT, sent)
        .order_by(products.c.revision.desc())
        .limit(1)
    )

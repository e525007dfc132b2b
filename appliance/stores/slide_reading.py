"""How the screen reads slides: all of them once, and then only those that have changed.

A reader keeps the version of each slide that it has seen. Versions are cheap to ask for, of all
slides or of those touched lately, and only slides of another version are read.
"""

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import (
    Connection,
    Engine,
    Executable,
    Select,
    func,
    select,
    text,
    union,
)

from appliance.line import DeliveryStatus, Mark, SlideStatus, Stage, State, Verdict
from appliance.stores.database import READ_ONLY
from appliance.stores.journal_schema import events, parcels, slides
from appliance.stores.sound_rows import is_moment

NEWEST_SLIDES = 500
MOST_AT_ONCE = 500
"""Slides in one question; a database limits how many values a statement may name."""

Kind = Literal["slide", "delivery", "shard", "event", "heartbeat", "pause", "sample"]
"""What a row tells of."""

Version = tuple[float, int, str, str, float]
"""Of a slide: changes whenever anything of its row or of its parcels does."""

_OF_SLIDE = [slides.c[name] for name in SlideStatus.__slots__ if name != "deliveries"]
_OF_DELIVERY = [parcels.c[name] for name in DeliveryStatus.__slots__]
_REPEATED = ("scanner", "words", "reason", "error", "error_code", "next_step")
"""Texts that many slides have in common are kept once."""


class SlideReading:
    """Reads slides with their deliveries; it never takes the write lock."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(**{READ_ONLY: True})
        self._watch: Connection | None = None

    def data_version(self) -> int:
        """Give a number that changes when another connection has written (SQLite); 5 µs.

        It means something only on one and the same connection, which is kept open for it. On
        PostgreSQL there is no such number: the newest event stands in for it.
        """
        if self._watch is None:
            self._watch = self._engine.connect()
        statement: Executable = select(events.c.number).order_by(events.c.number.desc()).limit(1)
        if self._engine.dialect.name == "sqlite":
            statement = text("PRAGMA data_version")
        version = self._watch.execute(statement).scalar()
        self._watch.rollback()
        return int(version or 0)

    @property
    def tells_every_write(self) -> bool:
        """Whether `data_version` changes with every write, not only with those of an event."""
        return self._engine.dialect.name == "sqlite"

    def snapshot(self, *, newest: int = NEWEST_SLIDES) -> tuple[SlideStatus, ...]:
        """Give the newest slides, newest first, each with its deliveries."""
        statement = select(slides.c.slide_id).order_by(slides.c.created_at.desc()).limit(newest)
        with self._engine.connect() as connection:
            return self.read_slides(connection.scalars(statement).all())

    def slide(self, slide_id: str) -> SlideStatus | None:
        """Give one slide; None when it is not on the line."""
        return next(iter(self.read_slides((slide_id,))), None)

    def read_slides(self, slide_ids: Sequence[str]) -> tuple[SlideStatus, ...]:
        """Give these slides in this order; those that are not on the line are left out."""
        found: dict[str, SlideStatus] = {}
        with self._engine.connect() as connection:
            for first in range(0, len(slide_ids), MOST_AT_ONCE):
                some = slide_ids[first : first + MOST_AT_ONCE]
                found |= {slide.slide_id: slide for slide in self._read(connection, some)}
        return tuple(found[slide_id] for slide_id in slide_ids if slide_id in found)

    def versions(self, *, newest: int) -> dict[str, Version]:
        """Give the version of each of the newest slides, the newest first."""
        statement = _versions().order_by(slides.c.created_at.desc()).limit(newest)
        return self._versions(statement)

    def versions_since(self, at: float) -> dict[str, Version]:
        """Give the versions of the slides that were touched at this moment or later."""
        touched = union(
            select(slides.c.slide_id).where(slides.c.updated_at >= at),
            select(parcels.c.slide_id).where(parcels.c.updated_at >= at),
        )
        return self._versions(_versions().where(slides.c.slide_id.in_(touched)))

    def shards(self) -> tuple[DeliveryStatus, ...]:
        """Give the parcels that belong to no single slide: shards of shuffled tiles."""
        statement = select(*_OF_DELIVERY).where(parcels.c.slide_id.is_(None))
        with self._engine.connect() as connection:
            rows = self._rows(connection, statement.order_by(parcels.c.created_at), "shard")
            return tuple(_delivery(row) for row in rows)

    def shards_version(self) -> tuple[int, float]:
        """Give what changes whenever a shard does."""
        total = func.coalesce(func.sum(parcels.c.updated_at), 0.0)
        statement = select(func.count(), total).where(parcels.c.slide_id.is_(None))
        with self._engine.connect() as connection:
            number, moments = connection.execute(statement).one()
        return int(number), float(moments)

    def _versions(self, statement: Select[Any]) -> dict[str, Version]:
        with self._engine.connect() as connection:
            return {row[0]: tuple(row[1:]) for row in self._fetched(connection, statement)}

    def _read(self, connection: Connection, slide_ids: Sequence[str]) -> Iterable[SlideStatus]:
        chosen = select(*_OF_SLIDE).where(slides.c.slide_id.in_(slide_ids))
        sent = (
            select(parcels.c.slide_id, *_OF_DELIVERY)
            .where(parcels.c.slide_id.in_(slide_ids))
            .order_by(parcels.c.slide_id, parcels.c.created_at)
        )
        rows = self._rows(connection, chosen, "slide")
        by_slide = itertools.groupby(
            self._rows(connection, sent, "delivery"), key=lambda row: str(row["slide_id"])
        )
        deliveries = {
            slide_id: tuple(_delivery(row) for row in of_one) for slide_id, of_one in by_slide
        }
        return [_slide(row, deliveries.get(row["slide_id"], ())) for row in rows]

    def _rows(
        self, connection: Connection, statement: Select[Any], kind: Kind
    ) -> Sequence[Mapping[Any, Any]]:
        """Read rows of a kind, each with its columns by name."""
        del kind  # here all are read alike: a daemon overlooks no row
        return connection.execute(statement).mappings().all()

    def _fetched(self, connection: Connection, statement: Select[Any]) -> Sequence[Any]:
        return connection.execute(statement).all()


def touched_at(version: Version) -> float:
    """When a slide's own row was written last; 0 when it says no time."""
    return version[0] if is_moment(version[0]) else 0.0


def _versions() -> Select[Any]:
    # A sum moves with each parcel, also with one that a host with a late clock wrote.
    moments = (
        select(func.coalesce(func.sum(parcels.c.updated_at), 0.0))
        .where(parcels.c.slide_id == slides.c.slide_id)
        .scalar_subquery()
    )
    return select(
        slides.c.slide_id,
        slides.c.updated_at,
        slides.c.revision,
        slides.c.stage,
        slides.c.state,
        moments,
    )


def _delivery(row: Mapping[Any, Any]) -> DeliveryStatus:
    values: dict[str, Any] = {name: row[name] for name in DeliveryStatus.__slots__}
    values["state"] = State(values["state"])
    values["route"], values["kind"] = sys.intern(values["route"]), sys.intern(values["kind"])
    return DeliveryStatus(**values)


def _slide(row: Mapping[Any, Any], deliveries: tuple[DeliveryStatus, ...]) -> SlideStatus:
    values: dict[str, Any] = dict(row)
    for name in _REPEATED:
        if values[name]:
            values[name] = sys.intern(values[name])
    values["stage"], values["state"] = Stage(values["stage"]), State(values["state"])
    values["verdict"] = Verdict(values["verdict"]) if values["verdict"] else None
    values["mark"] = Mark(values["mark"]) if values["mark"] else None
    return SlideStatus(**values, deliveries=deliveries)

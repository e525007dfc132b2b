"""The journal as people are shown it: plain texts, and no row that is not sound.

A daemon reads every row as it is, since what it overlooks might leave or be lost; a person would
rather see all the others, and read how many cannot be shown.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final, get_args

from sqlalchemy import Connection, Engine, Select

from appliance.errors import IdentityDoubt
from appliance.line import (
    DeliveryStatus,
    DiskSample,
    Event,
    Heartbeat,
    Pause,
    SlideStatus,
)
from appliance.stores.board import Board
from appliance.stores.slide_reading import Kind, Version
from appliance.stores.sound_rows import SoundRows

_SOUND: Final[Mapping[Kind, SoundRows]] = MappingProxyType(
    {
        "slide": SoundRows(SlideStatus, without="deliveries", key="slide_id"),
        "delivery": SoundRows(DeliveryStatus, also={"slide_id": str}),
        "shard": SoundRows(DeliveryStatus),
        "event": SoundRows(Event),
        "heartbeat": SoundRows(Heartbeat),
        "pause": SoundRows(Pause),
        "sample": SoundRows(DiskSample),
    }
)
_NAMED: Final = frozenset({"slide", "delivery", "event"})
"""Kinds of which some rows are read at a time; of the others all are."""
NOT_UTF_8: Final = "\ufffd"
"""What is read in place of such bytes; nothing can be asked for by it."""


class ShownBoard(Board):
    """A reader of the journal for people.

    Parameters
    ----------
    engine
        Of the journal.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._odd: dict[Kind, Counter[object]] = {kind: Counter() for kind in get_args(Kind)}

    @property
    def unreadable(self) -> Mapping[Kind, int]:
        """How many rows of each kind could not be read, where there are such."""
        counts = {kind: sum(list(odd.values())) for kind, odd in self._odd.items()}
        return {kind: number for kind, number in counts.items() if number}

    def read_slides(self, slide_ids: Sequence[str]) -> tuple[SlideStatus, ...]:
        """Give these slides in this order; those that are not sound are left out, and counted."""
        found: Sequence[object] = slide_ids  # SQLite keeps bytes in a column of texts, too
        self._look_again_at(found)
        asked = [one for one in found if isinstance(one, str) and NOT_UTF_8 not in one]
        if len(asked) < len(found):
            self._odd["slide"].update(set(found).difference(asked))
        return super().read_slides(asked)

    def versions(self, *, newest: int) -> dict[str, Version]:
        """Give the version of each of the newest slides; what is no more there is forgotten."""
        found = super().versions(newest=newest)
        odd = {one for kind in ("slide", "delivery") for one in list(self._odd[kind])}
        self._look_again_at([one for one in odd if one not in found])
        return found

    def _look_again_at(self, slide_ids: Sequence[object]) -> None:
        for of_kind in (self._odd["slide"], self._odd["delivery"]):
            if of_kind:
                for slide_id in slide_ids:
                    of_kind.pop(slide_id, None)

    def _rows(
        self, connection: Connection, statement: Select[Any], kind: Kind
    ) -> Sequence[Mapping[Any, Any]]:
        odd, read = self._odd[kind], _SOUND[kind].read
        if kind not in _NAMED:
            odd.clear()
        found = []
        for row in self._fetched(connection, statement):
            values = read(row)
            if values is None:
                odd[row[0]] = odd[row[0]] + 1 if kind != "event" else 1
                continue
            found.append(values)
            if odd and kind == "event":
                odd.pop(row[0], None)  # it was mended
        return found

    def _fetched(self, connection: Connection, statement: Select[Any]) -> Sequence[Any]:
        try:
            return super()._fetched(connection, statement)
        except IdentityDoubt:  # bytes where a text has to be hide every row
            with _as_far_as_it_goes(connection):
                return super()._fetched(connection, statement)


@contextmanager
def _as_far_as_it_goes(connection: Connection) -> Iterator[None]:
    """Read bytes that are no UTF-8 as far as it goes (SQLite; PostgreSQL takes none)."""
    driver: Any = connection.connection.driver_connection
    before = driver.text_factory
    driver.text_factory = lambda found: found.decode("utf-8", "replace")
    try:
        yield
    finally:
        driver.text_factory = before

"""In which order slides stand, kept while they change: ten thousand are never sorted anew.

A slide is looked at again when it changed, when its name was learned, or, for the few whose need
depends on the time that passes, at every look. All others stay where they are.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from appliance.attention import Attention, attention
from appliance.line import SlideStatus, State
from tui import words
from tui.names import Names
from tui.snapshot import Snapshot
from tui.words import short_id

GROWS_STALE = frozenset({State.RECEIVING, State.RUNNING})
"""States in which a slide needs a person once it has been silent for long."""
NOBODY = Names()


class Order(StrEnum):
    """What the worklist is sorted by."""

    URGENCY = "urgency"
    NEWEST = "newest"
    NAME = "name"
    SCANNER = "scanner"
    TIME = "time"

    @property
    def following(self) -> "Order":
        """The order after this one; the first after the last."""
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]


def _newest(slide: SlideStatus, _name: str) -> tuple[Any, ...]:
    return (-slide.created_at,)


def _time(slide: SlideStatus, _name: str) -> tuple[Any, ...]:
    """Those that have waited longest without a verdict first, then those that took longest."""
    if slide.verdict_at is None:
        return (0, slide.last_byte_at)
    return (1, slide.last_byte_at - slide.verdict_at)


KEYS: Mapping[Order, Callable[[SlideStatus, str], tuple[Any, ...]]] = MappingProxyType(
    {
        Order.URGENCY: _newest,
        Order.NEWEST: _newest,
        Order.NAME: lambda slide, name: (name.casefold(), -slide.created_at),
        Order.SCANNER: lambda slide, _: (slide.scanner.casefold(), -slide.created_at),
        Order.TIME: _time,
    }
)
"""What slides are sorted by; inside its group of attention in the order of urgency."""

Key = tuple[Any, ...]
"""The values of an order, and the slide's id at the end."""


@dataclass(frozen=True, slots=True)
class _Place:
    slide: SlideStatus
    need: Attention
    key: Key


class Arrangement:
    """Slides in groups of the attention that they need, most first, each group in order."""

    def __init__(self) -> None:
        self.order = Order.URGENCY
        self.serial = 0
        """Counts the changes of groups or order."""
        self._snapshot: Snapshot | None = None
        self._now: float | None = None
        self._names = NOBODY
        self._n_learned = 0
        self._places: dict[str, _Place] = {}
        self._groups: dict[Attention, list[Key]] = {need: [] for need in Attention}
        self._growing: set[str] = set()
        self._texts: dict[str, str] = {}
        """What of a slide is searched, once somebody has searched."""

    def follow(self, snapshot: Snapshot, *, now: float, names: Names = NOBODY) -> None:
        """Bring the order up to date with what is known now; cheap when nothing has changed."""
        if snapshot is self._snapshot and now == self._now and names.n_learned == self._n_learned:
            return
        again = set(self._growing)
        before = self._snapshot
        if before is None or snapshot.slides is not before.slides:
            again |= self._changed(snapshot)
        if names is not self._names or names.n_learned != self._n_learned:
            again.update(names.learned_since(self._n_learned if names is self._names else 0))
        self._snapshot, self._now = snapshot, now
        self._names, self._n_learned = names, names.n_learned
        known = snapshot.tally.by_id
        for slide_id in again:
            self._place(slide_id, known.get(slide_id))

    def sort(self, order: Order) -> None:
        """Put the slides in another order."""
        if order is self.order:
            return
        self.order = order
        self.serial += 1
        for group in self._groups.values():
            group.clear()
        for slide_id, place in self._places.items():
            key = self._key(place.slide)
            self._places[slide_id] = _Place(place.slide, place.need, key)
            self._groups[place.need].append(key)
        for group in self._groups.values():
            group.sort()

    @property
    def counts(self) -> Mapping[Attention, int]:
        """How many slides need what; only what some slide needs."""
        return {need: len(group) for need, group in self._groups.items() if group}

    def need(self, slide_id: str) -> Attention | None:
        """Say what a slide needs; None when it is not on the line."""
        place = self._places.get(slide_id)
        return None if place is None else place.need

    def members(self, need: Attention) -> list[SlideStatus]:
        """Give the slides of one group, in order."""
        return [self._places[key[-1]].slide for key in self._groups[need]]

    def groups(self, sought: str = "") -> Iterator[tuple[Attention | None, list[str]]]:
        """Give the ids of the slides that contain what is sought, in order.

        In the order of urgency a pair stands for a group of attention; in another order there is
        one pair, with None.
        """
        parts = sought.casefold().split()
        if self.order is Order.URGENCY:
            for need, group in self._groups.items():
                found = self._found(group, parts)
                if found:
                    yield need, found
            return
        found = self._found(sorted(key for group in self._groups.values() for key in group), parts)
        if found:
            yield None, found

    def _found(self, group: list[Key], parts: list[str]) -> list[str]:
        """Give the ids of a group whose row contains each of these words."""
        ids = [key[-1] for key in group]
        for part in parts:
            ids = [slide_id for slide_id in ids if part in self._text(slide_id)]
        return ids

    def _changed(self, snapshot: Snapshot) -> set[str]:
        """Give the slides that another snapshot shows otherwise, or that came or went."""
        places = self._places
        changed = {
            slide.slide_id
            for slide in snapshot.slides
            if (place := places.get(slide.slide_id)) is None or place.slide is not slide
        }
        known = snapshot.tally.by_id
        if len(known) != len(places) + sum(slide_id not in places for slide_id in changed):
            changed.update(slide_id for slide_id in places if slide_id not in known)
        before = self._snapshot.superseded if self._snapshot else frozenset()
        return changed | {one for one in before ^ snapshot.superseded if one in known}

    def _place(self, slide_id: str, slide: SlideStatus | None) -> None:
        """Put a slide where it belongs now; None takes it out."""
        old = self._places.get(slide_id)
        if slide is None:
            new = None
        else:
            assert self._snapshot is not None and self._now is not None  # noqa: PT018, S101
            is_superseded = slide_id in self._snapshot.superseded
            need = attention(slide, now=self._now, is_superseded=is_superseded)
            new = _Place(slide, need, self._key(slide))
        if old is None or new is None or (old.need, old.key) != (new.need, new.key):
            self._move(old, new)
        if new is None:
            self._places.pop(slide_id, None)
            self._growing.discard(slide_id)
        else:
            self._places[slide_id] = new
            (self._growing.add if _grows_stale(new) else self._growing.discard)(slide_id)
        self._texts.pop(slide_id, None)

    def _move(self, old: _Place | None, new: _Place | None) -> None:
        if old is not None:
            group = self._groups[old.need]
            del group[bisect_left(group, old.key)]
        if new is not None:
            insort(self._groups[new.need], new.key)
        self.serial += 1

    def _key(self, slide: SlideStatus) -> Key:
        name = self._names.of(slide.slide_id)
        return (*KEYS[self.order](slide, name), slide.slide_id)

    def _text(self, slide_id: str) -> str:
        """Give what a row says, to search in; kept until the row says something else."""
        text = self._texts.get(slide_id)
        if text is None:
            text = search_text(self._places[slide_id].slide, self._names.of(slide_id))
            self._texts[slide_id] = text
        return text


def _grows_stale(place: _Place) -> bool:
    return place.slide.state in GROWS_STALE


def search_text(slide: SlideStatus, name: str) -> str:
    """Give all that the row of a slide says, to search in."""
    verdict = words.VERDICTS[slide.verdict].text if slide.verdict else ""
    mark = words.MARKS[slide.mark].text if slide.mark else ""
    said = (
        name,
        short_id(slide.slide_id) if name != short_id(slide.slide_id) else "",
        slide.slide_id,
        slide.scanner,
        words.STAGES[slide.stage],
        words.STATES[slide.state].text,
        verdict,
        mark,
        words.reason(slide),
        *(f"{item.route} {words.DELIVERIES[item.state].text}" for item in slide.deliveries),
    )
    return "\n".join(said).casefold()

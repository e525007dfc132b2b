"""What was told to whom, and what waits to be told. Pure values; the notebook keeps them.

A thing is told once. It is told again only when it was gone for a while and came back, so that
what comes and goes does not ring all day. Each receiver has a box of its own: one that is away
for hours gets, when it is back, one message about what is still so.
"""

import itertools
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from appliance.settings.notices import Subject
from dicom_node.notify.message import Message
from dicom_node.notify.notice import Notice

CALM_S = 600.0
"""What was gone for so long is news when it comes back."""
MOST_SETTLED = 1000
"""Keys of what is over that a box keeps: a journal that makes ever new ones fills nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What one receiver is still to be told."""

    waiting: Mapping[str, Notice] = field(default_factory=dict)
    """By key, in the order in which it came."""
    since: float | None = None
    """When the first of them came."""
    settled: frozenset[str] = frozenset()
    """Keys of what came and was over before it was told; it waits again if it comes back."""
    message: Message | None = None
    """What is being sent; nothing else is until it has arrived."""
    was_quiet: bool = False
    """Whether some of what waits was kept back by the quiet hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """All that must survive a restart."""

    known: Mapping[str, float | None] = field(default_factory=dict)
    """What is so (None) or was lately, by key, with the moment at which it was seen to be over."""
    boxes: Mapping[str, Box] = field(default_factory=dict)
    """By the name of the receiver."""

    def for_receivers(self, names: Iterable[str]) -> "Memory":
        """Keep the boxes of these receivers, and give new ones an empty box."""
        return replace(self, boxes={name: self.boxes.get(name, Box()) for name in names})

    def observed(self, notices: Iterable[Notice], *, now: float) -> "Memory":
        """Take in all that is so now: what is new goes into every box, what is over leaves it."""
        present = {notice.key: notice for notice in notices}
        over = {key: now if at is None else at for key, at in self.known.items()}
        recent = {key: at for key, at in self.known.items() if abs(now - over[key]) <= CALM_S}
        new = present.keys() - recent.keys()
        known = {key: over[key] for key in recent} | dict.fromkeys(present)
        boxes = {
            name: _renewed(box, present, new, known.keys(), now) for name, box in self.boxes.items()
        }
        return Memory(known=known, boxes=boxes)

    def packed(
        self,
        *,
        now: float,
        gather_s: float,
        is_quiet: bool,
        through: Collection[Subject] = (),
        new_id: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> "Memory":
        """Make a message for each receiver of what has waited long enough and may go now.

        Parameters
        ----------
        now
            Seconds since the epoch.
        gather_s
            How long the first waits for others.
        is_quiet
            Whether these are quiet hours.
        through
            What is told in them all the same.
        new_id
            Makes the id of a message.
        """
        boxes = dict(self.boxes)
        for name, kept in self.boxes.items():
            going = [
                key
                for key, notice in kept.waiting.items()
                if not is_quiet or notice.subject in through
            ]
            kept_back = is_quiet and len(going) < len(kept.waiting)
            was_quiet = kept_back or (kept.was_quiet and (is_quiet or bool(kept.waiting)))
            box = replace(kept, was_quiet=was_quiet)
            waits = box.since is not None and 0 <= now - box.since < gather_s
            is_due = bool(going) and not waits
            if is_due and box.message is None:
                box = _packed(box, going, now=now, is_quiet=is_quiet, message_id=new_id())
            boxes[name] = box
        return replace(self, boxes=boxes)

    def arrived(self, name: str, message_id: str) -> "Memory":
        """Forget a message that a receiver has taken."""
        box = self.boxes[name]
        if box.message is None or box.message.message_id != message_id:
            return self
        return replace(self, boxes={**self.boxes, name: replace(box, message=None)})


def _renewed(
    box: Box,
    present: Mapping[str, Notice],
    new: Collection[str],
    known: Collection[str],
    now: float,
) -> Box:
    """Keep what is still so, in its newest words; add what is new or has come back."""
    still = {key: present[key] for key in box.waiting if key in present}
    come = {key: one for key, one in present.items() if key in new or key in box.settled}
    settled = (box.settled | box.waiting.keys()) - present.keys()
    settled = frozenset(itertools.islice(settled, MOST_SETTLED))
    waiting = still | come
    return replace(
        box,
        waiting=waiting,
        since=(box.since if still else now) if waiting else None,
        settled=settled if box.was_quiet else settled & frozenset(known),
    )


def _packed(box: Box, going: Sequence[str], *, now: float, is_quiet: bool, message_id: str) -> Box:
    after_quiet = box.was_quiet and not is_quiet
    gone = set(going)
    staying = {key: notice for key, notice in box.waiting.items() if key not in gone}
    message = Message(
        message_id=message_id,
        at=now,
        notices=tuple(box.waiting[key] for key in going),
        settled=len(box.settled) if after_quiet else 0,
        after_quiet=after_quiet,
    )
    if is_quiet:
        return replace(box, waiting=staying, message=message, since=box.since if staying else None)
    return Box(message=message)

"""What the screen knows at one moment, and in which order it matters. Pure values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from appliance.line import DeliveryStatus, Heartbeat, SlideStatus, State, Verdict
from tui import words
from tui.words import Tone

STALE_RUNNING_S = 60.0
"""A lease is renewed every 10 s: a running slide that is silent for longer has lost its worker."""
STALE_RECEIVING_S = 600.0
MANY_RETRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Room on the file system of the zones."""

    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The line at one moment."""

    at: float
    slides: tuple[SlideStatus, ...] = ()
    heartbeats: tuple[Heartbeat, ...] = ()
    shards: tuple[DeliveryStatus, ...] = ()
    disk: Disk | None = None

    def slide(self, slide_id: str | None) -> SlideStatus | None:
        """Find a slide by its id."""
        return next((slide for slide in self.slides if slide.slide_id == slide_id), None)

    @property
    def superseded(self) -> frozenset[str]:
        """Slides whose container was scanned again since."""
        return frozenset(slide.supersedes for slide in self.slides if slide.supersedes)


class Attention(IntEnum):
    """How much a slide needs a person; the smaller, the further up it stands."""

    RESCAN = 0
    STUCK = 1
    HELD = 2
    REVIEW = 3
    MOVING = 4
    DONE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The heading over slides that need the same."""

    title: str
    tone: Tone


GROUPS: Mapping[Attention, Group] = MappingProxyType(
    {
        Attention.RESCAN: Group(title="Scan again", tone="bad"),
        Attention.STUCK: Group(title="Needs you", tone="bad"),
        Attention.HELD: Group(title="Held", tone="warn"),
        Attention.REVIEW: Group(title="Look at the picture", tone="warn"),
        Attention.MOVING: Group(title="On the line", tone="busy"),
        Attention.DONE: Group(title="Done", tone="good"),
    }
)


FEW_GROUPS: Mapping[Attention, Group] = MappingProxyType(
    dict.fromkeys(list(Attention)[: Attention.MOVING], GROUPS[Attention.STUCK])
    | {need: GROUPS[need] for need in (Attention.MOVING, Attention.DONE)}
)
"""Where lines are few, all that needs a person stands under one heading."""


def attention(slide: SlideStatus, *, now: float, superseded: frozenset[str]) -> Attention:
    """Say how much a slide needs a person."""
    current = slide.slide_id not in superseded
    if slide.verdict is Verdict.RESCAN and current:
        return Attention.RESCAN
    if is_stuck(slide, now):
        return Attention.STUCK
    if slide.state is State.HELD:
        return Attention.HELD
    if slide.verdict is Verdict.REVIEW and current:
        return Attention.REVIEW
    return Attention.DONE if slide.state is State.DONE else Attention.MOVING


def is_stuck(slide: SlideStatus, now: float) -> bool:
    """Whether a slide will not move by itself, or has tried in vain for a while."""
    silent_s = now - slide.updated_at
    match slide.state:
        case State.ASIDE:
            return True
        case State.RUNNING:
            return silent_s > STALE_RUNNING_S
        case State.RECEIVING:
            return silent_s > STALE_RECEIVING_S
        case State.WAITING:
            return slide.retries >= MANY_RETRIES
        case _:
            return False


def arranged(
    slides: Iterable[SlideStatus], *, now: float, superseded: frozenset[str]
) -> tuple[tuple[Attention, tuple[SlideStatus, ...]], ...]:
    """Group slides by the attention they need, most first; the newest first inside a group."""
    groups: dict[Attention, list[SlideStatus]] = {need: [] for need in Attention}
    for slide in slides:
        groups[attention(slide, now=now, superseded=superseded)].append(slide)
    return tuple(
        (need, tuple(sorted(members, key=lambda slide: -slide.created_at)))
        for need, members in groups.items()
        if members
    )


def matches(slide: SlideStatus, name: str, sought: str) -> bool:
    """Whether every word that is sought is somewhere in what a slide's row says."""
    verdict = slide.verdict.value if slide.verdict else ""
    row = " ".join(
        (
            name,
            slide.slide_id,
            slide.scanner,
            words.STAGES[slide.stage],
            words.STATES[slide.state].text,
            verdict,
            words.reason(slide),
            *(delivery.route for delivery in slide.deliveries),
        )
    ).casefold()
    return all(part in row for part in sought.casefold().split())

"""What the screen knows at one moment, and in which order it matters. Pure values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from appliance.attention import Attention, attention, superseded
from appliance.line import DeliveryStatus, DiskSample, Heartbeat, Pause, SlideStatus
from tui import words
from tui.words import Tone


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
    disk_samples: tuple[DiskSample, ...] = ()
    """How full the disk was during the last days, oldest first."""
    pauses: tuple[Pause, ...] = ()

    def slide(self, slide_id: str | None) -> SlideStatus | None:
        """Find a slide by its id."""
        return next((slide for slide in self.slides if slide.slide_id == slide_id), None)

    @property
    def superseded(self) -> frozenset[str]:
        """Slides whose container was scanned again since."""
        return superseded(self.slides)


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
        Attention.REQUESTED: Group(title="Asked for", tone="quiet"),
        Attention.MOVING: Group(title="On the line", tone="busy"),
        Attention.DONE: Group(title="Done", tone="good"),
    }
)


FEW_GROUPS: Mapping[Attention, Group] = MappingProxyType(
    dict.fromkeys(list(Attention)[: Attention.REQUESTED], GROUPS[Attention.STUCK])
    | {need: GROUPS[need] for need in list(Attention)[Attention.REQUESTED :]}
)
"""Where lines are few, all that needs a person stands under one heading."""


def arranged(
    slides: Iterable[SlideStatus], *, now: float, superseded: frozenset[str]
) -> tuple[tuple[Attention, tuple[SlideStatus, ...]], ...]:
    """Group slides by the attention they need, most first; the newest first inside a group."""
    groups: dict[Attention, list[SlideStatus]] = {need: [] for need in Attention}
    for slide in slides:
        groups[attention(slide, now=now, is_superseded=slide.slide_id in superseded)].append(slide)
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

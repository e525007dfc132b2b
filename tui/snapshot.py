"""What the screen knows at one moment, and in which order it matters. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from appliance.attention import Attention
from appliance.line import DeliveryStatus, DiskSample, Heartbeat, Pause, SlideStatus
from appliance.stores.slide_reading import Kind
from tui.tally import Tally, tally
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
    unreadable: Mapping[Kind, int] = field(default_factory=dict)
    """Rows of the journal that are damaged, or of a newer version."""

    counted: Tally | None = field(default=None, compare=False, repr=False)
    """What was counted already of these slides."""

    @property
    def tally(self) -> Tally:
        """Slides by id, and how many are where; counted when it is asked for the first time."""
        counted = self.counted
        if counted is None or not counted.is_of(self.slides, self.shards):
            counted = tally(self.slides, self.shards)
            object.__setattr__(self, "counted", counted)
        return counted

    def slide(self, slide_id: str | None) -> SlideStatus | None:
        """Find a slide by its id."""
        return self.tally.by_id.get(slide_id or "")

    @property
    def superseded(self) -> frozenset[str]:
        """Slides whose container was scanned again since."""
        return self.tally.superseded


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

"""The line: the six stages of a slide, its states, and the values that the journal speaks in."""

from dataclasses import dataclass, field
from enum import StrEnum


class Stage(StrEnum):
    """The six stages, in the order in which a slide walks them."""

    ASSEMBLE = "assemble"
    DEIDENTIFY = "deidentify"
    INFER = "infer"
    REPORT = "report"
    RELEASE = "release"
    DELIVER = "deliver"

    @property
    def following(self) -> "Stage | None":
        """The stage after this one; None after the last."""
        stages = list(Stage)
        position = stages.index(self) + 1
        return stages[position] if position < len(stages) else None


ZONES: dict[Stage, str] = {
    Stage.ASSEMBLE: "original",
    Stage.DEIDENTIFY: "deid",
    Stage.INFER: "findings",
    Stage.REPORT: "report",
}
"""The zone folder that a stage publishes into. Release publishes parcels into outbox/<route>."""

SIDING = "siding"
"""Names the product that brings a slide back to infer: answers of model servers, as release placed
them into the zone `placed/`."""

DAEMONS: dict[Stage, str] = {
    Stage.ASSEMBLE: "node",
    Stage.DEIDENTIFY: "anonymize",
    Stage.INFER: "infer",
    Stage.REPORT: "infer",
    Stage.RELEASE: "release",
}
"""Which daemon works a stage. Deliver has one daemon a route, `deliver@ROUTE`."""


class State(StrEnum):
    """What a slide is doing at its stage."""

    RECEIVING = "receiving"
    """At assemble only: instances are still coming, nothing may claim it yet."""
    WAITING = "waiting"
    RUNNING = "running"
    HELD = "held"
    ASIDE = "aside"
    DONE = "done"


class Verdict(StrEnum):
    """What a technician should do with the glass slide."""

    ACCEPT = "accept"
    RESCAN = "rescan"
    REVIEW = "review"


class Mark(StrEnum):
    """What a technician noted about the glass slide that a verdict is about."""

    REQUESTED = "requested"
    """A rescan was asked for."""
    DONE = "done"
    """It was scanned again, or looked at and found good: nothing more is to be done."""


class Role(StrEnum):
    """What an operator may do; each role may do all that the ones before it may."""

    VIEWER = "viewer"
    TECHNICIAN = "technician"
    ADMINISTRATOR = "administrator"

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what `needed` may."""
        roles = list(Role)
        return roles.index(self) >= roles.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker's right to one slide at one stage until the lease runs out."""

    slide_id: str
    revision: int
    stage: Stage
    token: str
    """The lease token: part of the name of the folder that this claim publishes."""
    attempts: int

    @property
    def folder(self) -> str:
        """Name of the folder this claim publishes, `<slide id>@<token>`."""
        return f"{self.slide_id}@{self.token}"


MOST_ASKED_TILES = 1024
"""In one parcel for model servers."""

REPORTS = frozenset({"SR", "SEG", "ANN", "heat_map", "one_pager"})
"""What the report stage writes for the PACS; each but the SR is there only when there is something
to say and the settings ask for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What release hands to one route: a signed folder in `outbox/<route>/`."""

    parcel_id: str
    route: str
    kind: str
    """What is in it: "report" (`REPORTS`), "outside_sr" or "tiles"."""
    folder: str
    """Published folder name below `outbox/<route>/`."""
    slide_id: str | None
    """The slide it belongs to; None for a shard that mixes slides."""
    not_before: float | None = None
    """Seconds since the epoch, UTC; the route's limit for the days before is used up."""
    audit: str = ""
    """What left, to whom and under which policy: the text of the audit event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelClaim:
    """A deliverer's right to one parcel until the lease runs out."""

    parcel: Parcel
    token: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a stage found, committed together with the slide's move to the next stage."""

    verdict: Verdict | None = None
    reason: str | None = None
    parcels: tuple[Parcel, ...] = ()
    note: str = ""
    """One sentence for the slide's event list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStatus:
    """One parcel of a slide as the screen shows it."""

    parcel_id: str
    route: str
    kind: str
    state: State
    attempts: int
    error: str | None
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideStatus:
    """One slide as the screen shows it. Times are seconds since the epoch, UTC."""

    slide_id: str
    revision: int
    scanner: str
    stage: Stage
    state: State
    attempts: int
    retries: int
    progress: float
    """Share of the stage done, 0 to 1."""
    words: str
    """What the stage is doing, in words."""
    verdict: Verdict | None
    reason: str | None
    error: str | None
    error_code: str | None
    next_step: str | None
    next_try_at: float | None
    claimed_at: float | None
    """When the work on the present stage began; None while nobody works on it."""
    created_at: float
    last_byte_at: float
    verdict_at: float | None
    updated_at: float
    supersedes: str | None
    """Slide id of the earlier scan of the same container."""
    mark: Mark | None
    marked_at: float | None
    deliveries: tuple[DeliveryStatus, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One append-only fact: when, who (daemon or operator), which slide, what."""

    number: int
    at: float
    actor: str
    slide_id: str | None
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """When a daemon was last seen alive."""

    daemon: str
    at: float
    pid: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A daemon that an operator told to begin nothing new until it is told to go on.

    A paused node takes no new associations that propose storage, a paused route sends no more
    parcels; what is under way ends as it would.
    """

    daemon: str
    at: float
    operator: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSample:
    """How full the file system of the zones was."""

    at: float
    free_bytes: int
    total_bytes: int

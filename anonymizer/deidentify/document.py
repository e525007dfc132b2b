"""The report as it is written: the JSON schema in `docs/` is made from these values."""

from dataclasses import dataclass

FORM = "coverslip-deidentification-report/1"
DERIVED = frozenset(("words", "byte patterns"))
"""Kinds of what is looked for that are made from other values and count nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEntry:
    """What was done with the attributes of one path."""

    kind: str
    """One of kept, cleaned, replaced and removed."""
    path: str
    action: str
    rule: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEntry:
    """One object that was kept."""

    file: str
    frames: int
    steps: tuple[StepEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEntry:
    """A rule of the site."""

    attribute: str
    action: str
    why: str
    option: str
    """The option under which it keeps more than the profile; "" when it does not."""
    signed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRulesEntry:
    """The rules of the site and the SHA-256 of their file; "" without one."""

    digest: str
    rules: tuple[RuleEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsEntry:
    """Sums over the slide."""

    images_in: int
    attributes: dict[str, int]
    """By kind, of the objects that were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsearchedEntry:
    """Values that were not looked for everywhere."""

    count: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedEntry:
    """A check of what was written; every judgement found it good, or there were no report."""

    check: str
    meaning: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEntry:
    """What was looked at in pixels, and what was done about it."""

    pictures: int
    """In which text and barcodes were looked for; 0 when that is off."""
    places_painted: int
    frames_painted: int
    label: str
    """How label and header go together; "" when they were not compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDocument:
    """What was done to one slide; holds no value of it."""

    form: str
    software: str
    profile: str
    options: tuple[str, ...]
    method_codes: tuple[str, ...]
    method_text: tuple[str, ...]
    site_rules: SiteRulesEntry
    key_id: str
    counts: CountsEntry
    images: tuple[ImageEntry, ...]
    dropped: tuple[tuple[str, str], ...]
    """Kind of each object that was left out, and why."""
    looked_for: dict[str, int]
    """Values of the original that were looked for in the output, by kind; none was found."""
    too_short: int
    not_searched: tuple[UnsearchedEntry, ...]
    judged: tuple[JudgedEntry, ...]
    seen: SeenEntry
    notes: tuple[str, ...]
    limits: tuple[str, ...]
    """What this does not protect against."""

"""What was done to a slide, without a single value of it (`docs/deidentification.schema.json`)."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from anonymizer.deidentify.document import (
    DERIVED,
    FORM,
    CountsEntry,
    ImageEntry,
    JudgedEntry,
    ReportDocument,
    RuleEntry,
    SeenEntry,
    SiteRulesEntry,
    StepEntry,
    UnsearchedEntry,
)
from anonymizer.deidentify.page import page
from anonymizer.gate.findings import MEANINGS, Check
from anonymizer.profile.decide import EDITION, STAYS, Action, Profile, keyword
from anonymizer.profile.site_rules import SiteRules
from anonymizer.rewrite.plan import Step
from anonymizer.sight.sight import Seen
from appliance import __version__
from appliance.errors import ConfigError
from appliance.storage import write_durably

REPORT_NAME = "deidentification.json"

_REMOVED = frozenset((Action.REMOVE, Action.EMPTY))
_CLEANED = frozenset(
    (
        Action.CODES,
        Action.PREPARATION,
        Action.CONTENT,
        Action.TREE,
        Action.VOCABULARY,
        Action.VERSION,
    )
)
_DATES = {
    "MODIFIED": "Dates move into the past by whole weeks, the same for all of a patient.",
    "UNMODIFIED": "Dates and times are kept as they were.",
    "REMOVED": "Dates are taken away.",
}
_NOTES = (
    "Descriptors are cleaned by leaving them out.",
    "Structured content keeps codes of PS3.16 context groups, in the words of our table.",
    "ICC profiles are replaced by one sRGB profile, unless the settings list them as reviewed.",
)
_LIMITS = (
    "Whoever has the original images finds the slide again by its pixels (PS3.15 E.3.9).",
    "Whoever has the pseudonym key and a patient's number can make the patient's pseudonym.",
    "Tissue is of a person: rare findings, and patterns that models learn, may point to someone.",
    "Scanner, stain and colour point to the laboratory.",
    "What was not looked for, and why, is told above.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReport:
    """One image that was kept."""

    file: str
    frames: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeidReport:
    """One slide.

    Attributes
    ----------
    profile
        Which options applied.
    key_id
        Public name of the pseudonym key.
    images
        What was kept, finest first.
    dropped
        Flavor of each image that was left out, and why.
    looked_for
        How many values of the input were looked for in the output, by kind; none was found.
    too_short
        Values of fewer than four characters, which were looked for as whole texts only.
    not_sought
        Further values that were not looked for everywhere, by where or why.
    judged
        How often each check of the gate was made in what was written.
    seen
        What was looked at in the pixels and on the label, and what was painted over.
    """

    key_id: str
    profile: Profile
    images: tuple[ImageReport, ...]
    dropped: tuple[tuple[str, str], ...]
    looked_for: dict[str, int]
    too_short: int
    not_sought: dict[str, int] = field(default_factory=dict)
    judged: Mapping[Check, int] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)

    @property
    def sentence(self) -> str:
        """One sentence for the slide's list of events."""
        count = self._values
        return (
            f"{len(self.images)} images kept, {len(self.dropped)} left out;"
            f" {count} values of the original looked for, none found."
        )

    @property
    def plan_sentence(self) -> str:
        """One sentence for a slide of which nothing was written."""
        count = self._values
        return (
            f"{len(self.images)} images would be kept, {len(self.dropped)} left out;"
            f" {count} values of the original would be looked for."
        )

    @property
    def _values(self) -> int:
        return sum(count for kind, count in self.looked_for.items() if kind not in DERIVED)

    def to_json(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        return asdict(self._document())

    def _document(self) -> ReportDocument:
        return ReportDocument(
            form=FORM,
            software=f"Coverslip {__version__}",
            profile=f"{EDITION} Basic Application Level Confidentiality Profile",
            options=self.profile.options,
            method_codes=tuple(f"DCM {code}" for code in self.profile.method_codes),
            method_text=self.profile.method_text,
            site_rules=_site_rules(self.profile.site_rules),
            key_id=self.key_id,
            counts=self._counts(),
            images=tuple(_image(image) for image in self.images),
            dropped=self.dropped,
            looked_for=self.looked_for,
            too_short=self.too_short,
            not_searched=self._not_searched(),
            judged=tuple(
                JudgedEntry(check=check, meaning=meaning, count=self.judged[check])
                for check, meaning in MEANINGS.items()
                if check in self.judged
            ),
            seen=SeenEntry(
                pictures=self.seen.pictures,
                places_painted=self.seen.places_painted,
                frames_painted=self.seen.frames_painted,
                label=str(self.seen.label or ""),
            ),
            notes=(_DATES[self.profile.temporal], *_NOTES),
            limits=_LIMITS,
        )

    def _counts(self) -> CountsEntry:
        kinds = Counter[str]()
        for image in self.images:
            for step in image.steps:
                kinds[kind_of(step.action)] += step.count
        return CountsEntry(
            images_in=len(self.images) + len(self.dropped),
            attributes={kind: kinds[kind] for kind in _KINDS},
        )

    def _not_searched(self) -> tuple[UnsearchedEntry, ...]:
        short = {_TOO_SHORT: self.too_short} if self.too_short else {}
        return tuple(
            UnsearchedEntry(count=count, why=why)
            for why, count in (short | self.not_sought).items()
        )


_TOO_SHORT = "of fewer than four characters: looked for as a whole text only, not inside others"

_KINDS = ("kept", "cleaned", "replaced", "removed")


def kind_of(action: Action) -> str:
    """Sort what was done: kept, cleaned, replaced or removed."""
    if action in _REMOVED:
        return "removed"
    if action in _CLEANED:
        return "cleaned"
    return "kept" if action in STAYS and action is not Action.CONSTANT else "replaced"


def write_report(path: Path, reports: Sequence[DeidReport]) -> None:
    """Write one report, or a list of several, as JSON."""
    content: Any = [report.to_json() for report in reports]
    if len(content) == 1:
        content = content[0]
    write_durably(path, json.dumps(content, indent=1).encode("utf-8"))


def write_reports(path: Path, reports: Mapping[str, DeidReport]) -> None:
    """Write reports by the pseudonym of the slide: FILE.json, FILE.html, or both for each.

    Raises
    ------
    ConfigError
        The place cannot be written.
    """
    try:
        folder = path if path.suffix not in (".json", ".html") else path.parent
        folder.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            write_report(path, list(reports.values()))
        elif path.suffix == ".html":
            _write_page(path, reports)
        else:
            for name, report in reports.items():
                write_report(path / f"{name}.json", [report])
                _write_page(path / f"{name}.html", {name: report})
    except OSError as error:
        raise ConfigError(f"The report cannot be written to {path}.") from error


def _write_page(path: Path, reports: Mapping[str, DeidReport]) -> None:
    content = page({name: report.to_json() for name, report in reports.items()})
    write_durably(path, content.encode("utf-8"))


def _image(image: ImageReport) -> ImageEntry:
    steps = tuple(
        StepEntry(
            kind=kind_of(step.action),
            path=step.path,
            action=str(step.action),
            rule=step.rule,
            reason=step.reason,
            count=step.count,
        )
        for step in image.steps
    )
    return ImageEntry(file=image.file, frames=image.frames, steps=steps)


def _site_rules(rules: SiteRules) -> SiteRulesEntry:
    public = (
        RuleEntry(
            attribute=keyword(rule.tag),
            action=rule.action,
            why=rule.why,
            option=rule.option,
            signed_by=rule.signed_by,
        )
        for rule in rules.rules
    )
    private = (
        RuleEntry(
            attribute=f"{one.creator} {one.group:04X}xx{one.number:02X}",
            action="keep",
            why=one.why,
            option="retain_safe_private",
            signed_by=one.signed_by,
        )
        for one in rules.safe_private
    )
    return SiteRulesEntry(digest=rules.digest, rules=(*public, *private))

"""What was done to a slide, without a single value of it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anonymizer.gate.needles import Needles
from anonymizer.profile.decide import EDITION, Profile
from anonymizer.rewrite.plan import Step
from appliance import __version__
from appliance.storage import write_durably

REPORT_NAME = "deidentification.json"


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
        Values of fewer than four characters, which were not looked for.
    """

    key_id: str
    profile: Profile
    images: tuple[ImageReport, ...]
    dropped: tuple[tuple[str, str], ...]
    looked_for: dict[str, int]
    too_short: int

    @property
    def sentence(self) -> str:
        """One sentence for the slide's list of events."""
        count = sum(self.looked_for.values())
        return (
            f"{len(self.images)} images kept, {len(self.dropped)} left out;"
            f" {count} values of the original looked for, none found."
        )

    def to_json(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        return {
            "software": f"Coverslip {__version__}",
            "profile": f"{EDITION} Basic Application Level Confidentiality Profile",
            "options": list(self.profile.options),
            "method_codes": [f"DCM {code}" for code in self.profile.method_codes],
            "notes": [
                "Descriptors are cleaned by leaving them out.",
                "Structured content keeps codes of PS3.16 context groups, in its words.",
                "Dates move into the past by whole weeks, the same for all of a patient.",
                "ICC profiles are replaced by one sRGB profile.",
            ],
            **{name: value for name, value in asdict(self).items() if name != "profile"},
        }


def looked_for(needles: Needles) -> dict[str, int]:
    """Count needles by kind."""
    return {
        "uids": len(needles.uids),
        "dates": len(needles.dates),
        "values": len(needles.phrases),
        "words": len(needles.words),
    }


def write_report(path: Path, reports: Sequence[DeidReport]) -> None:
    """Write one report, or a list of several, as JSON."""
    content: Any = [report.to_json() for report in reports]
    if len(content) == 1:
        content = content[0]
    write_durably(path, json.dumps(content, indent=1).encode("utf-8"))

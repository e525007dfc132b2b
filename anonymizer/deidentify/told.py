"""What the anonymize daemon tells the screen of a de-identification: counts and reasons only."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from anonymizer.deidentify.document import DERIVED
from anonymizer.deidentify.report import REPORT_NAME
from appliance.control import Command, Operator
from appliance.errors import ForbiddenAction
from appliance.line import ZONES, Role, Stage
from appliance.storage import Root, plain_folder
from appliance.stores.journal import Journal

_NOT_YET: Final = "This slide is not de-identified yet."
_UNREADABLE: Final = "The de-identification report of this slide cannot be read."
_CODED: Final = re.compile(r"[XZDU/]+ at Type \w+")
"""A reason that is an action code of PS3.15 E.1-1 at the attribute's type: the table's own word."""
_BY_THE_TABLE: Final = "by the profile's table"


def report_commands(*, journal: Journal, root: Root) -> dict[str, Command]:
    """Make the action `deid_report`: it takes `slide_id` and answers as `told` does.

    It holds nothing of the slide's identity, so that everyone may see it and no audit event is
    written.
    """

    def deid_report(_operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        slide_id = str(arguments.get("slide_id", ""))
        folder = journal.board.folder(slide_id, Stage.DEIDENTIFY)
        if folder is None:
            raise ForbiddenAction(_NOT_YET)
        zone = root.zone(ZONES[Stage.DEIDENTIFY])
        return told(_read(zone / plain_folder(folder, slide_id) / REPORT_NAME))

    return {"deid_report": Command(role=Role.VIEWER, run=deid_report)}


def told(report: Mapping[str, Any]) -> dict[str, Any]:
    """Sum a report up: what was done to how many attributes and why, and what was looked for.

    Parameters
    ----------
    report
        As `DeidReport.to_json` gives it.

    Returns
    -------
    dict
        `attributes` by kind, `reasons` of what was taken away or replaced, `dropped` images,
        `values_sought`, `not_sought`, `judged`, what was `painted`, and by which rules.
    """
    seen = report["seen"]
    return {
        "images_in": report["counts"]["images_in"],
        "images_kept": len(report["images"]),
        "dropped": [{"what": what, "why": why} for what, why in report["dropped"]],
        "attributes": dict(report["counts"]["attributes"]),
        "reasons": _reasons(report),
        "values_sought": sum(
            count for kind, count in report["looked_for"].items() if kind not in DERIVED
        ),
        "not_sought": [dict(one) for one in report["not_searched"]],
        "judged": sum(one["count"] for one in report["judged"]),
        "pictures_read": seen["pictures"],
        "places_painted": seen["places_painted"],
        "label": seen["label"],
        "profile": report["profile"],
        "options": list(report["options"]),
        "key_id": report["key_id"],
    }


def _reasons(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Count attributes by what was done and why, the most first; what was kept needs no reason."""
    counts = Counter[tuple[str, str]]()
    for step in _steps(report):
        reason = _BY_THE_TABLE if _CODED.fullmatch(step["reason"]) else step["reason"]
        counts[step["kind"], reason] += step["count"]
    return [
        {"kind": kind, "reason": reason, "count": count}
        for (kind, reason), count in counts.most_common()
        if kind != "kept"
    ]


def _steps(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for image in report["images"]:
        yield from image["steps"]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        report: Mapping[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ForbiddenAction(_UNREADABLE) from error
    return report

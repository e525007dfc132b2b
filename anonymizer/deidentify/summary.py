"""What became of all slides of a run, as lines for a person and as JSON for a script."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from anonymizer.deidentify.many import Result

_WORDS = {
    "done": "done",
    "planned": "would be done",
    "there": "there already",
    "refused": "refused",
}


def lines_of(results: Sequence[Result]) -> str:
    """Say what became of every slide, then the sums, then what to do about what was refused."""
    if not results:
        return "There is no file."
    reports = [result.report for result in results if result.report is not None]
    counts = Counter(result.status for result in results)
    sums = ", ".join(
        f"{counts[status]} {words}" for status, words in _WORDS.items() if counts[status]
    )
    lines = [result.sentence for result in results]
    lines.append(f"In all: {sums}.")
    if reports:
        kept = sum(len(report.images) for report in reports)
        dropped = sum(len(report.dropped) for report in reports)
        lines.append(f"Images: {kept} kept, {dropped} left out.")
    errors = [result.error for result in results if result.error is not None]
    lines += dict.fromkeys(f"{error.code}: {error.next_step}" for error in errors)
    return "\n".join(lines)


def json_of(results: Sequence[Result]) -> dict[str, Any]:
    """Give the same as JSON values; `files` are places in the order of names, from 1."""
    counts = Counter(result.status for result in results)
    return {
        "totals": {status: counts[status] for status in _WORDS},
        "slides": [_slide(result) for result in results],
    }


def _slide(result: Result) -> dict[str, Any]:
    error, report = result.error, result.report
    return {
        "slide": result.name or None,
        "files": list(result.places),
        "status": result.status,
        "kept": len(report.images) if report else None,
        "left_out": len(report.dropped) if report else None,
        "error": error and error.told(),
    }

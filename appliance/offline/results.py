"""What a batch leaves behind: a folder of results a slide, and a note on what became of it.

Both get their names by renaming, so that a run that ends anywhere leaves nothing half, and a later
run knows what is done.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.errors import ApplianceError, ConfigError
from appliance.storage import storage_errors, write_durably

SUMMARY_JSON: Final = "summary.json"
NOTES: Final = ".analyze"
"""Folder of the notes, one a slide."""
STATUSES: Final = ("done", "there", "refused")
_MOST_TOLD: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one slide, or of a file that belongs to none."""

    places: tuple[int, ...]
    name: str = ""
    folder: Path | None = None
    was_there: bool = False
    error: ApplianceError | None = None

    @property
    def status(self) -> str:
        """One of `STATUSES`."""
        if self.error is not None:
            return "refused"
        return "there" if self.was_there else "done"

    @property
    def summary(self) -> dict[str, Any] | None:
        """The slide's summary.json; None for what was refused."""
        if self.folder is None:
            return None
        content: dict[str, Any] = json.loads((self.folder / SUMMARY_JSON).read_bytes())
        return content


class Results:
    """The folder that a batch writes to.

    Parameters
    ----------
    target
        Made when needed.
    method_digest
        Of everything that decides the results.
    private
        Whether only we may read the results, which say whose they are.

    Raises
    ------
    ConfigError
        It cannot be written.
    """

    def __init__(self, target: Path, method_digest: str, *, private: bool = False) -> None:
        self._target = target
        self._method_digest = method_digest
        self._private = private
        try:
            (target / NOTES).mkdir(parents=True, exist_ok=True)
            for part in target.glob(".slide-*.part"):
                shutil.rmtree(part)
        except OSError as error:
            raise ConfigError(f"{target} cannot be made or written.") from error

    def there(self, name: str, digest: str) -> list[Path] | None:
        """Find what an earlier run made of a slide in the same way; None when it has to be done."""
        try:
            note = json.loads((self._target / NOTES / f"{name}.json").read_bytes())
            folders = [self._target / str(one) for one in note["folders"]]
            made = (note["status"], note["digest"], note["method"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        same = made == ("done", digest, self._method_digest) and bool(folders)
        return folders if same and all(map(_is_whole, folders)) else None

    def publish(self, name: str, products: Iterable[Path]) -> Path:
        """Copy the products of a slide into its folder, in place of what an earlier run made."""
        part, folder = self._target / f".{name}.part", self._target / name
        with storage_errors():
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(mode=0o700)
            for product in products:
                shutil.copyfile(product, part / product.name)
                (part / product.name).chmod(0o600 if self._private else 0o644)
            if not self._private:
                part.chmod(0o755)
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
        return folder

    def note(self, name: str, digest: str, results: Sequence[Result]) -> None:
        """Note what became of a slide; of one that is refused now, no earlier results stay."""
        refused = [one.error for one in results if one.error is not None]
        made = {one.folder for one in results}
        for folder in self._target.glob(f"{name}*"):
            if folder not in made and folder.name.removeprefix(name).strip("-0123456789") == "":
                shutil.rmtree(folder)
        note = {
            "status": "refused" if refused else "done",
            "digest": digest,
            "method": self._method_digest,
            "folders": [one.folder.name for one in results if one.folder is not None],
            "errors": [error.told() for error in refused],
        }
        text = json.dumps(note, indent=1, sort_keys=True) + "\n"
        write_durably(self._target / NOTES / f"{name}.json", text.encode(), mode=0o644)


def lines_of(results: Sequence[Result], target: Path) -> str:
    """Say what became of every slide, then the sums, then what to do about what was refused."""
    if not results:
        return "There is no slide."
    lines = [_line(one) for one in results]
    counts = Counter(one.status for one in results)
    words = {"done": "done", "there": "there already", "refused": "refused"}
    sums = ", ".join(f"{counts[status]} {words[status]}" for status in STATUSES if counts[status])
    lines.append(f"In all: {sums}. Written to {target}.")
    errors = [one.error for one in results if one.error is not None]
    lines += dict.fromkeys(f"{error.code}: {error.next_step}" for error in errors)
    return "\n".join(lines)


def json_of(results: Sequence[Result]) -> dict[str, Any]:
    """Give the same as JSON values; `files` are places in the order of names, from 1."""
    counts = Counter(one.status for one in results)
    return {
        "totals": {status: counts[status] for status in STATUSES},
        "slides": [
            {
                "slide": one.name or None,
                "files": list(one.places),
                "status": one.status,
                "result": one.summary,
                "error": None if one.error is None else one.error.told(),
            }
            for one in results
        ],
    }


def _line(result: Result) -> str:
    if result.error is not None:
        return f"{_ordinals(result.places)}: refused. {result.error}"
    summary = result.summary or {}
    there = " (there already)" if result.was_there else ""
    artifacts = ", ".join(
        f"{name.replace('_', ' ')} {100 * one['share_of_tissue']:.1f} %"
        for name, one in summary["artifacts"].items()
        if one["share_of_tissue"]
    )
    warnings = "".join(f"\n    note: {warning}" for warning in summary["warnings"])
    return (
        f"{result.name} ({_ordinals(result.places)}){there}: {summary['verdict'].upper()}. "
        f"{summary['reason']}\n    {summary['tissue_area_mm2']:.2f} mm² of tissue"
        f"{': ' * bool(artifacts)}{artifacts}{warnings}"
    )


def _is_whole(folder: Path) -> bool:
    return (folder / SUMMARY_JSON).is_file()


def _ordinals(places: Sequence[int]) -> str:
    """Tell files by their place in the order of names, since names may identify."""
    if len(places) == 1:
        return f"file {places[0]} by name"
    more = ", ..." if len(places) > _MOST_TOLD else ""
    return f"files {', '.join(str(place) for place in places[:_MOST_TOLD])}{more} by name"

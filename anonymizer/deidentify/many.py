"""De-identification of whatever lies in a folder: sorted into slides, each by itself."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from anonymizer.deidentify.deidentify import deidentify_slide, read_subject
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.report import DeidReport
from anonymizer.part10.reading import read_header
from anonymizer.pseudonyms import Pseudonyms
from appliance.errors import ApplianceError, ForbiddenAction, RejectedError

Progress = Callable[[int, int, float], None]
"""Told which slide of how many is being done, and which share of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one slide, or of one file that belongs to none."""

    files: int
    folder: Path | None = None
    report: DeidReport | None = None
    error: ApplianceError | None = None

    @property
    def sentence(self) -> str:
        """Say it in one line, without a value or a file name of the input."""
        if self.report is not None and self.folder is not None:
            return f"{self.folder}: {self.report.sentence}"
        return f"{self.files} file(s) refused: {self.error}"


def deidentify_folder(
    source: Path,
    target: Path,
    method: Method,
    progress: Progress = lambda _slide, _slides, _share: None,
) -> list[Result]:
    """De-identify every slide among the files of a folder, or of one file.

    Each slide gets a folder below `target`, named by its pseudonym; a slide that is refused
    leaves nothing behind, and the others go on.
    """
    files = sorted(path for path in source.rglob("*") if path.is_file())
    slides, results = _slides(files or [source], method.pseudonyms)
    for number, (name, members) in enumerate(sorted(slides.items()), start=1):

        def told(share: float, _words: str, number: int = number) -> None:
            progress(number, len(slides), share)

        results.append(_one(members, target / name, method, told))
    return results


def _slides(
    files: Iterable[Path], pseudonyms: Pseudonyms
) -> tuple[dict[str, list[Path]], list[Result]]:
    slides: dict[str, list[Path]] = {}
    refused = []
    for file in files:
        try:
            slides.setdefault(_folder_name(file, pseudonyms), []).append(file)
        except RejectedError as error:
            refused.append(Result(files=1, error=error))
    return slides, refused


def _folder_name(file: Path, pseudonyms: Pseudonyms) -> str:
    """Name the slide that a file belongs to: study and container, else study and frame."""
    header = read_header(file)
    subject = read_subject(file, pseudonyms)
    slide = subject.container_identifier or header.text(0x00200052)
    return pseudonyms.identifier("other", subject.study_instance_uid, slide)


def _one(
    files: list[Path],
    folder: Path,
    method: Method,
    progress: Callable[[float, str], None],
) -> Result:
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        if folder.exists():
            raise ForbiddenAction(f"{folder} is there already; nothing is overwritten.")
        part.mkdir(parents=True)
        report = deidentify_slide(files, part, method, progress)
    except ApplianceError as error:
        shutil.rmtree(part, ignore_errors=True)
        return Result(files=len(files), error=error)
    part.rename(folder)
    return Result(files=len(files), folder=folder, report=report)

"""De-identification of whatever lies in a folder: sorted into slides, several at a time.

Every slide gets a folder below the target, named by its pseudonym. It is filled under another name
and renamed when it is whole, so that a run that ends anywhere leaves no half slide, and a later run
goes on with what is missing. Names and times of the files of the input are not carried over.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pydicom

from anonymizer.deidentify.apart import Died, run_apart
from anonymizer.deidentify.deidentify import deidentify_slide, rehearse_slide
from anonymizer.deidentify.groups import Card, card_of, names_of
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.report import DeidReport
from anonymizer.part10.elements import text
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.quiet import quiet_pydicom
from anonymizer.rewrite.marks import marked
from appliance.errors import ApplianceError, ConfigError, ForbiddenAction, RejectedError

Progress = Callable[[int, int, float], None]
"""Told how many slides of how many are done, and which share of all bytes."""

ALWAYS_S = 946_684_800
"""Time of every file and folder that is written, 2000-01-01: when it was made tells something."""

_MARKS = (0x00120063, 0x00120064)
_MOST_TOLD = 6


class OtherOptions(ForbiddenAction):
    """What is there already was made in another way."""

    code = "other-options"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slide:
    """Files that belong together."""

    name: str
    """Pseudonym of the slide, which names its folder."""
    files: tuple[Path, ...]
    places: tuple[int, ...]
    """Where the files stand in the order of their names, from 1: all that is told of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one slide, or of one file that belongs to none."""

    places: tuple[int, ...]
    name: str = ""
    folder: Path | None = None
    report: DeidReport | None = None
    error: ApplianceError | None = None

    @property
    def status(self) -> str:
        """One of done, planned, there and refused."""
        if self.error is not None:
            return "refused"
        if self.report is None:
            return "there"
        return "planned" if self.folder is None else "done"

    @property
    def sentence(self) -> str:
        """Say it in one line, without a value or a file name of the input."""
        match self.status:
            case "refused":
                return (
                    f"{len(self.places)} file(s) refused ({_ordinals(self.places)}): {self.error}"
                )
            case "there":
                return f"{self.folder}: is there already, left as it is."
            case "planned":
                return f"{self.name}: {self.report.plan_sentence if self.report else ''}"
            case _:
                return f"{self.folder}: {self.report.sentence if self.report else ''}"


def deidentify_folder(
    source: Path,
    target: Path,
    method: Method,
    progress: Progress = lambda _done, _slides, _share: None,
    jobs: int = 1,
) -> list[Result]:
    """De-identify every slide among the files of a folder, or of one file.

    A slide that is refused leaves nothing behind, and the others go on; one that is there already
    is left as it is. With more than one job every slide has a process of its own.

    Raises
    ------
    ConfigError
        The target cannot be written, or lies inside the source.
    """
    if target.resolve().is_relative_to(source.resolve()):
        raise ConfigError("The folder to write to lies inside the folder to read; name another.")
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{target} cannot be made or written.") from error
    slides, refused = sort_into_slides(source, method.pseudonyms)
    task = partial(_write, target=target, method=method)
    try:
        return refused + _each(slides, task, progress, jobs)
    finally:
        for slide in slides:
            shutil.rmtree(_part(target, slide), ignore_errors=True)


def rehearse_folder(
    source: Path,
    method: Method,
    progress: Progress = lambda _done, _slides, _share: None,
    jobs: int = 1,
) -> list[Result]:
    """Tell what would be done with every slide among the files, and write nothing."""
    slides, refused = sort_into_slides(source, method.pseudonyms)
    return refused + _each(slides, partial(_rehearse, method=method), progress, jobs)


def sort_into_slides(source: Path, pseudonyms: Pseudonyms) -> tuple[list[Slide], list[Result]]:
    """Sort files into slides; give also the files that belong to none.

    A DICOMDIR is not looked at: it names the files of the input (PS3.15 E.1.1).
    """
    found = sorted(path for path in source.rglob("*") if path.is_file()) or [source]
    files = [path for path in found if path.name != "DICOMDIR"]
    cards: dict[int, Card] = {}
    refused = []
    for place, file in enumerate(files, start=1):
        try:
            cards[place] = card_of(file, pseudonyms)
        except RejectedError as error:
            refused.append(Result(places=(place,), error=error))
    names = names_of(list(cards.values()))
    slides: dict[str, list[tuple[int, Path]]] = {}
    for place, card in cards.items():
        slides.setdefault(names[card.file], []).append((place, card.file))
    return [
        Slide(
            name=name,
            files=tuple(file for _, file in members),
            places=tuple(place for place, _ in members),
        )
        for name, members in sorted(slides.items())
    ], refused


def _each(
    slides: Sequence[Slide],
    task: Callable[[Slide, Callable[[float], None]], Result],
    progress: Progress,
    jobs: int,
) -> list[Result]:
    sizes = [sum(file.stat().st_size for file in slide.files) or 1 for slide in slides]
    shares = [0.0] * len(slides)
    whole: set[int] = set()

    def told(number: int, share: float) -> None:
        shares[number] = share
        if share >= 1.0:
            whole.add(number)
        done = sum(size * part for size, part in zip(sizes, shares, strict=True))
        progress(len(whole), len(slides), done / sum(sizes))

    outcomes = run_apart(slides, task, told, jobs)
    return [
        _died(slide, outcome) if isinstance(outcome, Died) else outcome
        for slide, outcome in zip(slides, outcomes, strict=True)
    ]


def _died(slide: Slide, died: Died) -> Result:
    words = f"The program failed on the slide ({died.how}); nothing of it was written."
    return Result(places=slide.places, name=slide.name, error=ApplianceError(words))


def _part(target: Path, slide: Slide) -> Path:
    return target / f".{slide.name}.part"


def _write(slide: Slide, told: Callable[[float], None], *, target: Path, method: Method) -> Result:
    folder, part = target / slide.name, _part(target, slide)
    try:
        if folder.exists():
            _check_made_alike(folder, method)
            return Result(places=slide.places, name=slide.name, folder=folder)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        report = deidentify_slide(
            slide.files, part, method, lambda share, _words: told(min(share, 0.999))
        )
        _freeze(part)
        part.rename(folder)
    except ApplianceError as error:
        return Result(places=slide.places, name=slide.name, error=error)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Result(places=slide.places, name=slide.name, folder=folder, report=report)


def _rehearse(slide: Slide, _told: Callable[[float], None], *, method: Method) -> Result:
    try:
        report = rehearse_slide(slide.files, method)
    except ApplianceError as error:
        return Result(places=slide.places, name=slide.name, error=error)
    return Result(places=slide.places, name=slide.name, report=report)


def _freeze(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        os.utime(path, (ALWAYS_S, ALWAYS_S))


def _check_made_alike(folder: Path, method: Method) -> None:
    """See that what is there was made by the options of today, so that nobody mistakes it."""
    first = next(iter(sorted(folder.glob("*.dcm"))), None)
    if first is None:
        raise OtherOptions(f"{folder} is there already and holds no slide; it is left alone.")
    with quiet_pydicom():
        data_set = pydicom.dcmread(first, specific_tags=list(_MARKS), stop_before_pixels=True)
    words = "\\".join(data_set.get("DeidentificationMethod") or ())
    codes = [str(one.CodeValue) for one in data_set.get("DeidentificationMethodCodeSequence") or ()]
    mark = next(one for one in marked((), method.profile) if one.tag == _MARKS[0])
    named = [*method.profile.method_codes, *method.profile.site_rules.options]
    if words != text(mark.value) or codes != named:
        raise OtherOptions(f"{folder} is there already and was made with other options.")


def _ordinals(places: Sequence[int]) -> str:
    """Tell files by their place in the order of names, since names may identify."""
    if len(places) == 1:
        return f"number {places[0]} by name"
    more = ", ..." if len(places) > _MOST_TOLD else ""
    return f"numbers {', '.join(str(place) for place in places[:_MOST_TOLD])}{more}"

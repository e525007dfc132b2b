"""De-identification of one slide: files in, files and a report out, or one clear refusal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from anonymizer.deidentify.method import Method
from anonymizer.deidentify.objects import Chosen, Objects, choose, kind_of, without_palette
from anonymizer.deidentify.report import DeidReport, ImageReport
from anonymizer.deidentify.subjects import Subjects, subjects_of
from anonymizer.gate.findings import Judged
from anonymizer.gate.gate import check
from anonymizer.gate.needles import needles_of
from anonymizer.part10.elements import Element, Header
from anonymizer.part10.reading import read_header
from anonymizer.pixels.frames import number_of_frames
from anonymizer.pixels.writing import write_object
from anonymizer.profile.decide import Profile
from anonymizer.profile.iod import iod_of
from anonymizer.profile.options import CLEAN_PIXEL_DATA
from anonymizer.rewrite.apply import Replacements, apply, specimens_of
from anonymizer.rewrite.marks import marked
from anonymizer.rewrite.plan import Planned, plan, steps
from anonymizer.sight.sight import Seen
from appliance.errors import InvalidInstance

Progress = Callable[[float, str], None]
"""Told the share that is done, 0 to 1, and what is being done."""

Plans = Mapping[Path, tuple[Planned, ...]]

_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018


def deidentify_slide(
    files: Sequence[Path],
    output: Path,
    method: Method,
    progress: Progress = lambda _share, _words: None,
) -> DeidReport:
    """De-identify the images of one slide and what was made from them, or single objects.

    Parameters
    ----------
    files
        All DICOM files of the slide, in any order.
    output
        Existing folder; gets volume-00.dcm, volume-01.dcm ... finest first, then seg-00.dcm,
        sr-00.dcm and so on, and nothing else.
    method
        Profile and pseudonyms; the same method gives the same bytes, on any day.
    progress
        Told how far it is.

    Raises
    ------
    InvalidInstance
        A file is damaged or of a kind that nobody knows.
    IncompleteSlide
        No image is left that surely shows only tissue.
    IdentityDoubt
        The files name different patients, or something identifying was found in the output.
    StorageFull
        The disk is full.
    """
    with _vanishing(files):
        return _deidentified(files, output, method, progress)


def _deidentified(
    files: Sequence[Path], output: Path, method: Method, progress: Progress
) -> DeidReport:
    headers = sorted((read_header(file) for file in files), key=_name)
    label = method.sight.check_label(headers) if method.sight else None
    objects = choose(headers, clean_pixels=CLEAN_PIXEL_DATA in method.profile.options)
    plans = plans_of(headers, method.profile)
    subjects = subjects_of(headers, method.pseudonyms)
    count = _Counter([one.header for one in objects.kept], progress)
    images = []
    for one in objects.kept:
        planned = plans[one.header.path]
        elements = _rewritten(one, planned, subjects, method)
        write_object(output / one.name, one.header, elements, count.add)
        frames = number_of_frames(elements) if one.header.pixels is not None else 0
        images.append(ImageReport(file=one.name, frames=frames, steps=steps(planned)))
    progress(1.0, "looking for text")
    seen = _looked_at(objects, output, headers, method)
    needles = needles_of(
        ((header, plans[header.path]) for header in headers), subjects.by_path.values()
    )
    judged = Judged()
    for image in images:
        progress(1.0, "checking")
        judged.add(check(output / image.file, needles, method.profile))
    return DeidReport(
        key_id=method.pseudonyms.key_id,
        profile=method.profile,
        images=tuple(images),
        dropped=tuple((kind, str(doubt)) for kind, doubt in objects.dropped),
        looked_for=dict(needles.counts()),
        too_short=needles.too_short,
        not_sought=dict(needles.not_sought) | judged.not_told_apart(),
        judged=dict(judged.counts),
        seen=replace(seen, label=label.agreement if label else None),
    )


def rehearse_slide(files: Sequence[Path], method: Method) -> DeidReport:
    """Tell what would be done with a slide, from its headers alone; nothing is written.

    Neither pixels nor label are looked at, and the gate has nothing to search, so that a slide
    which passes here may still be refused.

    Raises
    ------
    RejectedError
        The slide would be refused for what its headers say.
    """
    headers = sorted((read_header(file) for file in files), key=_name)
    objects = choose(headers, clean_pixels=CLEAN_PIXEL_DATA in method.profile.options)
    plans = plans_of(headers, method.profile)
    subjects = subjects_of(headers, method.pseudonyms)
    needles = needles_of(
        ((header, plans[header.path]) for header in headers), subjects.by_path.values()
    )
    return DeidReport(
        key_id=method.pseudonyms.key_id,
        profile=method.profile,
        images=tuple(
            ImageReport(
                file=one.name,
                frames=number_of_frames(one.header.elements) if one.header.pixels else 0,
                steps=steps(plans[one.header.path]),
            )
            for one in objects.kept
        ),
        dropped=tuple((kind, str(doubt)) for kind, doubt in objects.dropped),
        looked_for=dict(needles.counts()),
        too_short=needles.too_short,
        not_sought=dict(needles.not_sought),
    )


@contextmanager
def _vanishing(files: Sequence[Path]) -> Iterator[None]:
    """Say in our words that a file went away meanwhile."""
    try:
        yield
    except FileNotFoundError as error:
        if all(file.exists() for file in files):
            raise
        raise InvalidInstance("A file of the slide is not there any more.") from error


def _name(header: Header) -> str:
    """Order that does not depend on the names of files, so that the report does not either."""
    return header.text(_SOP_INSTANCE)


def _looked_at(objects: Objects, output: Path, headers: Sequence[Header], method: Method) -> Seen:
    """Look for text on the new images that a lens made; computed ones have no letters."""
    if method.sight is None:
        return Seen()
    files: dict[str, list[Path]] = {"volume": [], "image": []}
    for one in objects.kept:
        files.setdefault(kind_of(one.header), []).append(output / one.name)
    return method.sight.check_pixels(files["volume"], files["image"], headers)


def plans_of(headers: Sequence[Header], profile: Profile) -> Plans:
    """Plan every object by its IOD, also those that are left out."""
    return {one.path: plan(one.elements, iod_of(one.text(_SOP_CLASS)), profile) for one in headers}


def _rewritten(
    one: Chosen, planned: Sequence[Planned], subjects: Subjects, method: Method
) -> tuple[Element, ...]:
    subject = subjects.by_path[one.header.path]
    replacements = Replacements(
        pseudonyms=method.pseudonyms,
        subject=subject,
        specimens=specimens_of(planned, subject),
        names=subjects.names,
    )
    return without_palette(marked(apply(planned, replacements), method.profile))


class _Counter:
    """Turns bytes that were copied into a share of the slide."""

    def __init__(self, headers: Sequence[Header], progress: Progress) -> None:
        self._total = max(1, sum(header.path.stat().st_size for header in headers))
        self._done = 0
        self._progress = progress

    def add(self, count: int) -> None:
        self._done += count
        self._progress(min(1.0, self._done / self._total), "taking the identity off")

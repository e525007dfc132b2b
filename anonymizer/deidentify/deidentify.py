"""De-identification of one slide: files in, files and a report out, or one clear refusal."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from anonymizer.deidentify.apply import Replacements, apply, marked, specimens_of
from anonymizer.deidentify.elements import Header
from anonymizer.deidentify.frames import number_of_frames
from anonymizer.deidentify.gate import check
from anonymizer.deidentify.images import select
from anonymizer.deidentify.iod import whole_slide_image
from anonymizer.deidentify.needles import needles_of
from anonymizer.deidentify.part10 import write_object
from anonymizer.deidentify.plan import Planned, plan, steps
from anonymizer.deidentify.quiet import quiet_pydicom
from anonymizer.deidentify.reading import read_header
from anonymizer.deidentify.report import DeidReport, ImageReport, looked_for
from anonymizer.pseudonyms import Pseudonyms, Subject, subject_of
from appliance.errors import IdentityDoubt, InvalidInstance

Progress = Callable[[float, str], None]
"""Told the share that is done, 0 to 1, and what is being done."""

_IDENTITY = (
    "SpecificCharacterSet",
    "StudyInstanceUID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "ContainerIdentifier",
    "IssuerOfTheContainerIdentifierSequence",
    "SpecimenDescriptionSequence",
)


def deidentify_slide(
    files: Sequence[Path],
    output: Path,
    pseudonyms: Pseudonyms,
    progress: Progress = lambda _share, _words: None,
) -> DeidReport:
    """De-identify the images of one slide.

    Parameters
    ----------
    files
        All DICOM files of the slide, in any order.
    output
        Existing folder; gets volume-00.dcm, volume-01.dcm ... finest first, and nothing else.
    pseudonyms
        The same key gives the same bytes, on any day.
    progress
        Told how far it is.

    Raises
    ------
    InvalidInstance
        A file is damaged or no whole-slide image.
    IncompleteSlide
        No image is left that surely shows only tissue.
    IdentityDoubt
        The images name different patients, or something identifying was found in the output.
    StorageFull
        The disk is full.
    """
    headers = [read_header(file) for file in files]
    selection = select(headers)
    plans = {header.path: plan(header.elements, whole_slide_image()) for header in headers}
    subjects = {header.path: read_subject(header.path, pseudonyms) for header in headers}
    _check_one_patient(list(subjects.values()))
    count = _Counter(selection.kept, progress)
    images = tuple(
        _write_image(
            header,
            output / f"volume-{number:02d}.dcm",
            plans[header.path],
            Replacements(
                pseudonyms=pseudonyms,
                subject=subjects[header.path],
                specimens=specimens_of(plans[header.path], subjects[header.path]),
            ),
            count,
        )
        for number, header in enumerate(selection.kept)
    )
    needles = needles_of((header, plans[header.path]) for header in headers)
    for image in images:
        progress(1.0, "checking")
        check(output / image.file, needles)
    return DeidReport(
        key_id=pseudonyms.key_id,
        images=images,
        dropped=tuple((flavor, str(doubt)) for flavor, doubt in selection.dropped),
        looked_for=looked_for(needles),
        too_short=needles.too_short,
    )


def read_subject(file: Path, pseudonyms: Pseudonyms) -> Subject:
    """Read who a file belongs to, as pseudonyms.

    Raises
    ------
    InvalidInstance
        The file is damaged.
    """
    try:
        with quiet_pydicom():
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_IDENTITY))
            return subject_of(header, pseudonyms)
    except (InvalidDicomError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise InvalidInstance("The identity in a file of the slide cannot be read.") from error


class _Counter:
    """Turns bytes that were copied into a share of the slide."""

    def __init__(self, headers: Sequence[Header], progress: Progress) -> None:
        self._total = max(1, sum(header.path.stat().st_size for header in headers))
        self._done = 0
        self._progress = progress

    def add(self, count: int) -> None:
        self._done += count
        self._progress(min(1.0, self._done / self._total), "taking the identity off")


def _write_image(
    header: Header,
    target: Path,
    planned: Sequence[Planned],
    replacements: Replacements,
    count: _Counter,
) -> ImageReport:
    elements = marked(apply(planned, replacements))
    write_object(target, header, elements, count.add)
    return ImageReport(file=target.name, frames=number_of_frames(elements), steps=steps(planned))


def _check_one_patient(subjects: Sequence[Subject]) -> None:
    patients = {(subject.patient_id, subject.study_instance_uid) for subject in subjects}
    containers = {subject.container_identifier for subject in subjects} - {""}
    if len(patients) > 1 or len(containers) > 1:
        raise IdentityDoubt("The images of the slide name more than one patient or slide.")

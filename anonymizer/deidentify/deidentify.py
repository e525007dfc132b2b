"""De-identification of one slide: files in, files and a report out, or one clear refusal."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from anonymizer.deidentify.images import select
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.report import DeidReport, ImageReport, looked_for
from anonymizer.gate.gate import check
from anonymizer.gate.needles import needles_of
from anonymizer.part10.elements import Header
from anonymizer.part10.reading import read_header
from anonymizer.pixels.frames import number_of_frames
from anonymizer.pixels.writing import write_object
from anonymizer.profile.iod import whole_slide_image
from anonymizer.pseudonyms import Pseudonyms, Subject, subject_of
from anonymizer.quiet import quiet_pydicom
from anonymizer.rewrite.apply import Replacements, apply, marked, specimens_of
from anonymizer.rewrite.plan import plan, steps
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
    method: Method,
    progress: Progress = lambda _share, _words: None,
) -> DeidReport:
    """De-identify the images of one slide.

    Parameters
    ----------
    files
        All DICOM files of the slide, in any order.
    output
        Existing folder; gets volume-00.dcm, volume-01.dcm ... finest first, and nothing else.
    method
        Profile and pseudonyms; the same method gives the same bytes, on any day.
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
    shape = whole_slide_image()
    plans = {one.path: plan(one.elements, shape, method.profile) for one in headers}
    subjects = {header.path: read_subject(header.path, method.pseudonyms) for header in headers}
    _check_one_patient(list(subjects.values()))
    count = _Counter(selection.kept, progress)
    images = []
    for number, header in enumerate(selection.kept):
        planned, subject = plans[header.path], subjects[header.path]
        replacements = Replacements(
            pseudonyms=method.pseudonyms,
            subject=subject,
            specimens=specimens_of(planned, subject),
        )
        elements = marked(apply(planned, replacements), method.profile)
        target = output / f"volume-{number:02d}.dcm"
        write_object(target, header, elements, count.add)
        images.append(
            ImageReport(file=target.name, frames=number_of_frames(elements), steps=steps(planned))
        )
    needles = needles_of((header, plans[header.path]) for header in headers)
    for image in images:
        progress(1.0, "checking")
        check(output / image.file, needles, method.profile)
    return DeidReport(
        key_id=method.pseudonyms.key_id,
        profile=method.profile,
        images=tuple(images),
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


def _check_one_patient(subjects: Sequence[Subject]) -> None:
    patients = {(subject.patient_id, subject.study_instance_uid) for subject in subjects}
    containers = {subject.container_identifier for subject in subjects} - {""}
    if len(patients) > 1 or len(containers) > 1:
        raise IdentityDoubt("The images of the slide name more than one patient or slide.")

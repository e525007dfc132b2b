"""Whose the objects of a slide are, and what their identifiers are replaced with.

What was made from a slide repeats its identifiers, often without saying who issued them. Beside
the slide they get the pseudonyms that they have there; by itself an object speaks for itself.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from anonymizer.deidentify.objects import is_slide
from anonymizer.part10.elements import Header, encode
from anonymizer.pseudonyms import Pseudonyms, Subject, subject_of, text_of
from anonymizer.quiet import FOREIGN, quiet_pydicom
from appliance.errors import IdentityDoubt, InvalidInstance

Names = Mapping[tuple[str, str], str]
"""What an identifier names, and the identifier -> its pseudonym."""

_IDENTITY: Final = frozenset(
    tag_for_keyword(word)
    for word in (
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
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """Who the objects of one slide belong to."""

    by_path: Mapping[Path, Subject]
    names: Names
    """Identifiers of the slide, for objects that name them in their content."""


def subjects_of(headers: Sequence[Header], pseudonyms: Pseudonyms) -> Subjects:
    """Say whose the objects of one slide are.

    Raises
    ------
    InvalidInstance
        The identity in one is damaged.
    IdentityDoubt
        They name more than one patient, study or slide.
    """
    identities = {header.path: _identity(header) for header in headers}
    own = {path: _subject(one, pseudonyms) for path, one in identities.items()}
    slides = [one.path for one in headers if is_slide(one)]
    first = slides or list(own)
    names = {key: name for path in first for key, name in _named(identities[path], own[path])}
    joined = {
        path: subject if path in first else _joined(subject, identities[path], names)
        for path, subject in own.items()
    }
    if slides:
        joined = {path: _moved(subject, own[slides[0]]) for path, subject in joined.items()}
    _check_one_patient(list(joined.values()))
    return Subjects(by_path=joined, names=names)


def subject_in(header: Header, pseudonyms: Pseudonyms) -> Subject:
    """Give whom a header belongs to by itself, as pseudonyms.

    Raises
    ------
    InvalidInstance
        The identity is damaged.
    """
    return _subject(_identity(header), pseudonyms)


def _identity(header: Header) -> Dataset:
    """Let pydicom see no more than the identity, as our own reader found it.

    So a file which two readers read differently has one identity, and a hostile one costs little.
    """
    content = encode(element for element in header.elements if element.tag in _IDENTITY)
    try:
        with quiet_pydicom():
            return read_dataset(io.BytesIO(content), is_implicit_VR=False, is_little_endian=True)
    except FOREIGN as error:
        raise _damaged() from error


def _subject(identity: Dataset, pseudonyms: Pseudonyms) -> Subject:
    try:
        return subject_of(identity, pseudonyms)
    except FOREIGN as error:
        raise _damaged() from error


def _damaged() -> InvalidInstance:
    return InvalidInstance("The identity in a file of the slide cannot be read.")


def _named(identity: Dataset, subject: Subject) -> Iterator[tuple[tuple[str, str], str]]:
    """Give every identifier of a header with its pseudonym."""
    with quiet_pydicom():
        found = [
            ("patient_id", text_of(identity, "PatientID"), subject.patient_id),
            ("accession_number", text_of(identity, "AccessionNumber"), subject.accession_number),
            (
                "container_identifier",
                text_of(identity, "ContainerIdentifier"),
                subject.container_identifier,
            ),
            *zip(
                ["specimen_identifier"] * len(subject.specimen_identifiers),
                _specimens(identity),
                subject.specimen_identifiers,
                strict=True,
            ),
        ]
    yield from (((domain, value), name) for domain, value, name in found if value)


def _specimens(identity: Dataset) -> list[str]:
    described = identity.get("SpecimenDescriptionSequence") or ()
    return [
        text_of(specimen, "SpecimenIdentifier")
        for specimen in described
        if "SpecimenIdentifier" in specimen
    ]


def _joined(subject: Subject, identity: Dataset, names: Names) -> Subject:
    """Give an object the pseudonyms of the slide for the identifiers that it repeats.

    A patient number that says who issued it stands for itself.
    """
    known = {mine: names.get(key, mine) for key, mine in _named(identity, subject)}
    with quiet_pydicom():
        issued = bool(text_of(identity, "IssuerOfPatientID"))

    def of(mine: str) -> str:
        return known.get(mine, mine)

    return replace(
        subject,
        patient_id=subject.patient_id if issued else of(subject.patient_id),
        accession_number=of(subject.accession_number),
        container_identifier=of(subject.container_identifier),
        specimen_identifiers=tuple(of(one) for one in subject.specimen_identifiers),
    )


def _moved(subject: Subject, slide: Subject) -> Subject:
    """Move the dates of one patient's objects by one number of weeks."""
    same = subject.patient_id == slide.patient_id
    return replace(subject, shift_weeks=slide.shift_weeks) if same else subject


def _check_one_patient(subjects: Sequence[Subject]) -> None:
    patients = {(subject.patient_id, subject.study_instance_uid) for subject in subjects}
    containers = {subject.container_identifier for subject in subjects} - {""}
    if len(patients) > 1 or len(containers) > 1:
        raise IdentityDoubt("The images of the slide name more than one patient or slide.")

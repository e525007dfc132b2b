"""Whether a product belongs to the identity that is about to be written on it.

Every pseudonym and UID is computed anew from the sealed original header and compared with the
product. Rows of the vault that were swapped, or a report of another slide, show here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom import DataElement, Dataset

from anonymizer.pseudonyms import Domain, Pseudonyms, Subject, issuer_in, subject_of, text_of
from appliance.errors import IdentityDoubt
from appliance.slides.identity import SealedIdentity

_CONTAINER_CONCEPT: Final = ("111700", "DCM")
"""Specimen Container Identifier (TID 1009)."""

PREDECESSORS: Final = "PredecessorDocumentsSequence"
"""The reports that a report supersedes (PS3.3 C.17.2.3): they name no image of this slide."""

_IDENTIFIERS: Final[tuple[tuple[str, Domain, str], ...]] = (
    ("PatientID", "patient_id", "IssuerOfPatientID"),
    ("AccessionNumber", "accession_number", "IssuerOfAccessionNumberSequence"),
    ("ContainerIdentifier", "container_identifier", "IssuerOfTheContainerIdentifierSequence"),
    ("SpecimenIdentifier", "specimen_identifier", "IssuerOfTheSpecimenIdentifierSequence"),
)

TEXTS: Final = frozenset({"LO", "SH", "LT", "ST", "UT", "UC", "PN", "CS", "AE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverse:
    """The way back from pseudonyms to originals, for one slide."""

    header: Dataset
    """Original header."""
    subject: Subject
    uids: dict[str, str]
    """Pseudonymous UID -> original."""
    texts: dict[str, str]
    """Pseudonymous identifier -> original."""
    instances: frozenset[str]
    """Pseudonymous SOP Instance UIDs of the slide's instances."""


def inverse_of(identity: SealedIdentity, pseudonyms: Pseudonyms) -> Inverse:
    """Compute every pseudonym of a slide anew from its sealed identity."""
    header = identity.dataset()
    subject = subject_of(header, pseudonyms)
    uids = {pseudonyms.entity_uid(uid): uid for uid in identity.uids}
    texts = dict(_identifiers(header, pseudonyms))
    texts[subject.patient_id] = text_of(header, "PatientID")
    return Inverse(
        header=header,
        subject=subject,
        uids={new: old for new, old in uids.items() if new != old},
        texts=texts,
        instances=frozenset(
            pseudonyms.entity_uid(one.sop_instance_uid) for one in identity.instances
        ),
    )


def check_belongs(product: Dataset, inverse: Inverse, *, own: frozenset[str]) -> None:
    """Compare a pseudonymous product with the identity it is about to get.

    Parameters
    ----------
    product
        SR, SEG or ANN that was made on the de-identified header, or de-identified itself.
    inverse
        Of the identity from the vault.
    own
        SOP Instance UIDs of the products of this slide, which may name each other.

    Raises
    ------
    IdentityDoubt
        Patient, study, container or a referenced instance is another slide's.
    """
    subject = inverse.subject
    expected = {
        "PatientID": subject.patient_id,
        "StudyInstanceUID": subject.study_instance_uid,
        "AccessionNumber": subject.accession_number,
        "ContainerIdentifier": subject.container_identifier,
    }
    for keyword, value in expected.items():
        found = text_of(product, keyword)
        required = keyword in {"PatientID", "StudyInstanceUID"}
        if found != value and (found or required):
            raise IdentityDoubt(f"The report does not belong to this identity ({keyword} differs).")
    container = text_of(inverse.header, "ContainerIdentifier")
    if any(inverse.texts.get(text) != container for text in _containers(product)):
        raise IdentityDoubt("The report does not belong to this identity (container differs).")
    _check_references(product, inverse, own)


def check_restored(restored: Dataset, inverse: Inverse) -> None:
    """See that no pseudonym is left on a restored product.

    Raises
    ------
    IdentityDoubt
        One is.
    """
    left = inverse.uids.keys() | inverse.texts.keys()
    for element in walk(restored):
        if any(value in left for value in values_of(element)):
            raise IdentityDoubt("A pseudonym was left on the restored report.")


def walk(dataset: Dataset) -> Iterator[DataElement]:
    """Every element that is no sequence, at every depth."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from walk(item)
        else:
            yield element


def _walk_items(sequence: DataElement) -> Iterator[DataElement]:
    for item in sequence.value:
        yield from walk(item)


def values_of(element: DataElement) -> tuple[str, ...]:
    """Values of a text or UID element; nothing for other kinds."""
    if element.VR not in TEXTS and element.VR != "UI":
        return ()
    if element.value is None:
        return ()
    if element.VM > 1:
        return tuple(str(value) for value in element.value)
    return (str(element.value),)


def _identifiers(dataset: Dataset, pseudonyms: Pseudonyms) -> Iterator[tuple[str, str]]:
    for keyword, domain, issuer_keyword in _IDENTIFIERS:
        value = text_of(dataset, keyword)
        if value:
            issuer = (
                text_of(dataset, issuer_keyword)
                if issuer_keyword == "IssuerOfPatientID"
                else issuer_in(dataset, issuer_keyword)
            )
            yield pseudonyms.identifier(domain, issuer, value), value
            # The content of a report names a container and a specimen without their issuer.
            yield pseudonyms.identifier(domain, "", value), value
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _identifiers(item, pseudonyms)


def _containers(product: Dataset) -> Iterator[str]:
    """Container identifiers that the content tree of an SR names."""
    for item in product.get("ContentSequence") or []:
        name = (item.get("ConceptNameCodeSequence") or [Dataset()])[0]
        code = (text_of(name, "CodeValue"), text_of(name, "CodingSchemeDesignator"))
        if code == _CONTAINER_CONCEPT:
            yield text_of(item, "TextValue")
        yield from _containers(item)


def _check_references(product: Dataset, inverse: Inverse, own: frozenset[str]) -> None:
    named = {
        str(element.value)
        for top in product
        if top.keyword != PREDECESSORS
        for element in ([top] if top.VR != "SQ" else _walk_items(top))
        if element.keyword == "ReferencedSOPInstanceUID"
    }
    if not named & inverse.instances or not named <= inverse.instances | own:
        raise IdentityDoubt("The report does not belong to this identity (its images differ).")

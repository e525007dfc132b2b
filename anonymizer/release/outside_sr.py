"""The report for outside: checked item by item against the list, then written anew.

The stage that made it saw no identity, but it reads pixels and could be made to say anything; so
nothing is passed on because it looks harmless. What is on the list is copied value by value into
a new data set; one item that is not on the list, and the slide is set aside.
"""

import math
from typing import Final

from pydicom import Dataset
from pydicom.sequence import Sequence

from anonymizer.pseudonyms import Pseudonyms, text_of
from anonymizer.release.outside_list import (
    ARTIFACT,
    CHECKED_SEQUENCES,
    CONCEPTS,
    CONSTANT_DATE,
    CONSTANT_TIME,
    EMPTY_SEQUENCES,
    ENVELOPE,
    KINDS,
    KINDS_OF_ARTIFACT,
    MODEL,
    PRIVATE_SCHEME,
    PRIVATE_SCHEME_UID,
    REPLACED_SEQUENCES,
    REPORT,
    Code,
    Coded,
    Container,
    Item,
    Number,
    Text,
)
from appliance.errors import DeliveryRefused

_SIGNIFICANT: Final = 3
"""Digits of a number: an area in six would be a fingerprint of the slide."""

Models = tuple[tuple[str, str], ...]
"""Names and versions, in the order in which they may leave."""

_UIDS: Final = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_NAMED: Final = frozenset({"RelationshipType", "ValueType", "ConceptNameCodeSequence"})
_VALUES: Final = {
    "CONTAINER": frozenset({"ContinuityOfContent", "ContentSequence"}),
    "CODE": frozenset({"ConceptCodeSequence"}),
    "NUM": frozenset({"MeasuredValueSequence"}),
    "TEXT": frozenset({"TextValue"}),
}
"""What an item may hold beside its name."""


def outside_report(
    report: Dataset, *, patient: str, recipient: Pseudonyms, models: Models
) -> Dataset:
    """Check the bare report and write it anew for one recipient.

    Parameters
    ----------
    report
        `outside_sr.dcm` as the report stage made it.
    patient
        Pseudonym of the patient inside the appliance.
    recipient
        Pseudonyms of the recipient (`Pseudonyms.for_recipient`).
    models
        Names and versions that may be told (`pinned_models`); of any other model nothing leaves.

    Returns
    -------
    Dataset
        Constant dates, UIDs and a patient of this recipient's own, and the allowed content.

    Raises
    ------
    DeliveryRefused
        The report holds anything that is not on the list.
    """
    _check_envelope(report)
    name = recipient.identifier("patient_id", "coverslip", patient)
    fresh = Dataset()
    fresh.SpecificCharacterSet = "ISO_IR 192"
    fresh.SOPClassUID = report.SOPClassUID
    for keyword in _UIDS:
        setattr(fresh, keyword, recipient.entity_uid(text_of(report, keyword)))
    for kind in ("Study", "Content"):
        setattr(fresh, f"{kind}Date", CONSTANT_DATE)
        setattr(fresh, f"{kind}Time", CONSTANT_TIME)
    for keyword in ("AccessionNumber", "ReferringPhysicianName", "StudyID"):
        setattr(fresh, keyword, "")
    fresh.Modality = "SR"
    fresh.Manufacturer = "Coverslip"
    fresh.PatientName, fresh.PatientID = name, name
    fresh.PatientBirthDate, fresh.PatientSex = "", ""
    fresh.PatientIdentityRemoved = "YES"
    fresh.DeidentificationMethod = "Coverslip outside report: allow-list of concepts"
    fresh.SeriesNumber, fresh.InstanceNumber = 1, 1
    fresh.CompletionFlag = "COMPLETE"
    fresh.VerificationFlag = "UNVERIFIED"
    for keyword in EMPTY_SEQUENCES:
        setattr(fresh, keyword, Sequence())
    fresh.CodingSchemeIdentificationSequence = Sequence([_scheme()])
    fresh.update(_copied(report, REPORT, models))
    return fresh


def _check_envelope(report: Dataset) -> None:
    for element in report:
        keyword = element.keyword
        if keyword in CHECKED_SEQUENCES | REPLACED_SEQUENCES:
            continue
        if keyword in EMPTY_SEQUENCES:
            allowed = len(element.value) == 0
        else:
            check = ENVELOPE.get(keyword)
            allowed = check is not None and element.VM <= 1 and check(text_of(report, keyword))
        if not allowed:
            raise _refused(f"attribute {keyword or 'without a name'}")
    for keyword in ("SOPClassUID", *_UIDS):
        if keyword not in report:
            raise _refused(f"no {keyword}")


def _scheme() -> Dataset:
    """Identify our private codes (PS3.3 C.12.1.1.7)."""
    item = Dataset()
    item.CodingSchemeDesignator = PRIVATE_SCHEME
    item.CodingSchemeUID = PRIVATE_SCHEME_UID
    item.CodingSchemeName = "Coverslip slide quality concepts"
    item.CodingSchemeVersion = "1"
    item.CodingSchemeResponsibleOrganization = "Coverslip"
    return item


def _copied(item: Dataset, listed: Item, models: Models) -> Dataset:
    """Copy the value of one content item, and all below it, as the list has it."""
    if _named(item) != (KINDS[type(listed)], listed.concept):
        raise _refused("a content item that is not on the list")
    copied = Dataset()
    copied.ValueType = KINDS[type(listed)]
    copied.ConceptNameCodeSequence = Sequence([_coded(listed.concept)])
    match listed:
        case Container():
            copied.ContinuityOfContent = "SEPARATE"
            copied.ContentSequence = Sequence(_children(item, listed, models))
        case Coded():
            value = _concept(item, "ConceptCodeSequence")
            if value not in listed.values:
                raise _refused("a code that is no value of its concept")
            copied.ConceptCodeSequence = Sequence([_coded(value)])
        case Number():
            copied.MeasuredValueSequence = Sequence([_number(item, listed)])
        case Text():
            copied.TextValue = _text(item, listed)
    return copied


def _children(item: Dataset, listed: Container, models: Models) -> list[Dataset]:
    """Copy what is in a container: each once, in the order of the list, which can tell nothing."""
    if text_of(item, "ContinuityOfContent") != "SEPARATE":
        raise _refused("a container that is no list")
    allowed = {(KINDS[type(one)], one.concept): one for one in listed.items}
    children: dict[tuple[int, int], Dataset] = {}
    for child in item.get("ContentSequence") or []:
        kind, concept = _named(child)
        one = allowed.get((kind, concept))
        if one is None:
            raise _refused("a content item that is not on the list")
        if {element.keyword for element in child} - _NAMED - _VALUES[kind]:
            raise _refused("a content item with more in it than its value")
        if text_of(child, "RelationshipType") != "CONTAINS":
            raise _refused("a content item that is not simply contained")
        copied = _copied(child, one, models)
        copied.RelationshipType = "CONTAINS"
        rank = _rank(copied, one, models)
        if rank is None:
            continue
        place = listed.items.index(one), rank
        if place in children:
            raise _refused("a content item that stands there twice")
        children[place] = copied
    return [children[place] for place in sorted(children)]


def _rank(copied: Dataset, listed: Item, models: Models) -> int | None:
    """Give the place among its like; None for a model that may not be told."""
    if listed not in (ARTIFACT, MODEL):
        return 0
    values = list(copied.ContentSequence)
    if len(values) != len(ARTIFACT.items if listed is ARTIFACT else MODEL.items):
        raise _refused("an artifact or a model that is not whole")
    if listed is MODEL:
        named = text_of(values[0], "TextValue"), text_of(values[1], "TextValue")
        return models.index(named) if named in models else None
    return KINDS_OF_ARTIFACT.index(_concept(values[0], "ConceptCodeSequence"))


def _named(item: Dataset) -> tuple[str, Code]:
    return text_of(item, "ValueType"), _concept(item, "ConceptNameCodeSequence")


def _number(item: Dataset, listed: Number) -> Dataset:
    measured = _only(item, "MeasuredValueSequence")
    keywords = {element.keyword for element in measured}
    if keywords != {"NumericValue", "MeasurementUnitsCodeSequence"}:
        raise _refused("a number with more in it than its value")
    try:
        value = float(text_of(measured, "NumericValue"))
    except ValueError as error:
        raise _refused("a number that is none") from error
    unit = _concept(measured, "MeasurementUnitsCodeSequence")
    if not math.isfinite(value) or not 0 <= value <= listed.most or unit != listed.unit:
        raise _refused("a number that is no area or share")
    number = Dataset()
    number.NumericValue = f"{value:.{_SIGNIFICANT}g}"
    number.MeasurementUnitsCodeSequence = Sequence([_coded(unit)])
    return number


def _text(item: Dataset, listed: Text) -> str:
    text = text_of(item, "TextValue")
    if not listed.form.fullmatch(text):
        raise _refused("a text that may not leave")
    return text


def _concept(item: Dataset, keyword: str) -> Code:
    """Read a coded concept that is on the list, and nothing else beside it."""
    code = _only(item, keyword)
    concept = text_of(code, "CodeValue"), text_of(code, "CodingSchemeDesignator")
    known = {"CodeValue", "CodingSchemeDesignator", "CodeMeaning"}
    if concept not in CONCEPTS or {element.keyword for element in code} - known:
        raise _refused("a concept that is not on the list")
    return concept


def _coded(concept: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = concept
    item.CodeMeaning = CONCEPTS[concept]
    return item


def _only(item: Dataset, keyword: str) -> Dataset:
    items = item.get(keyword)
    if not items or len(items) != 1:
        raise _refused(f"not exactly one {keyword}")
    only = items[0]
    assert isinstance(only, Dataset)  # noqa: S101  for the type checker
    return only


def _refused(what: str) -> DeliveryRefused:
    return DeliveryRefused(f"The report for outside holds what may not leave: {what}.")

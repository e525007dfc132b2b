"""The report for outside: checked item by item against an allow-list, then written anew.

The stage that made it saw no identity, but it reads pixels and could be made to say anything; so
nothing is passed on because it looks harmless. What is on the list is copied value by value into
a new data set; one item that is not on the list, and the slide is set aside.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from anonymizer.pseudonyms import Pseudonyms, text_of
from appliance.errors import DeliveryRefused

CONSTANT_DATE: Final = "19000101"
CONSTANT_TIME: Final = "000000"

Code = tuple[str, str]
"""Code Value and Coding Scheme Designator."""

_SR_CLASSES: Final = frozenset(
    {EnhancedSRStorage, ComprehensiveSRStorage, Comprehensive3DSRStorage}
)

_PRIVATE_SCHEME: Final = "99COVERSLIP"
_PRIVATE_SCHEME_UID: Final = "2.25.195230264866180264716087453014271906315"

CONCEPTS: Final[Mapping[Code, str]] = {
    ("126000", "DCM"): "Imaging Measurement Report",
    ("111050", "DCM"): "Quality Assessment",
    ("111235", "DCM"): "Unusable - Quality renders image unusable",
    ("111236", "DCM"): "Usable - Does not meet the quality control standard",
    ("111237", "DCM"): "Usable - Meets the quality control standard",
    ("111001", "DCM"): "Algorithm Name",
    ("111003", "DCM"): "Algorithm Version",
    ("42798000", "SCT"): "Area",
    ("47973001", "SCT"): "Artifact",
    ("kind-of-artifact", _PRIVATE_SCHEME): "Kind of artifact",
    ("share-of-tissue", _PRIVATE_SCHEME): "Share of tissue area",
    ("fold", _PRIVATE_SCHEME): "Tissue fold",
    ("dark-spot", _PRIVATE_SCHEME): "Dark spot or foreign body",
    ("pen", _PRIVATE_SCHEME): "Pen mark",
    ("bubble", _PRIVATE_SCHEME): "Air bubble",
    ("out-of-focus", _PRIVATE_SCHEME): "Out of focus",
    ("87612001", "SCT"): "Blood",
    ("mm2", "UCUM"): "square millimeter",
    ("%", "UCUM"): "percent",
}
"""Every concept that may leave. The meaning is written from here, never copied."""

_TEXTS: Final[Mapping[Code, re.Pattern[str]]] = {
    ("111001", "DCM"): re.compile(r"[a-z][a-z0-9-]{0,31}"),
    ("111003", "DCM"): re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}"),
}
"""Texts that may leave: names and versions of models."""

_UNITS: Final[Mapping[Code, Code]] = {
    ("42798000", "SCT"): ("mm2", "UCUM"),
    ("share-of-tissue", _PRIVATE_SCHEME): ("%", "UCUM"),
}
"""Numbers that may leave, and their units."""

_MOST_ITEMS: Final = 64
_DEEPEST: Final = 2
_SIGNIFICANT: Final = 6

_EMPTY: Final = frozenset({""})
_DATES: Final = frozenset({"", CONSTANT_DATE})
_TIMES: Final = frozenset({"", CONSTANT_TIME, f"{CONSTANT_TIME}.000000"})


def _one_of(*values: str) -> Callable[[str], bool]:
    return frozenset(values).__contains__


_ENVELOPE: Final[Mapping[str, Callable[[str], bool]]] = {
    "SpecificCharacterSet": _one_of("ISO_IR 100", "ISO_IR 192", "ISO_IR 6", ""),
    "InstanceCreationDate": _DATES.__contains__,
    "InstanceCreationTime": _TIMES.__contains__,
    "SOPClassUID": lambda value: UID(value) in _SR_CLASSES,
    "SOPInstanceUID": bool,
    "StudyInstanceUID": bool,
    "SeriesInstanceUID": bool,
    "StudyDate": _DATES.__contains__,
    "StudyTime": _TIMES.__contains__,
    "SeriesDate": _DATES.__contains__,
    "SeriesTime": _TIMES.__contains__,
    "ContentDate": _DATES.__contains__,
    "ContentTime": _TIMES.__contains__,
    "AccessionNumber": _EMPTY.__contains__,
    "Modality": _one_of("SR"),
    "Manufacturer": _one_of("", "Coverslip"),
    "ManufacturerModelName": _one_of("", "Coverslip"),
    "ReferringPhysicianName": _EMPTY.__contains__,
    "PatientName": _EMPTY.__contains__,
    "PatientID": _EMPTY.__contains__,
    "PatientBirthDate": _EMPTY.__contains__,
    "PatientSex": _EMPTY.__contains__,
    "PatientIdentityRemoved": _one_of("YES"),
    "DeidentificationMethod": _one_of("Coverslip outside report: allow-list of concepts"),
    "StudyID": _EMPTY.__contains__,
    "SeriesNumber": _one_of("", "1"),
    "InstanceNumber": _one_of("", "1"),
    "CompletionFlag": _one_of("COMPLETE", "PARTIAL"),
    "VerificationFlag": _one_of("UNVERIFIED"),
    "PreliminaryFlag": _one_of("PRELIMINARY", "FINAL"),
    "ValueType": _one_of("CONTAINER"),
    "ContinuityOfContent": _one_of("SEPARATE"),
}
"""Plain attributes the report may have, each with what its value has to be."""

_EMPTY_SEQUENCES: Final = frozenset(
    {"ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence"}
)
_CHECKED_SEQUENCES: Final = frozenset({"ConceptNameCodeSequence", "ContentSequence"})
_REPLACED_SEQUENCES: Final = frozenset({"CodingSchemeIdentificationSequence"})
_VALUE_OF: Final = {
    "CONTAINER": {"ContinuityOfContent", "ContentSequence"},
    "CODE": {"ConceptCodeSequence"},
    "NUM": {"MeasuredValueSequence"},
    "TEXT": {"TextValue"},
}
"""What an item may hold beside its name. Coordinates, images, references, people, times: none."""


def outside_report(report: Dataset, *, patient: str, recipient: Pseudonyms) -> Dataset:
    """Check the bare report and write it anew for one recipient.

    Parameters
    ----------
    report
        `outside_sr.dcm` as the report stage made it.
    patient
        Pseudonym of the patient inside the appliance.
    recipient
        Pseudonyms of the recipient (`Pseudonyms.for_recipient`).

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
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(fresh, keyword, recipient.uid(text_of(report, keyword)))
    for kind in ("Study", "Content"):
        setattr(fresh, f"{kind}Date", CONSTANT_DATE)
        setattr(fresh, f"{kind}Time", CONSTANT_TIME)
    for keyword in ("AccessionNumber", "ReferringPhysicianName", "StudyID"):
        setattr(fresh, keyword, "")
    fresh.Modality = "SR"
    fresh.Manufacturer = "Coverslip"
    fresh.ManufacturerModelName = "Coverslip"
    fresh.SoftwareVersions = "0"
    fresh.DeviceSerialNumber = "0"
    fresh.PatientName, fresh.PatientID = name, name
    fresh.PatientBirthDate, fresh.PatientSex = "", ""
    fresh.PatientIdentityRemoved = "YES"
    fresh.DeidentificationMethod = "Coverslip outside report: allow-list of concepts"
    fresh.SeriesNumber, fresh.InstanceNumber = 1, 1
    fresh.CompletionFlag = "COMPLETE"
    fresh.VerificationFlag = "UNVERIFIED"
    fresh.ReferencedPerformedProcedureStepSequence = Sequence()
    fresh.PerformedProcedureCodeSequence = Sequence()
    fresh.CodingSchemeIdentificationSequence = Sequence([_scheme()])
    root = _copied_item(report, depth=0)
    del root.RelationshipType
    fresh.update(root)
    return fresh


def _check_envelope(report: Dataset) -> None:
    for element in report:
        keyword = element.keyword
        if keyword in _CHECKED_SEQUENCES | _REPLACED_SEQUENCES:
            continue
        if keyword in _EMPTY_SEQUENCES:
            allowed = len(element.value) == 0
        else:
            check = _ENVELOPE.get(keyword)
            allowed = check is not None and element.VM <= 1 and check(text_of(report, keyword))
        if not allowed:
            raise _refused(f"attribute {keyword or 'without a name'}")
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if keyword not in report:
            raise _refused(f"no {keyword}")


def _scheme() -> Dataset:
    """Identify our private codes (PS3.3 C.12.1.1.7)."""
    item = Dataset()
    item.CodingSchemeDesignator = _PRIVATE_SCHEME
    item.CodingSchemeUID = _PRIVATE_SCHEME_UID
    item.CodingSchemeName = "Coverslip slide quality concepts"
    item.CodingSchemeVersion = "1"
    item.CodingSchemeResponsibleOrganization = "Coverslip"
    return item


def _copied_item(item: Dataset, *, depth: int) -> Dataset:
    """Copy one content item and all below it, each value checked."""
    kind = text_of(item, "ValueType")
    allowed = _VALUE_OF.get(kind)
    if allowed is None or depth > _DEEPEST:
        raise _refused("a content item of a kind that may not leave")
    if depth > 0:
        own = {"RelationshipType", "ValueType", "ConceptNameCodeSequence"}
        if {element.keyword for element in item} - own - allowed:
            raise _refused("a content item with more in it than its value")
        if text_of(item, "RelationshipType") != "CONTAINS":
            raise _refused("a content item that is not simply contained")
    copied = Dataset()
    copied.RelationshipType, copied.ValueType = "CONTAINS", kind
    concept = _concept(item, "ConceptNameCodeSequence")
    copied.ConceptNameCodeSequence = Sequence([_coded(concept)])
    if kind == "CONTAINER":
        copied.update(_copied_container(item, depth))
    elif kind == "CODE":
        value = _concept(item, "ConceptCodeSequence")
        copied.ConceptCodeSequence = Sequence([_coded(value)])
    elif kind == "NUM":
        copied.MeasuredValueSequence = Sequence([_copied_number(item, concept)])
    else:
        copied.TextValue = _copied_text(item, concept)
    return copied


def _copied_container(item: Dataset, depth: int) -> Dataset:
    children = list(item.get("ContentSequence") or [])
    if text_of(item, "ContinuityOfContent") != "SEPARATE" or len(children) > _MOST_ITEMS:
        raise _refused("a container that is no short list")
    copied = Dataset()
    copied.ContinuityOfContent = "SEPARATE"
    copied.ContentSequence = Sequence(_copied_item(child, depth=depth + 1) for child in children)
    return copied


def _copied_number(item: Dataset, concept: Code) -> Dataset:
    measured = _only(item, "MeasuredValueSequence")
    if {element.keyword for element in measured} != {
        "NumericValue",
        "MeasurementUnitsCodeSequence",
    }:
        raise _refused("a number with more in it than its value")
    unit = _concept(measured, "MeasurementUnitsCodeSequence")
    try:
        value = float(text_of(measured, "NumericValue"))
    except ValueError as error:
        raise _refused("a number that is none") from error
    if not math.isfinite(value) or value < 0 or _UNITS.get(concept) != unit:
        raise _refused("a number that is no area or share")
    number = Dataset()
    number.NumericValue = f"{value:.{_SIGNIFICANT}g}"
    number.MeasurementUnitsCodeSequence = Sequence([_coded(unit)])
    return number


def _copied_text(item: Dataset, concept: Code) -> str:
    text = text_of(item, "TextValue")
    pattern = _TEXTS.get(concept)
    if pattern is None or not pattern.fullmatch(text):
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

"""The list of what a report for outside may hold: every attribute, every content item, its place.

What is not here does not leave: coordinates, images, references, specimen, people, device, site,
and any date but the constant one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pydicom.uid import EnhancedSRStorage

CONSTANT_DATE: Final = "19000101"
CONSTANT_TIME: Final = "000000"

Code = tuple[str, str]
"""Code Value and Coding Scheme Designator."""

PRIVATE_SCHEME: Final = "99COVERSLIP"
PRIVATE_SCHEME_UID: Final = "2.25.195230264866180264716087453014271906315"

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
    ("kind-of-artifact", PRIVATE_SCHEME): "Kind of artifact",
    ("share-of-tissue", PRIVATE_SCHEME): "Share of tissue area",
    ("fold", PRIVATE_SCHEME): "Tissue fold",
    ("dark-spot", PRIVATE_SCHEME): "Dark spot or foreign body",
    ("pen", PRIVATE_SCHEME): "Pen mark",
    ("bubble", PRIVATE_SCHEME): "Air bubble",
    ("out-of-focus", PRIVATE_SCHEME): "Out of focus",
    ("87612001", "SCT"): "Blood",
    ("mm2", "UCUM"): "square millimeter",
    ("%", "UCUM"): "percent",
}
"""Every concept that may leave. The meaning is written from here, never copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A content item that may leave, where it stands in the tree."""

    concept: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Container(Item):
    """CONTAINER, and what may be in it: each once, in this order."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded(Item):
    """CODE, and its possible values."""

    values: tuple[Code, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Item):
    """NUM from 0 on, its unit, and the most it can be."""

    unit: Code
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Item):
    """TEXT, and its form."""

    form: re.Pattern[str]


KINDS: Final[Mapping[type[Item], str]] = {
    Container: "CONTAINER",
    Coded: "CODE",
    Number: "NUM",
    Text: "TEXT",
}
"""Value Type of each (PS3.3 C.17.3.2.1)."""

_AREA: Final = Number(concept=("42798000", "SCT"), unit=("mm2", "UCUM"), most=10_000.0)
KINDS_OF_ARTIFACT: Final = (
    *((name, PRIVATE_SCHEME) for name in ("fold", "dark-spot", "pen", "bubble", "out-of-focus")),
    ("87612001", "SCT"),
)
"""In the order in which they leave."""

ARTIFACT: Final = Container(
    concept=("47973001", "SCT"),
    items=(
        Coded(concept=("kind-of-artifact", PRIVATE_SCHEME), values=KINDS_OF_ARTIFACT),
        _AREA,
        Number(concept=("share-of-tissue", PRIVATE_SCHEME), unit=("%", "UCUM"), most=100.0),
    ),
)
"""Of each kind one at most."""

MODEL: Final = Container(
    concept=("111001", "DCM"),
    items=(
        Text(concept=("111001", "DCM"), form=re.compile(r"[a-z][a-z0-9-]{0,31}")),
        Text(concept=("111003", "DCM"), form=re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}")),
    ),
)
"""One that the settings pin, each once; of any other nothing leaves."""

REPORT: Final = Container(
    concept=("126000", "DCM"),
    items=(
        Coded(
            concept=("111050", "DCM"),
            values=tuple((value, "DCM") for value in ("111235", "111236", "111237")),
        ),
        _AREA,
        ARTIFACT,
        MODEL,
    ),
)
"""The whole tree."""

_EMPTY: Final = frozenset({""})
_DATES: Final = frozenset({"", CONSTANT_DATE})
_TIMES: Final = frozenset({"", CONSTANT_TIME, f"{CONSTANT_TIME}.000000"})


def _one_of(*values: str) -> Callable[[str], bool]:
    return frozenset(values).__contains__


ENVELOPE: Final[Mapping[str, Callable[[str], bool]]] = {
    "SpecificCharacterSet": _one_of("ISO_IR 100", "ISO_IR 192", "ISO_IR 6", ""),
    "InstanceCreationDate": _DATES.__contains__,
    "InstanceCreationTime": _TIMES.__contains__,
    "SOPClassUID": _one_of(EnhancedSRStorage),
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
EMPTY_SEQUENCES: Final = frozenset(
    {"ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence"}
)
CHECKED_SEQUENCES: Final = frozenset({"ConceptNameCodeSequence", "ContentSequence"})
REPLACED_SEQUENCES: Final = frozenset({"CodingSchemeIdentificationSequence"})

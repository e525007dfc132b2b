"""The gate: reads what was written with another reader, and looks for what should be gone.

Every attribute of the output is judged by its role: a UID is registered or ours, a date is not an
original one, a code and its meaning are those of the table, a text has no word of the input. Then
the bytes of the header are searched for whole values in every encoding, and each frame's header
must hold only what a decoder needs. One hit sets the slide aside; the value is never told.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from anonymizer.gate.bytes_of_file import check_header_bytes, check_pixels
from anonymizer.gate.needles import Needles, Origin, words_of
from anonymizer.pixels.icc import srgb_profile
from anonymizer.profile.decide import Profile, keyword, vocabulary
from anonymizer.pseudonyms import is_registered
from anonymizer.quiet import quiet_pydicom
from anonymizer.rewrite import values
from anonymizer.rewrite.apply import words_written
from anonymizer.rewrite.codes import known_meaning
from appliance import IMPLEMENTATION_CLASS_UID
from appliance.errors import IdentityDoubt

_PREAMBLE = bytes(128)
_META = frozenset((0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012))
_VERSION_NAME = 0x00020013
_FROM_TABLES = frozenset(("CodeMeaning", "CodeValue", "CodingSchemeDesignator"))
_VOCABULARIES = {
    "Manufacturer": "manufacturers",
    "ManufacturerModelName": "models",
    "PositionReferenceIndicator": "positions",
}
_BINARY = frozenset(("OB", "OD", "OF", "OL", "OW", "UN"))
_TEXTS = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
"""Dates are judged by having moved, UIDs by the map; numbers and times name nobody."""


def check(path: Path, needles: Needles, profile: Profile) -> None:
    """Check one de-identified file.

    Raises
    ------
    IdentityDoubt
        Something of the input is still there, or something is there that has no business to be;
        the sentence names the attribute and the rule, never the value.
    """
    try:
        with quiet_pydicom(), path.open("rb") as file:
            data_set = pydicom.dcmread(file, stop_before_pixels=True)
            pixels = file.tell()
            _check_frame(path, data_set, profile)
            harmless = _check_roles(data_set, needles, profile)
    except (InvalidDicomError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise IdentityDoubt("The de-identified object cannot be read back.") from error
    check_header_bytes(path, pixels, needles, harmless)
    check_pixels(path, pixels, encapsulated=data_set.file_meta.TransferSyntaxUID.is_encapsulated)


def _check_frame(path: Path, data_set: pydicom.FileDataset, profile: Profile) -> None:
    with path.open("rb") as file:
        if file.read(len(_PREAMBLE)) != _PREAMBLE:
            raise IdentityDoubt("The preamble of the de-identified file is not empty.")
    strange = {int(element.tag) for element in data_set.file_meta} - _META - {_VERSION_NAME}
    ours = data_set.file_meta.get("ImplementationClassUID") == IMPLEMENTATION_CLASS_UID
    if strange or not ours:
        raise IdentityDoubt("The file meta information of the de-identified file is not ours.")
    marks = data_set.get("DeidentificationMethodCodeSequence") or ()
    if (
        data_set.get("PatientIdentityRemoved") != "YES"
        or data_set.get("LongitudinalTemporalInformationModified") != profile.temporal
        or tuple(item.CodeValue for item in marks) != profile.method_codes
    ):
        raise IdentityDoubt("The de-identified object does not carry its marks.")


def _check_roles(data_set: Dataset, needles: Needles, profile: Profile) -> frozenset[str]:
    """Judge every attribute by its role, and give the words that are known to be harmless."""
    harmless = set(words_written(profile)) | vocabulary("terms") | {"removed"}
    elements = list(_walk(data_set))
    for element, holder in elements:
        harmless.update(_judged(element, holder, needles))
    for element, _ in elements:
        if element.VR in _TEXTS and element.keyword not in _FROM_TABLES:
            _check_text(element, needles, harmless)
    return frozenset(harmless)


def _judged(element: DataElement, holder: Dataset, needles: Needles) -> Iterable[str]:
    """Judge what has a role other than text; give the words of values that a table knows."""
    if element.tag.is_private or element.tag.group in (0x0002, 0x0004):
        raise _hit(element, Origin("a private attribute", "E.1-1 X"))
    if element.keyword in _FROM_TABLES:
        return _words_of_code(element, holder)
    if element.keyword in _VOCABULARIES:
        return _words_of_vocabulary(element)
    if element.keyword == "SoftwareVersions":
        return _words_of_version(element)
    if element.VR == "UI":
        _check_uid(element, needles)
    if element.VR in _BINARY and bytes(element.value or b"") not in (b"", srgb_profile()):
        raise _hit(element, Origin("a binary value", "slide rule"))
    return ()


def _walk(data_set: Dataset) -> Iterator[tuple[DataElement, Dataset]]:
    for element in data_set:
        if element.VR == "SQ":
            for item in element.value:
                yield from _walk(item)
        else:
            yield element, data_set


def _words_of_code(element: DataElement, holder: Dataset) -> list[str]:
    scheme, value = str(holder.get("CodingSchemeDesignator")), str(holder.get("CodeValue"))
    if known_meaning(scheme, value) != str(holder.get("CodeMeaning")):
        raise _hit(element, Origin("a code", "E.3.4"))
    return words_of(str(element.value))


def _words_of_vocabulary(element: DataElement) -> list[str]:
    value = str(element.value or "")
    encoded = value.encode("ascii", "replace")
    if value != "Removed" and values.clean_words(encoded, _VOCABULARIES[element.keyword]) is None:
        raise _hit(element, Origin("a text", "slide rule"))
    return words_of(value)


def _words_of_version(element: DataElement) -> list[str]:
    strings = [one for one in _strings(element.value) if one != "Removed"]
    if any(values.clean_version(one.encode("ascii", "replace")) is None for one in strings):
        raise _hit(element, Origin("a text", "slide rule"))
    return [word for one in strings for word in words_of(one)]


def _check_uid(element: DataElement, needles: Needles) -> None:
    for uid in _strings(element.value):
        origin = needles.uids.get(uid)
        if origin is not None:
            raise _hit(element, origin)
        if uid and not is_registered(uid) and not uid.startswith("2.25."):
            raise _hit(element, Origin("a UID", "E.1-1 U"))


def _check_text(element: DataElement, needles: Needles, harmless: set[str]) -> None:
    for value in _strings(element.value):
        lowered = value.lower()
        origins = [origin for date, origin in needles.dates.items() if date in lowered]
        origins += [
            needles.words[word]
            for word in words_of(lowered)
            if word in needles.words and word not in harmless
        ]
        if origins:
            raise _hit(element, origins[0])


def _strings(value: Any) -> Sequence[str]:
    if value is None:
        return ()
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return [str(one) for one in value] if several else [str(value)]


def _hit(element: DataElement, origin: Origin) -> IdentityDoubt:
    return IdentityDoubt(origin.sentence(keyword(int(element.tag))))

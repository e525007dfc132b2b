"""Texts that an option keeps: read in the character set of the object, written in Unicode.

A kept text stays as it is, but it must be one that its VR allows (PS3.5 6.2); what cannot be read
in the character set that the object names is left out.
"""

from collections.abc import Sequence

from pydicom.charset import convert_encodings, decode_bytes

from anonymizer.part10.elements import Element, find, text
from anonymizer.quiet import quiet_pydicom
from anonymizer.rewrite.codes import (
    CODE_MEANING,
    CODE_VALUE,
    CODING_SCHEME_DESIGNATOR,
    code_item,
    concept_of,
)

UNICODE = Element(0x00080005, "CS", b"ISO_IR 192")
"""Specific Character Set of an object in which a text is not plain ASCII."""

_LONGEST = {"AE": 16, "SH": 16, "LO": 64, "PN": 64 * 3 + 2, "ST": 1024, "LT": 10240}
_LONGEST_UNLIMITED = 1 << 20
_ONLY_BASIC = ("iso8859",)  # ISO_IR 6: what is no ASCII there is a mistake
_ONE_VALUE = frozenset(("LT", "ST", "UR", "UT"))
_ONLY_ASCII = frozenset(("AE", "UR"))
_WITH_LINES = frozenset(("LT", "ST", "UT"))
_CODE_TEXTS = {
    CODE_VALUE: "SH",
    CODING_SCHEME_DESIGNATOR: "SH",
    0x00080103: "SH",  # Coding Scheme Version
    CODE_MEANING: "LO",
    0x00080119: "UC",  # Long Code Value
    0x00080120: "UR",  # URN Code Value
}
_CODE_NEEDS = ({CODE_VALUE, 0x00080119, 0x00080120}, {CODE_MEANING})

TEXT_VRS = frozenset((*_LONGEST, "UC", "UR", "UT"))


def encodings_of(character_set: bytes) -> tuple[str, ...]:
    """Give the encodings of a Specific Character Set; none when it is not a known one."""
    try:
        with quiet_pydicom():
            known = tuple(convert_encodings(text(character_set).split("\\")))
    except (LookupError, ValueError):
        return ()
    return () if known == _ONLY_BASIC else known


def kept_text(value: bytes, vr: str, encodings: Sequence[str]) -> bytes | None:
    """Give a text in UTF-8; None when it cannot be read or is none that the VR allows."""
    words = _decoded(value, encodings)
    if words is None:
        return None
    parts = [words] if vr in _ONE_VALUE else words.split("\\")
    if not all(_is_allowed(part, vr) for part in parts):
        return None
    return "\\".join(part.strip(" \0") for part in parts).encode("utf-8")


def kept_codes(
    sequence: Sequence[Sequence[Element]], encodings: Sequence[str]
) -> tuple[tuple[Element, ...], ...]:
    """Keep coded values, those of local schemes too: known ones in the words of the table."""
    made = []
    for item in sequence:
        concept = concept_of(item)
        if concept is not None:
            made.append(code_item(concept))
            continue
        kept = _kept_code(item, encodings)
        if all(needed & {one.tag for one in kept} for needed in _CODE_NEEDS):
            made.append(kept)
    return tuple(made)


def needs_unicode(elements: Sequence[Element]) -> bool:
    """Whether a text in a data set, or in an item of it, is not plain ASCII."""
    return any(
        any(needs_unicode(item) for item in one.items)
        if one.items is not None
        else one.vr in TEXT_VRS and not one.value.isascii()
        for one in elements
    )


def _kept_code(item: Sequence[Element], encodings: Sequence[str]) -> tuple[Element, ...]:
    found = {tag: kept_text(find(item, tag), vr, encodings) for tag, vr in _CODE_TEXTS.items()}
    return tuple(Element(tag, _CODE_TEXTS[tag], value) for tag, value in found.items() if value)


def _decoded(value: bytes, encodings: Sequence[str]) -> str | None:
    stripped = value.strip(b" \0")
    if stripped.isascii() and b"\x1b" not in stripped:
        return stripped.decode("ascii")
    if not encodings:
        return None
    try:
        with quiet_pydicom():
            words = decode_bytes(stripped, encodings, set())
    except (UnicodeError, LookupError, ValueError):
        return None
    return None if "\ufffd" in words else words


def _is_allowed(part: str, vr: str) -> bool:
    lines = "\t\n\f\r" if vr in _WITH_LINES else ""
    readable = all(one.isprintable() or one in lines for one in part.strip("\0"))
    return (
        readable
        and len(part.strip(" \0")) <= _LONGEST.get(vr, _LONGEST_UNLIMITED)
        and (part.isascii() or vr not in _ONLY_ASCII)
    )

"""DICOM data elements as raw bytes, and how they are written (PS3.5 7.1).

Values stay bytes, so nothing is converted, guessed or put into an exception.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import InvalidInstance

PIXEL_DATA = 0x7FE00010
FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00009
PIXEL_VRS = {PIXEL_DATA: "OW", FLOAT_PIXEL_DATA: "OF", DOUBLE_FLOAT_PIXEL_DATA: "OD"}
"""The attributes that hold pixels (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25); an object has one."""
TRANSFER_SYNTAX_UID = 0x00020010
UNDEFINED = 0xFFFFFFFF
_LONGEST_SHORT_VALUE = 0xFFFF

_SHORT_TEXT_VRS = (
    "AE",
    "AS",
    "CS",
    "DA",
    "DS",
    "DT",
    "IS",
    "LO",
    "LT",
    "PN",
    "SH",
    "ST",
    "TM",
    "UI",
)
SHORT_VRS = frozenset((*_SHORT_TEXT_VRS, "AT", "FD", "FL", "SL", "SS", "UL", "US"))
LONG_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
STRING_VRS = frozenset((*_SHORT_TEXT_VRS, "UC", "UR", "UT"))


@dataclass(frozen=True, slots=True)
class Element:
    """One data element: a value, or the items of a sequence."""

    tag: int
    vr: str
    value: bytes = b""
    items: tuple[tuple["Element", ...], ...] | None = None
    """Data sets of the items when the VR is SQ; None otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelPlace:
    """Where the value of Pixel Data lies in the source file."""

    offset: int
    length: int | None
    """Bytes of a native value; None when the value is encapsulated."""
    tag: int = PIXEL_DATA
    """Which of `PIXEL_VRS` it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Everything of a file up to its pixels."""

    path: Path
    transfer_syntax_uid: str
    elements: tuple[Element, ...]
    meta: tuple[Element, ...]
    """File meta information (group 0002)."""
    pixels: PixelPlace | None
    """None for an object that has none, such as a report."""

    @property
    def pixel_place(self) -> PixelPlace:
        """Where the pixels of an object lie that must have them.

        Raises
        ------
        InvalidInstance
            It has none.
        """
        if self.pixels is None:
            raise InvalidInstance("The object has no pixel data.")
        return self.pixels

    def value(self, tag: int) -> bytes:
        """Raw value of a top-level attribute; empty when absent."""
        return find(self.elements, tag)

    def text(self, tag: int) -> str:
        """Value of a top-level attribute that is ASCII by its VR, without padding."""
        return text(self.value(tag))


def find(elements: Iterable[Element], tag: int) -> bytes:
    """Raw value of an attribute in one data set; empty when absent."""
    return next((element.value for element in elements if element.tag == tag), b"")


def items(elements: Iterable[Element], tag: int) -> tuple[tuple[Element, ...], ...]:
    """Items of a sequence in one data set; none when absent."""
    return next((element.items or () for element in elements if element.tag == tag), ())


def text(value: bytes) -> str:
    """Decode what must be ASCII, without padding; other bytes become question marks."""
    return value.decode("ascii", "replace").strip(" \0")


def integer(elements: Iterable[Element], tag: int) -> int | None:
    """Value of an integer attribute (IS, US, UL, SL) in one data set; None when there is none."""
    element = next((element for element in elements if element.tag == tag), None)
    if element is None or not element.value:
        return None
    if element.vr != "IS":
        return int.from_bytes(element.value[:4], "little")
    stripped = text(element.value)
    return int(stripped) if stripped.isdigit() else None


def encode(elements: Iterable[Element]) -> bytes:
    """Write data elements in Explicit VR Little Endian, sequences with defined lengths."""
    return b"".join(_encoded(element) for element in elements)


def element_header(tag: int, vr: str, length: int) -> bytes:
    """Write tag, VR and length of a data element in Explicit VR Little Endian.

    Raises
    ------
    InvalidInstance
        The VR cannot hold so much; only in Implicit VR can an object claim otherwise.
    """
    if vr in LONG_VRS:
        return struct.pack("<HH2s2xI", tag >> 16, tag & 0xFFFF, vr.encode(), length)
    if length > _LONGEST_SHORT_VALUE:
        raise InvalidInstance("An attribute of the object is longer than such a value can be.")
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length)


def _encoded(element: Element) -> bytes:
    if element.items is None:
        value = element.value + _pad(element)
        return element_header(element.tag, element.vr, len(value)) + value
    body = b"".join(
        struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
        for item in (encode(elements) for elements in element.items)
    )
    return element_header(element.tag, "SQ", len(body)) + body


def _pad(element: Element) -> bytes:
    if len(element.value) % 2 == 0:
        return b""
    return b" " if element.vr in STRING_VRS - {"UI"} else b"\0"

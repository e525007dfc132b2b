"""Reading a DICOM file up to its pixels: strict, bounded, and without converting a value.

Anything that slides never have (other encodings, deep nesting, attributes that occur twice) is
refused rather than guessed at. The gate reads what we write with another reader.
"""

import mmap
import struct
from functools import cache
from pathlib import Path

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.uid import (
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from anonymizer.part10.elements import (
    LONG_VRS,
    PIXEL_DATA,
    PIXEL_VRS,
    SHORT_VRS,
    TRANSFER_SYNTAX_UID,
    UNDEFINED,
    Element,
    Header,
    PixelPlace,
    find,
    text,
)
from appliance.errors import InvalidInstance

PREAMBLE_BYTES = 128

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SYNTAXES = frozenset(AllTransferSyntaxes) - {
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
}
_DEEPEST = 24
_MOST_ELEMENTS = 4_000_000
"""Attributes and items; a sparse slide has about a dozen for every frame."""
_MOST_ITEMS = 100_000
_PER_FRAME_FUNCTIONAL_GROUPS = 0x52009230
_META_GROUP = 0x0002
_MOST_HEADER_BYTES = 512 << 20
"""More than the annotations of any slide take; they are held in memory."""


def read_header(path: Path) -> Header:
    """Read a file up to its pixel data, or whole when it has none.

    Raises
    ------
    InvalidInstance
        It is no DICOM file, is damaged, or uses a form that slides never have.
    """
    with path.open("rb") as file:
        try:
            buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise InvalidInstance("The file is empty.") from error
        with buffer:
            return _header(path, buffer)


def _header(path: Path, buffer: mmap.mmap) -> Header:
    if buffer[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] != b"DICM":
        raise InvalidInstance("The file is not a DICOM file.")
    walk = _Walk(buffer, PREAMBLE_BYTES + 4, explicit=True)
    meta = walk.group(_META_GROUP)
    syntax = text(find(meta, TRANSFER_SYNTAX_UID))
    if syntax not in _SYNTAXES:
        raise InvalidInstance("The transfer syntax of the file is none that a slide may have.")
    walk.explicit = syntax != ImplicitVRLittleEndian
    elements = walk.data_set(len(buffer), depth=0)
    if walk.pixels is not None:
        _check_native(walk.pixels, syntax, len(buffer))
    return Header(
        path=path,
        transfer_syntax_uid=syntax,
        elements=elements,
        meta=meta,
        pixels=walk.pixels,
    )


def _check_native(pixels: PixelPlace, syntax: str, size: int) -> None:
    native = syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    if native != (pixels.length is not None) or (pixels.tag != PIXEL_DATA and not native):
        raise InvalidInstance("The pixel data are not stored as the transfer syntax says.")
    if pixels.length is not None and pixels.offset + pixels.length > size:
        raise InvalidInstance("The file ends before its pixel data do.")


class _Walk:
    """Reads data elements one after another; every length is checked against what holds it."""

    def __init__(self, buffer: mmap.mmap, offset: int, *, explicit: bool) -> None:
        self.explicit = explicit
        self.pixels: PixelPlace | None = None
        self._buffer = buffer
        self._offset = offset
        self._count = 0
        self._bytes = 0

    def group(self, group: int) -> tuple[Element, ...]:
        """Read the elements of one group."""
        found = []
        while self._peek_group() == group:
            found.append(self._element(len(self._buffer), depth=0))
        return tuple(found)

    def data_set(self, end: int, *, depth: int) -> tuple[Element, ...]:
        """Read elements up to `end`, the end of the item, or Pixel Data at the top level."""
        if depth > _DEEPEST:
            raise InvalidInstance("The object nests sequences deeper than any slide does.")
        found: dict[int, Element] = {}
        while self._offset < end:
            tag = self._peek_tag()
            if tag == _ITEM_END:
                self._offset += 8
                break
            if depth == 0 and tag in PIXEL_VRS:
                self._note_pixels(tag)
                break
            element = self._element(end, depth=depth)
            if element.tag in found:
                raise InvalidInstance("An attribute occurs twice in one data set of the object.")
            found[element.tag] = element
        return tuple(found.values())

    def _peek_group(self) -> int:
        return int.from_bytes(self._buffer[self._offset : self._offset + 2], "little")

    def _peek_tag(self) -> int:
        if self._offset + 8 > len(self._buffer):
            raise InvalidInstance("The file ends in the middle of an attribute.")
        group, element = struct.unpack_from("<HH", self._buffer, self._offset)
        return int(group << 16 | element)

    def _element(self, end: int, *, depth: int) -> Element:
        self._count_one()
        tag, vr, length = self._start()
        if vr == "SQ" or (vr == "UN" and length == UNDEFINED):
            return self._sequence(tag, vr, length, end, depth)
        if length == UNDEFINED or self._offset + length > end:
            raise InvalidInstance("An attribute of the object is longer than what holds it.")
        self._bytes += length
        if self._bytes > _MOST_HEADER_BYTES:
            raise InvalidInstance("The object holds more beside its pixels than any slide does.")
        value = self._buffer[self._offset : self._offset + length]
        self._offset += length
        return Element(tag, vr, value)

    def _count_one(self) -> None:
        self._count += 1
        if self._count > _MOST_ELEMENTS:
            raise InvalidInstance("The object has more attributes than any slide has.")

    def _start(self) -> tuple[int, str, int]:
        tag = self._peek_tag()
        if not self.explicit:
            length = struct.unpack_from("<I", self._buffer, self._offset + 4)[0]
            self._offset += 8
            return tag, _dictionary_vr(tag), length
        vr = self._buffer[self._offset + 4 : self._offset + 6].decode("ascii", "replace")
        if vr in SHORT_VRS:
            length = struct.unpack_from("<H", self._buffer, self._offset + 6)[0]
            self._offset += 8
            return tag, vr, length
        if vr not in LONG_VRS or self._offset + 12 > len(self._buffer):
            raise InvalidInstance("An attribute of the object has no known value representation.")
        length = struct.unpack_from("<I", self._buffer, self._offset + 8)[0]
        self._offset += 12
        return tag, vr, length

    def _sequence(self, tag: int, vr: str, length: int, end: int, depth: int) -> Element:
        explicit = self.explicit
        self.explicit = explicit and vr != "UN"  # PS3.5 6.2.2: a UN sequence is implicit
        stop = end if length == UNDEFINED else self._offset + length
        if stop > end:
            raise InvalidInstance("A sequence of the object is longer than what holds it.")
        found = []
        while self._offset < stop:
            mark = self._peek_tag()
            item_length = struct.unpack_from("<I", self._buffer, self._offset + 4)[0]
            self._offset += 8
            if mark == _SEQUENCE_END:
                break
            self._count_one()
            found.append(self._item(mark, item_length, stop, depth))
            if len(found) > _MOST_ITEMS and tag != _PER_FRAME_FUNCTIONAL_GROUPS:
                raise InvalidInstance("A sequence of the object has more items than any slide has.")
        self.explicit = explicit
        return Element(tag, "SQ", b"", tuple(found))

    def _item(self, mark: int, length: int, stop: int, depth: int) -> tuple[Element, ...]:
        item_end = stop if length == UNDEFINED else self._offset + length
        if mark != _ITEM or item_end > stop:
            raise InvalidInstance("A sequence of the object is damaged.")
        elements = self.data_set(item_end, depth=depth + 1)
        if length != UNDEFINED and self._offset != item_end:
            raise InvalidInstance("A sequence of the object is damaged.")
        return elements

    def _note_pixels(self, tag: int) -> None:
        _, _, length = self._start()
        self.pixels = PixelPlace(
            offset=self._offset, length=None if length == UNDEFINED else length, tag=tag
        )


@cache
def _dictionary_vr(tag: int) -> str:
    if tag & 0xFFFF == 0:
        return "UL"
    vr = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
    return vr if vr in SHORT_VRS | LONG_VRS else vr[:2]

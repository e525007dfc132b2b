"""The raw data elements of a mapped DICOM file (PS3.5 7): where each begins and ends.

pydicom reads a header of 200,000 functional groups in minutes and gigabytes; a walk over lengths
does not look into what nobody asked for. Little endian only, as every encapsulated syntax is.
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass

UNDEFINED = 0xFFFFFFFF
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
ITEM_BYTES = 8

_HEAD = struct.Struct("<HHI")
_EXPLICIT = struct.Struct("<HH2sH")
_LENGTH = struct.Struct("<I")
_LONG_VRS = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_DEEPEST = 16
"""Sequences inside sequences; a header that goes deeper is hostile."""

_NESTED = frozenset((0x0048021A, 0x00480207))
"""Plane Position (Slide) and Optical Path Identification: Implicit VR does not say SQ."""

Buffer = bytes | mmap.mmap


@dataclass(frozen=True, slots=True)
class Place:
    """Where one data element lies."""

    tag: int
    vr: bytes
    """Empty in Implicit VR."""
    at: int
    value_at: int
    length: int
    """Bytes of the value, or `UNDEFINED`."""

    @property
    def is_sequence(self) -> bool:
        """The value is items; in Implicit VR only an undefined length or the tag tells."""
        return self.vr == b"SQ" or self.length == UNDEFINED or (not self.vr and self.tag in _NESTED)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value inside nested sequences."""

    parent: int
    """Tag of the sequence around it; 0 outside of any."""
    tag: int
    at: int
    length: int


def item(data: Buffer, at: int) -> tuple[int, int]:
    """Give tag and length of the item or delimiter at a position.

    Raises
    ------
    struct.error
        The data ends there.
    """
    group, element, length = _HEAD.unpack_from(data, at)
    return (group << 16) | element, length


def element(data: Buffer, at: int, *, explicit: bool) -> Place:
    """Read the head of the data element at a position.

    Raises
    ------
    ValueError, struct.error
        The data ends there, or the value ends beyond the data.
    """
    if explicit:
        group, number, vr, length = _EXPLICIT.unpack_from(data, at)
        value_at = at + _EXPLICIT.size
        if vr in _LONG_VRS:
            (length,) = _LENGTH.unpack_from(data, value_at)
            value_at += _LENGTH.size
    else:
        group, number, length = _HEAD.unpack_from(data, at)
        vr, value_at = b"", at + _HEAD.size
    if length != UNDEFINED and value_at + length > len(data):
        raise ValueError("a value ends beyond the file")
    return Place((group << 16) | number, vr, at, value_at, length)


def elements(data: Buffer, at: int, end: int, *, explicit: bool) -> Iterator[Place]:
    """Give the data elements of one data set, not those inside sequences.

    Raises
    ------
    ValueError, struct.error
        The data is damaged.
    """
    while at < end:
        place = element(data, at, explicit=explicit)
        yield place
        at = after(data, place, explicit=explicit)


def after(data: Buffer, place: Place, *, explicit: bool) -> int:
    """Give the position behind an element.

    Raises
    ------
    ValueError, struct.error
        The data is damaged.
    """
    if place.length != UNDEFINED:
        return place.value_at + place.length
    return _after_items(data, place, [], explicit=explicit, depth=0)


def item_leaves(data: Buffer, at: int, *, explicit: bool) -> tuple[list[Leaf], int]:
    """Give all values of one item with all its sequences, and the position behind the item.

    Parameters
    ----------
    at
        Position of the item's own head.

    Raises
    ------
    ValueError, struct.error
        The data is damaged.
    """
    leaves: list[Leaf] = []
    tag, length = item(data, at)
    if tag != ITEM:
        raise ValueError("not an item")
    end = _after_item(data, at + ITEM_BYTES, length, 0, leaves, explicit=explicit, depth=0)
    return leaves, end


def _after_items(
    data: Buffer, place: Place, leaves: list[Leaf], *, explicit: bool, depth: int
) -> int:
    """Walk the items of a sequence, or the fragments of pixel data."""
    if depth > _DEEPEST:
        raise ValueError("sequences too deep")
    explicit = explicit and place.vr != b"UN"  # PS3.5 6.2.2, note 5
    at = place.value_at
    end = len(data) if place.length == UNDEFINED else at + place.length
    while at < end:
        tag, length = item(data, at)
        at += ITEM_BYTES
        if tag == SEQUENCE_END:
            return at
        if tag != ITEM:
            raise ValueError("not an item")
        at = _after_item(data, at, length, place.tag, leaves, explicit=explicit, depth=depth)
    if place.length == UNDEFINED or at != end:
        raise ValueError("a sequence without its end")
    return at


def _after_item(
    data: Buffer,
    at: int,
    length: int,
    parent: int,
    leaves: list[Leaf],
    *,
    explicit: bool,
    depth: int,
) -> int:
    end = len(data) if length == UNDEFINED else at + length
    if end > len(data):
        raise ValueError("an item ends beyond the file")
    while at < end:
        if length == UNDEFINED and item(data, at)[0] == ITEM_END:
            return at + ITEM_BYTES
        place = element(data, at, explicit=explicit)
        if place.is_sequence:
            at = _after_items(data, place, leaves, explicit=explicit, depth=depth + 1)
        else:
            leaves.append(Leaf(parent, place.tag, place.value_at, place.length))
            at = place.value_at + place.length
    if length == UNDEFINED or at != end:
        raise ValueError("an item without its end")
    return at

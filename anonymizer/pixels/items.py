"""The items of an encapsulated value (PS3.5 A.4), and how they make up frames."""

import os
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from appliance.errors import InvalidInstance

ITEM, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0" + bytes(4)
ITEM_HEAD_BYTES = 8

_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """Where one fragment lies in its file, without its item header."""

    offset: int
    length: int


class Fragments(Sequence[Fragment]):
    """The fragments of an object; a slide may have a million of them."""

    def __init__(self, offsets: "array[int]", lengths: "array[int]") -> None:
        self.offsets = offsets
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, index: int) -> Fragment: ...
    @overload
    def __getitem__(self, index: slice) -> "Fragments": ...
    def __getitem__(self, index: int | slice) -> "Fragment | Fragments":
        if isinstance(index, slice):
            return Fragments(self.offsets[index], self.lengths[index])
        return Fragment(offset=self.offsets[index], length=self.lengths[index])


def fragments_of(descriptor: int, offset: int) -> tuple[bytes, Fragments]:
    """Find the items of an encapsulated value: the basic offset table, and every fragment.

    Raises
    ------
    InvalidInstance
        The value is not a sequence of items that ends.
    """
    offsets, lengths = array("Q"), array("Q")
    head = os.pread(descriptor, ITEM_HEAD_BYTES, offset)
    while head[:4] == ITEM and len(head) == ITEM_HEAD_BYTES:
        length = int.from_bytes(head[4:], "little")
        offset += ITEM_HEAD_BYTES
        offsets.append(offset)
        lengths.append(length)
        offset += length
        head = os.pread(descriptor, ITEM_HEAD_BYTES, offset)
    if head != SEQUENCE_END:
        raise InvalidInstance("The pixel data of the object are damaged or cut off.")
    if not offsets:
        raise InvalidInstance("The pixel data of the object have no offset table.")
    return os.pread(descriptor, lengths[0], offsets[0]), Fragments(offsets[1:], lengths[1:])


def first_fragments(
    fragments: Fragments, table: bytes, extended: bytes, count: int, descriptor: int
) -> Sequence[int]:
    """Find which fragment each frame starts with.

    By their number when every frame has one; else by an offset table; else by how they start.

    Parameters
    ----------
    fragments
        All of them.
    table, extended
        Value of the basic and of the extended offset table; may be empty, and wrong.
    count
        How many frames there must be.
    descriptor
        The open file.

    Raises
    ------
    InvalidInstance
        There are not so many frames.
    """
    starts: Sequence[int] = range(min(1, len(fragments)))
    if count > 1:
        starts = range(len(fragments))
        if len(fragments) != count:
            starts = _by_table(fragments, table, extended) or _by_look(fragments, descriptor)
    if len(starts) != count or starts[0] != 0:
        raise InvalidInstance("The object has not as many frames as its header says.")
    return starts


def _by_table(fragments: Fragments, table: bytes, extended: bytes) -> Sequence[int]:
    width = "Q" if extended else "I"
    if len(extended or table) % struct.calcsize(width):
        raise InvalidInstance("The offset table of the object is damaged.")
    offsets = frozenset(one for (one,) in struct.iter_unpack(f"<{width}", extended or table))
    return [n for n, one in enumerate(fragments.offsets) if one - fragments.offsets[0] in offsets]


def _by_look(fragments: Fragments, descriptor: int) -> Sequence[int]:
    return [
        n
        for n, one in enumerate(fragments.offsets)
        if os.pread(descriptor, ITEM_HEAD_BYTES, one).startswith(_STARTS)
    ]

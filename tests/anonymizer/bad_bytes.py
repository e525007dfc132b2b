"""Pieces of files as no scanner should write them."""

import struct
import zlib
from collections.abc import Callable
from typing import Literal

from anonymizer.part10.elements import LONG_VRS, Element, element_header, encode
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries, content, encapsulated, with_values

Outcome = Literal["done", "refused"]
Case = tuple[str, Outcome, Callable[[], bytes]]
"""What it is, how it has to end, and how it is made."""

CONTEXT = 0x00400555
"""Acquisition Context Sequence, among the attributes of a slide."""
ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HH", 0xFFFE, low) for low in (0xE000, 0xE00D, 0xE0DD))
ENDLESS = b"\xff\xff\xff\xff"
WORD = b"CANARY^BAD"
IMPLICIT = b"1.2.840.10008.1.2"


def slide(*values: Element, tiles: int = 2) -> bytes:
    """A small slide with some other attributes."""
    elements = with_values(planted.slim(Canaries(), tiles=tiles), *values)
    return content(encode(elements), pixels(), canaries=Canaries())


def pixels(count: int = 4) -> bytes:
    return encapsulated([planted.jpeg(seed) for seed in range(count)])


def spliced(raw: bytes, *, at: int = CONTEXT) -> bytes:
    """A small slide with raw bytes in the place of one attribute."""
    elements = planted.slim(Canaries())
    before = encode([one for one in elements if one.tag < at])
    behind = encode([one for one in elements if one.tag > at])
    return content(before + raw + behind, pixels())


def raw(tag: int, vr: bytes, length: int, value: bytes = b"") -> bytes:
    """One element whose length need not be true."""
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    if vr.decode("latin-1") in LONG_VRS:
        return start + struct.pack("<HI", 0, length) + value
    return start + struct.pack("<H", length) + value


def sequence(*items: bytes, tag: int = CONTEXT, vr: bytes = b"SQ", ended: bool = True) -> bytes:
    """A sequence of undefined length around encoded items."""
    end = SEQUENCE_END + bytes(4) if ended else b""
    return raw(tag, vr, 0xFFFFFFFF) + b"".join(items) + end


def item(value: bytes = b"", length: int | None = None) -> bytes:
    return ITEM + struct.pack("<I", len(value) if length is None else length) + value


def endless(value: bytes = b"") -> bytes:
    return ITEM + ENDLESS + value + ITEM_END + bytes(4)


def nested(depth: int, *, defined: bool, vr: bytes = b"SQ", tag: int = CONTEXT) -> bytes:
    """Sequences in sequences, written from the outside so that it is quick."""
    if not defined:
        start = raw(tag, vr, 0xFFFFFFFF) + ITEM + ENDLESS
        if vr == b"UN":
            inner = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + ENDLESS + ITEM + ENDLESS
            start += inner * (depth - 1)
        else:
            start *= depth
        return start + (ITEM_END + bytes(4) + SEQUENCE_END + bytes(4)) * depth
    parts = []
    for level in range(depth, 0, -1):
        size = 20 * (level - 1)
        parts.append(raw(tag, vr, size + 8) + ITEM + struct.pack("<I", size))
    return b"".join(parts)


def private(count: int) -> bytes:
    """Many private elements, each with a word."""
    return b"".join(raw(0x00410000 | 0x1000 + n % 0xE000, b"LO", 10, WORD) for n in range(count))


def creators_and_blocks(count: int) -> bytes:
    """Private elements of many groups, each once, behind the attributes of a slide's specimen."""
    found = []
    for n in range(count):
        group, element = 0x0041 + 2 * (n // 0xE000), 0x1000 + n % 0xE000
        found.append(raw(group << 16 | element, b"LO", 10, WORD))
    return b"".join(found)


def text(tag: int, vr: str, value: bytes) -> bytes:
    return spliced(encode([Element(tag, vr, value)]), at=tag)


def native(data_set: bytes, *, syntax: bytes, explicit: bool) -> bytes:
    size = 4 * planted.TILE_PX**2 * 3
    head = (
        element_header(0x7FE00010, "OB", size)
        if explicit
        else b"\xe0\x7f\x10\0" + struct.pack("<I", size)
    )
    return content(data_set, head + bytes(size), syntax=syntax)


def rgb(*values: Element) -> list[Element]:
    return with_values(planted.slim(Canaries()), Element(0x00280004, "CS", b"RGB"), *values)


def deflated() -> bytes:
    squeezer = zlib.compressobj(wbits=-15)
    data_set = squeezer.compress(encode(rgb())) + squeezer.flush()
    return content(data_set, b"", syntax=b"1.2.840.10008.1.2.1.99")


def with_table(table: bytes, frames: bytes) -> bytes:
    """Pixel Data with a basic offset table and items."""
    start = raw(0x7FE00010, b"OB", 0xFFFFFFFF) + item(table)
    return content(encode(planted.slim(Canaries())), start + frames + SEQUENCE_END + bytes(4))


def items_of(frames: list[bytes]) -> bytes:
    return b"".join(item(frame + b"\0" * (len(frame) % 2)) for frame in frames)


def extended(offsets: list[int], lengths: list[int], frames: bytes) -> bytes:
    tables = encode(
        [
            Element(0x7FE00001, "OV", struct.pack(f"<{len(offsets)}Q", *offsets)),
            Element(0x7FE00002, "OV", struct.pack(f"<{len(lengths)}Q", *lengths)),
        ]
    )
    start = raw(0x7FE00010, b"OB", 0xFFFFFFFF) + item()
    body = encode(planted.slim(Canaries())) + tables + start
    return content(body, frames + SEQUENCE_END + bytes(4))


FRAMES = [planted.jpeg(seed) for seed in range(4)]
CUT = [*FRAMES[:2], FRAMES[2][: len(FRAMES[2]) // 2], FRAMES[3]]

"""What an encoded frame is by its own first bytes; what the header calls it does not matter."""

import struct
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from appliance.slides.jpeg import (
    HUFFMAN_FRAMES,
    JPEG_LS_FRAME,
    LOSSLESS_FRAME,
    any_jpeg_facts,
)

_EIGHT_BITS = 8
_RLE_HEAD = struct.Struct("<II")
_RLE_HEADER_BYTES = 64
_RLE_SEGMENTS = 15
_JPEG_2000 = b"\xff\x4f\xff\x51"
_SIZ = struct.Struct(">HIIIIIIIIHB")
_SEGMENT = struct.Struct(">HH")
_CAPABILITIES, _CODING_STYLE, _START_OF_TILE = 0xFF50, 0xFF52, 0xFF90
_JPEG_XL = b"\xff\x0a"
_JPEG_XL_BOX = b"\x00\x00\x00\x0cJXL "
_BOXES = (b"\x00\x00\x00\x0cjP  ", _JPEG_XL_BOX)
_LONGEST_WRAPPER = 4096
"""Boxes before the codestream of a wrapped frame; they have no place in DICOM, and occur."""


class Kind(Enum):
    """How a frame is encoded."""

    JPEG = "JPEG"
    JPEG_12 = "JPEG, 12 bit"
    JPEG_LOSSLESS = "JPEG lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    HTJ2K = "HTJ2K"
    JPEG_XL = "JPEG XL"
    RLE = "RLE"
    NATIVE = "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class Codestream:
    """What a frame says of itself; 0 where it says nothing."""

    kind: Kind
    rows: int = 0
    columns: int = 0
    bits: int = 0
    """Precision of a sample."""
    components: int = 0
    names_colour: bool = False
    """The codestream itself says how its colours are coded, and its decoder gives RGB."""
    says_rgb: bool = False
    """A JPEG says that its components are RGB."""


def sniff(frame: bytes) -> Codestream | None:
    """Tell how a frame is encoded; None when it is nothing that is known here."""
    try:
        if frame.startswith(b"\xff\xd8"):
            return _jpeg(frame)
        if frame.startswith((_JPEG_2000, _BOXES[0])):
            return _jpeg_2000(frame)
        if frame.startswith((_JPEG_XL, _JPEG_XL_BOX)):
            return _jpeg_xl(frame)
        segments, first = _RLE_HEAD.unpack_from(frame)
    except (struct.error, ValueError):
        return None
    if 1 <= segments <= _RLE_SEGMENTS and first == _RLE_HEADER_BYTES:
        return Codestream(kind=Kind.RLE)
    return None


def rle_segments(frame: bytes) -> int:
    """Count the segments of an RLE frame (PS3.5 G.5); 0 when their offsets cannot be true.

    A decoder that believes offsets beyond the frame reads memory that is not its own.
    """
    if len(frame) < _RLE_HEADER_BYTES:
        return 0
    n, *offsets = struct.unpack_from("<16I", frame)
    used = [*offsets[:n], len(frame)]
    rises = all(one < following for one, following in pairwise(used))
    return int(n) if n <= _RLE_SEGMENTS and used[0] == _RLE_HEADER_BYTES and rises else 0


def _jpeg(frame: bytes) -> Codestream | None:
    facts = any_jpeg_facts(frame)
    if facts is None:
        return None
    kind = {LOSSLESS_FRAME: Kind.JPEG_LOSSLESS, JPEG_LS_FRAME: Kind.JPEG_LS}.get(facts.frame)
    if facts.frame in HUFFMAN_FRAMES:
        kind = Kind.JPEG if facts.bits == _EIGHT_BITS else Kind.JPEG_12
    if kind is None:
        return None
    return Codestream(
        kind=kind,
        rows=facts.rows,
        columns=facts.columns,
        bits=facts.bits,
        components=facts.components,
        names_colour=facts.names_colour,
        says_rgb=facts.says_rgb,
    )


def _jpeg_2000(frame: bytes) -> Codestream:
    """Read SIZ, COD and CAP (ITU-T T.800 A.5.1, A.6.1; T.814 A.2)."""
    start = frame.index(_JPEG_2000, 0, _LONGEST_WRAPPER) + 2
    values = _SIZ.unpack_from(frame, start + 4)
    _, right, bottom, left, top, *_, components, precision = values
    position, high_throughput, transformed = start, False, False
    while True:
        marker, length = _SEGMENT.unpack_from(frame, position)
        if marker == _START_OF_TILE:
            break
        if length < 2:  # noqa: PLR2004 - the length counts itself
            raise ValueError("a segment without length")
        high_throughput |= marker == _CAPABILITIES
        if marker == _CODING_STYLE:
            transformed = frame[position + 8] == 1
        position += 2 + length
    return Codestream(
        kind=Kind.HTJ2K if high_throughput else Kind.JPEG_2000,
        rows=bottom - top,
        columns=right - left,
        bits=(precision & 0x7F) + 1,
        components=components,
        names_colour=transformed,
    )


def _jpeg_xl(frame: bytes) -> Codestream:
    """Read the SizeHeader (ISO/IEC 18181-1 D.2); colours are always given as RGB."""
    start = frame.index(_JPEG_XL, 0, _LONGEST_WRAPPER) + len(_JPEG_XL)
    bits = _Bits(int.from_bytes(frame[start : start + 16], "little"))
    small = bits.take(1)
    rows = _jpeg_xl_side(bits, small=bool(small))
    ratio = bits.take(3)
    if ratio:
        over, under = _RATIOS[ratio - 1]
        columns = rows * over // under
    else:
        columns = _jpeg_xl_side(bits, small=bool(small))
    return Codestream(kind=Kind.JPEG_XL, rows=rows, columns=columns, names_colour=True)


_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def _jpeg_xl_side(bits: "_Bits", *, small: bool) -> int:
    if small:
        return 8 * (bits.take(5) + 1)
    return bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


class _Bits:
    """Bits taken from the low end."""

    def __init__(self, value: int) -> None:
        self._value = value

    def take(self, n: int) -> int:
        taken = self._value & ((1 << n) - 1)
        self._value >>= n
        return taken

"""JPEG 2000 and HTJ2K frames without comments and wrappers (T.800, T.814).

COM goes in the main header and in tile-parts, a JP2 file gives up its codestream, and nothing
stays behind EOC. Packets stay as they are.
"""

import struct
from dataclasses import dataclass

from anonymizer.pixels.markers import JPEG_2000, Block
from appliance.errors import InvalidInstance

START = b"\xff\x4f\xff\x51"

_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_SOC, _SOT, _SOD, _EOC = b"\xff\x4f", b"\xff\x90", b"\xff\x93", b"\xff\xd9"
_SOT_BYTES = 12
_COM, _TLM = 0x64, 0x55
_MAIN = frozenset(
    (0x50, 0x51, 0x52, 0x53, 0x55, 0x57, 0x59, 0x5C, 0x5D, 0x5E, 0x5F, 0x60, 0x63, _COM)
)
_TILE = frozenset((0x52, 0x53, 0x58, 0x5C, 0x5D, 0x5E, 0x5F, 0x61, _COM))

_DAMAGED = "A frame of the slide is damaged: its codestream is not well formed."
_ODD = "A frame of the slide holds a codestream segment that is not allowed in slides."


@dataclass(frozen=True, slots=True, kw_only=True)
class _MainHeader:
    raw: bytes
    segments: tuple[bytes, ...]
    """What stays of it."""
    is_clean: bool = False
    """Whether all of it stays."""


class Jpeg2000Cleaner:
    """Cleans one frame after another; frames of one slide mostly share their main header."""

    def __init__(self) -> None:
        self._main = _MainHeader(raw=b"", segments=())

    def clean(self, block: Block, start: int, end: int) -> int | bytes:
        """Clean a frame; see `codestream.Cleaner.clean`."""
        if not self._main.raw or not block.data.startswith(self._main.raw, start, end):
            self._main = _read_main_header(block, start, end)
        offset = start + len(self._main.raw)
        parts: list[bytes | memoryview] = []
        tiles_are_clean = True
        while block.data.startswith(_SOT, offset, end):
            kept, tile_end = _tile_part(block, offset, end)
            tiles_are_clean &= sum(map(len, kept)) == tile_end - offset
            parts += kept
            offset = tile_end
        if not block.data.startswith(_EOC, offset, end):
            raise InvalidInstance(_DAMAGED)
        if self._main.is_clean and tiles_are_clean:
            return offset + len(_EOC)
        main = self._main.segments
        if not tiles_are_clean:  # the lengths that TLM lists are no longer true; it is optional
            main = tuple(segment for segment in main if segment[1] != _TLM)
        return b"".join((*main, *parts, _EOC))


def unwrapped(block: Block, start: int, end: int) -> tuple[int, int]:
    """Find the contiguous codestream in a JP2 file (T.800 I.5.4).

    Raises
    ------
    InvalidInstance
        It is no JP2 file, or damaged.
    """
    if not block.data.startswith(_JP2_SIGNATURE, start, end):
        raise InvalidInstance("A frame of the slide is in no format that slides have.")
    offset = start
    while offset + 8 <= end:
        length, kind = struct.unpack_from(">I4s", block.data, offset)
        head = 8
        if length == 1:
            length, head = struct.unpack_from(">Q", block.data, offset + 8)[0], 16
        box_end = end if length == 0 else offset + length
        if kind == b"jp2c":
            return offset + head, min(end, box_end)
        if box_end <= offset:
            break
        offset = box_end
    raise InvalidInstance(_DAMAGED)


def _read_main_header(block: Block, start: int, end: int) -> _MainHeader:
    segments, offset = [_SOC], start + len(_SOC)
    while not block.data.startswith(_SOT, offset, end):
        marker, segment_end = _segment(block, offset, end, _MAIN)
        if marker != _COM:
            segments.append(bytes(block.view[offset:segment_end]))
        offset = segment_end
    is_clean = sum(map(len, segments)) == offset - start
    raw = bytes(block.view[start:offset])
    return _MainHeader(raw=raw, segments=tuple(segments), is_clean=is_clean)


def _segment(block: Block, offset: int, end: int, allowed: frozenset[int]) -> tuple[int, int]:
    """Read a marker segment: its marker, and where the next one starts."""
    first, marker, length = struct.unpack_from(">BBH", block.data, offset)
    if first != 0xFF or marker not in allowed:  # noqa: PLR2004
        raise InvalidInstance(_ODD)
    segment_end = offset + 2 + length
    if length < 2 or segment_end > end:  # noqa: PLR2004  the length counts itself
        raise InvalidInstance(_DAMAGED)
    return marker, segment_end


def _tile_part(block: Block, start: int, end: int) -> tuple[list[bytes | memoryview], int]:
    """Give one tile-part without comments, its length corrected, and where it ended."""
    sot_length, stated = struct.unpack_from(">2xHxxI", block.data, start)
    if sot_length != _SOT_BYTES - 2:
        raise InvalidInstance(_DAMAGED)
    kept, offset, removed = [], start + _SOT_BYTES, 0
    while not block.data.startswith(_SOD, offset, end):
        marker, segment_end = _segment(block, offset, end, _TILE)
        if marker == _COM:
            removed += segment_end - offset
        else:
            kept.append(block.view[offset:segment_end])
        offset = segment_end
    tile_end = block.next_marker(offset + 2, end, JPEG_2000)
    if stated and tile_end != start + stated:
        raise InvalidInstance(_DAMAGED)
    if not removed:
        return [block.view[start:tile_end]], tile_end
    length = 0 if stated == 0 else stated - removed
    sot = bytes(block.view[start : start + 6]) + struct.pack(">I", length)
    sot += bytes(block.view[start + 10 : start + _SOT_BYTES])
    return [sot, *kept, block.view[offset:tile_end]], tile_end

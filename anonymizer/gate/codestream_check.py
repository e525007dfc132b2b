"""Codestreams as the gate sees them: known segments, no note, and nothing behind the end marker.

On purpose this shares no code with what takes the notes out.
"""

import struct
from collections.abc import Mapping

import numpy as np

from appliance.errors import IdentityDoubt

_FF, _EOI, _SOS, _SOT, _SOD = 0xFF, 0xD9, 0xDA, 0x90, 0x93
_JPEG, _J2K = b"\xff\xd8", b"\xff\x4f\xff\x51"
_JPEG_SEGMENTS = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC4, _SOS, 0xDB, 0xDC, 0xDD, 0xF7, 0xF8))
_J2K_SEGMENTS = frozenset((*range(0x50, 0x54), *range(0x55, 0x5A), *range(0x5C, 0x64), _SOT))
_JPEG_LS = 0xF7
_NO_MARKERS = {
    0x01: (*range(0xD0, 0xD8), 0xFF),
    0x80: (*range(0xD0, 0xD8), 0xFF),
    0x90: (0x91, 0x92),
}
"""By the least byte that makes a marker of an FF before it (T.81, T.87, T.800): those that
do not."""
_COLOUR: Mapping[int, tuple[bytes, int]] = {
    0xE0: (b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0", 14),
    0xE8: (b"mrfx", 5),
    0xEE: (b"Adobe\0\x64\0\0\0\0", 12),
}
"""Application segments that mean colour: how they start, and how long they are."""
_RLE_HEADER_BYTES = 64

_NOTE = "A frame of the de-identified object still carries a comment."
_ODD_END = "A frame of the de-identified object does not end where it should."
_UNREADABLE = "A frame of the de-identified object cannot be read back."


class Frames:
    """Whole frames in memory, one behind the other; the memory is used again and again."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)
        self._size = size
        self._marked = bytearray(size)
        self._following = np.empty(size, np.bool_)
        self._least = 0

    def room(self, size: int) -> memoryview:
        """Give room for the next frames."""
        if size > len(self.data):
            self.data, self._marked = bytearray(size), bytearray(size)
            self._following = np.empty(size, np.bool_)
        self._size, self._least = size, 0
        return memoryview(self.data)[:size]

    def marker_from(self, offset: int, end: int, least: int) -> int:
        """Find the next marker, by the least byte that makes one."""
        if self._least != least:
            self._mark(least)
        place = self._marked.find(b"\1", offset, end - 1)
        while place >= 0 and self.data[place + 1] in _NO_MARKERS[least]:
            place = self._marked.find(b"\1", place + 1, end - 1)
        if place < 0:
            raise IdentityDoubt(_ODD_END)
        return place

    def _mark(self, least: int) -> None:
        self._least, last = least, self._size - 1
        of_frames = np.frombuffer(self.data, np.uint8, count=self._size)
        marked = np.frombuffer(self._marked, np.bool_, count=last)
        following = np.greater_equal(of_frames[1:], least, out=self._following[:last])
        np.equal(of_frames[:-1], _FF, out=marked)
        np.logical_and(marked, following, out=marked)


class CodestreamCheck:
    """Checks one frame after another; the header that many share is read once."""

    def __init__(self) -> None:
        self._head = b""
        self._least = 0x01

    def end_of(self, frames: Frames, start: int, end: int) -> int:
        """Check a frame and give where its codestream ends.

        Raises
        ------
        IdentityDoubt
            It holds a note or an unknown segment, or does not end with its end marker.
        """
        try:
            if frames.data.startswith(_JPEG, start, end):
                return self._jpeg(frames, start, end)
            if frames.data.startswith(_J2K, start, end):
                return self._jpeg_2000(frames, start, end)
        except (IndexError, struct.error) as error:
            raise IdentityDoubt(_UNREADABLE) from error
        raise IdentityDoubt(_UNREADABLE)

    def _jpeg(self, frames: Frames, start: int, end: int) -> int:
        data, offset = frames.data, start + len(self._head)
        if not self._head or not data.startswith(self._head, start, end):
            self._least = 0x01
            offset = self._jpeg_segments(frames, start + 2, end)
            self._head = bytes(data[start:offset])
        while data[offset - 2 : offset] != b"\xff\xd9":
            marker = frames.marker_from(offset, end, self._least)
            if data[marker + 1] == _EOI:
                return marker + 2
            offset = self._jpeg_segments(frames, marker, end)
        return offset

    def _jpeg_segments(self, frames: Frames, offset: int, end: int) -> int:
        """Read segments up to the entropy-coded bytes of a scan, or the end marker."""
        data = frames.data
        while True:
            first, marker = data[offset], data[offset + 1]
            if first == 0xFF and marker == _EOI:  # noqa: PLR2004
                return offset + 2
            length = int.from_bytes(data[offset + 2 : offset + 4], "big")
            body = bytes(data[offset + 4 : offset + 2 + length])
            if first != 0xFF or length < 2 or offset + 2 + length > end:  # noqa: PLR2004
                raise IdentityDoubt(_UNREADABLE)
            if marker not in _JPEG_SEGMENTS:
                begins, size = _COLOUR.get(marker, (b"", -1))
                if len(body) != size or not body.startswith(begins):
                    raise IdentityDoubt(_NOTE)
            if marker == _JPEG_LS:
                self._least = 0x80
            offset += 2 + length
            if marker == _SOS:
                return offset

    def _jpeg_2000(self, frames: Frames, start: int, end: int) -> int:
        data, offset = frames.data, start + len(self._head)
        if not self._head or not data.startswith(self._head, start, end):
            offset = start + 2
            while data[offset + 1] != _SOT:
                offset = _jpeg_2000_segment(data, offset, end)
            self._head = bytes(data[start:offset])
        while not data.startswith(b"\xff\xd9", offset, end):
            while data[offset + 1] != _SOD:
                offset = _jpeg_2000_segment(data, offset, end)
            offset = frames.marker_from(offset + 2, end, 0x90)
        return offset + 2


class RleCheck:
    """Checks the headers of RLE frames (PS3.5 G.5)."""

    def end_of(self, frames: Frames, start: int, end: int) -> int:
        """Check a frame and give where it ends.

        Raises
        ------
        IdentityDoubt
            Its header holds something else than the offsets of segments.
        """
        if end - start < _RLE_HEADER_BYTES:
            raise IdentityDoubt(_UNREADABLE)
        count, *offsets = struct.unpack_from("<16I", frames.data, start)
        used = offsets[:count]
        if used[:1] != [_RLE_HEADER_BYTES] or used != sorted(used) or any(offsets[count:]):
            raise IdentityDoubt(_UNREADABLE)
        return end


def _jpeg_2000_segment(data: bytearray, offset: int, end: int) -> int:
    if data[offset] != 0xFF or data[offset + 1] not in _J2K_SEGMENTS:  # noqa: PLR2004
        raise IdentityDoubt(_NOTE)
    length = int.from_bytes(data[offset + 2 : offset + 4], "big")
    if length < 2 or offset + 2 + length > end:  # noqa: PLR2004  the length counts itself
        raise IdentityDoubt(_UNREADABLE)
    return offset + 2 + length

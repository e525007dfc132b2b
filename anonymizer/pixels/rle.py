"""RLE frames without what a decoder passes over (PS3.5 Annex G)."""

import struct

from PIL import Image

from anonymizer.pixels.markers import Block
from appliance.errors import InvalidInstance

_HEADER_BYTES = 64
_LARGEST_RATIO = 64
"""A run of two bytes makes at most 128."""
_DAMAGED = "A frame of the slide is damaged: its codestream is not well formed."


class RleCleaner:
    """Checks that a frame is its header and its segments, each with the bytes of one plane."""

    def __init__(self, plane_bytes: int) -> None:
        self._plane_bytes = plane_bytes

    def clean(self, block: Block, start: int, end: int) -> int | bytes:
        """Check a frame; it stays whole.

        Raises
        ------
        InvalidInstance
            The header has other bytes than the count and offsets of the segments, a segment does
            not decode to one plane, or there are bytes between or behind the segments.
        """
        offsets = _offsets(block, start, end)
        for first, last in zip(offsets, (*offsets[1:], end - start), strict=True):
            self._check_segment(block.view[start + first : start + last])
        return end

    def _check_segment(self, segment: memoryview) -> None:
        padded = len(segment) > 0 and segment[-1] == 0
        if not _decodes(segment, self._plane_bytes):
            raise InvalidInstance(_DAMAGED)
        # One byte of padding may stand behind the runs; without the last run too little is left.
        if not _decodes(segment[:-1], self._plane_bytes):
            return
        if not padded or _decodes(segment[:-2], self._plane_bytes):
            raise InvalidInstance("A frame of the slide holds bytes that belong to no pixel.")


def _offsets(block: Block, start: int, end: int) -> tuple[int, ...]:
    if end - start < _HEADER_BYTES:
        raise InvalidInstance(_DAMAGED)
    count, *offsets = struct.unpack_from("<16I", block.data, start)
    used = tuple(offsets[:count])
    sound = 1 <= count <= len(offsets) and used == tuple(sorted(used)) and not any(offsets[count:])
    if not sound or used[0] != _HEADER_BYTES or used[-1] > end - start:
        raise InvalidInstance(_DAMAGED)
    return used


def _decodes(segment: memoryview, plane_bytes: int) -> bool:
    """Whether the runs of a segment fill a plane; Pillow's PackBits are those of Annex G."""
    if plane_bytes > _LARGEST_RATIO * len(segment):
        return False
    try:
        Image.frombytes("L", (plane_bytes, 1), segment, "packbits", "L")
    except (ValueError, OSError):
        return False
    return True

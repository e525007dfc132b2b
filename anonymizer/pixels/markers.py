"""Markers in encoded bytes, found for many frames at once; frames are otherwise never looked into.

Entropy-coded bytes never hold a marker, by the stuffing of their format, so that the first marker
behind a frame's header ends its pixels.
"""

from dataclasses import dataclass

import numpy as np

from appliance.errors import InvalidInstance

_STEP_BYTES = 1 << 18
"""Looked at together: what a core's cache holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Stuffing:
    """Which bytes make a marker of an FF before them."""

    least: int
    """Lower ones never do."""
    passed_over: frozenset[int]
    """Of the others, those that do not end entropy-coded bytes."""


JPEG = Stuffing(0x01, frozenset((*range(0xD0, 0xD8), 0xFF)))
"""All but 00 and the restart markers (T.81 F.1.2.3); an FF behind an FF is fill."""
JPEG_LS = Stuffing(0x80, frozenset((*range(0xD0, 0xD8), 0xFF)))
"""T.87 A.1."""
JPEG_2000 = Stuffing(0x90, frozenset((0x91, 0x92)))
"""All but the markers of packets (T.800 A.8, B.10.1)."""


class Masks:
    """Memory in which markers are marked, used for one block after another."""

    def __init__(self) -> None:
        self._mask = bytearray()
        self._second = np.empty(_STEP_BYTES, np.bool_)

    def of(self, view: memoryview, stuffing: Stuffing) -> bytearray:
        """Mark every FF behind which a byte stands that may make a marker of it."""
        data = np.frombuffer(view, np.uint8)
        if len(self._mask) < len(data):
            self._mask = bytearray(len(data))
        mask = np.frombuffer(self._mask, np.bool_)
        for start in range(0, len(data) - 1, _STEP_BYTES):
            step = data[start : start + _STEP_BYTES + 1]
            count = len(step) - 1
            marked, second = mask[start : start + count], self._second[:count]
            np.equal(step[:-1], 0xFF, out=marked)
            np.greater_equal(step[1:], stuffing.least, out=second)
            np.logical_and(marked, second, out=marked)
        return self._mask


class Block:
    """Bytes of one or more whole frames, and where the markers are in them."""

    def __init__(
        self, data: bytes | bytearray, length: int | None = None, masks: Masks | None = None
    ) -> None:
        """Take bytes.

        Parameters
        ----------
        data, length
            The bytes, and how many of them count if not all do.
        masks
            Memory to use; no other block may use it later while this one is in use.
        """
        self.data = data
        self.view = memoryview(data)[:length]
        self._masks = masks or Masks()
        self._stuffing: Stuffing | None = None
        self._mask = bytearray()

    def next_marker(self, offset: int, end: int, stuffing: Stuffing) -> int:
        """Find the first marker at or behind an offset.

        Raises
        ------
        InvalidInstance
            There is none before `end`.
        """
        if self._stuffing is not stuffing:
            self._mask, self._stuffing = self._masks.of(self.view, stuffing), stuffing
        place = self._mask.find(1, offset, end - 1)
        while place >= 0 and self.data[place + 1] in stuffing.passed_over:
            place = self._mask.find(1, place + 1, end - 1)
        if place < 0:
            raise InvalidInstance("A frame of the slide ends before its codestream does.")
        return place

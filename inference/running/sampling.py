"""Read a slide at any resolution: the pyramid level at or just above it, averaged down.

Where the level is twice as fine or more, its frames are decoded at a half, a quarter or an eighth
of their size (libjpeg averages in the DCT), and the rest is averaged by area.
"""

from typing import cast

import cv2

from appliance.slides.reader import SlideReader
from appliance.slides.sources import Pixels

_TOLERANCE = 1.05
"""A level this much coarser than asked for is as good: scanners write 0.2505 for 0.25."""


class Sampler:
    """A slide seen at one resolution. Thread-safe.

    Parameters
    ----------
    reader
        Open slide.
    um_px
        Wanted micrometres per pixel. A slide that is coarser is read at its own resolution.
    """

    def __init__(self, reader: SlideReader, um_px: float) -> None:
        base = reader.levels[0]
        self._reader = reader
        self.um_px = max(um_px, base.um_px)
        """Micrometres per pixel that `region` gives."""
        fits = [i for i, level in enumerate(reader.levels) if level.um_px <= um_px * _TOLERANCE]
        self._level = fits[-1] if fits else 0
        level = reader.levels[self._level]
        ratio = self.um_px / level.um_px
        self._shrink = max(n for n in level.shrinks if n == 1 or n <= ratio * _TOLERANCE)
        self.ratio = ratio / self._shrink
        """How many decoded pixels one pixel given covers along a side; about 1 or more."""
        self.coarser = self.um_px > um_px * _TOLERANCE
        """The slide is coarser than what was asked for."""
        self.rows = max(1, round(base.rows * base.um_px / self.um_px))
        self.columns = max(1, round(base.columns * base.um_px / self.um_px))

    def region(self, row: int, column: int, rows: int, columns: int) -> Pixels:
        """Read `(rows, columns, 3)` uint8 RGB at `um_px`; white outside the slide."""
        top, left = round(row * self.ratio), round(column * self.ratio)
        bottom = round((row + rows) * self.ratio)
        right = round((column + columns) * self.ratio)
        pixels = self._reader.region(
            self._level, top, left, bottom - top, right - left, shrink=self._shrink
        )
        if pixels.shape[:2] == (rows, columns):
            return pixels
        return cast("Pixels", cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA))

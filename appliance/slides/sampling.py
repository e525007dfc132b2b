"""Read a slide at any resolution: the pyramid level at or just above it, averaged down.

Where the level is twice as fine or more, its frames are decoded at a half, a quarter or an eighth
of their size (libjpeg averages in the DCT), and the rest is averaged by area, in blocks: a slide
may have one fine level alone, and memory must not grow with it.
"""

from typing import cast

import cv2
import numpy as np

from appliance.slides.reader import SlideReader
from appliance.slides.sources import Pixels

_BLOCK_PX = 16 << 20
"""Decoded pixels that are averaged at once, 48 MiB."""
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
        across = max(1, min(columns, int(_BLOCK_PX / self.ratio**2)))
        down = max(1, int(_BLOCK_PX / self.ratio**2 / across))
        if down >= rows and across >= columns:
            return self._block(row, column, rows, columns)
        pixels = np.empty((rows, columns, 3), np.uint8)
        for top in range(0, rows, down):
            for left in range(0, columns, across):
                part = pixels[top : top + down, left : left + across]
                part[...] = self._block(row + top, column + left, *part.shape[:2])
        return pixels

    def _block(self, row: int, column: int, rows: int, columns: int) -> Pixels:
        top, left = round(row * self.ratio), round(column * self.ratio)
        bottom = round((row + rows) * self.ratio)
        right = round((column + columns) * self.ratio)
        pixels = self._reader.region(
            self._level, top, left, bottom - top, right - left, shrink=self._shrink
        )
        if pixels.shape[:2] == (rows, columns):
            return pixels
        return cast("Pixels", cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA))

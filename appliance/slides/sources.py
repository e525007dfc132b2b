"""The pixels of one level: tiles found by the frame index, decoded, put side by side."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from appliance.slides.decoding import Decode
from appliance.slides.frames import Frames
from appliance.slides.grey import Pixels
from appliance.slides.recent import RecentTiles
from appliance.slides.tiling import FrameIndex

WHITE = 255

__all__ = ["WHITE", "Pixels", "TiledSource"]


class TiledSource:
    """One level of a slide; thread-safe.

    Parameters
    ----------
    parts
        Frames of the instances that make up the level, in order: one, or a concatenation.
    index
        Which frame shows which tile, counted over all parts.
    decode
        How a frame becomes RGB.
    recent
        The tiles of the slide that were decoded last.
    """

    def __init__(
        self, parts: Sequence[Frames], index: FrameIndex, decode: Decode, recent: RecentTiles
    ) -> None:
        self._parts = tuple(parts)
        self._first = (0, *accumulate(len(part) for part in parts))
        self._index = index
        self._decode = decode
        self._recent = recent

    @property
    def n_parts(self) -> int:
        """Number of instances it is read from."""
        return len(self._parts)

    @property
    def shows_all_frames(self) -> bool:
        """Every frame is some tile: there is no other optical path or focal plane."""
        return len(self._index) == self._first[-1]

    def region(self, row: int, column: int, rows: int, columns: int, shrink: int = 1) -> Pixels:
        """Read `(rows, columns, 3)` uint8 RGB that lies wholly inside the level.

        Parameters
        ----------
        row, column, rows, columns
            In pixels of the level made `shrink` times smaller.
        shrink
            A divisor of the tile's sides.

        Raises
        ------
        DamagedImage
            A frame is damaged.
        UnreadableEncoding
            No codec here knows a frame.
        """
        pixels = np.empty((rows, columns, 3), dtype=np.uint8)
        grid = self._index.grid
        tile_rows, tile_columns = grid.tile_rows // shrink, grid.tile_columns // shrink
        for tile_row in range(row // tile_rows, -(-(row + rows) // tile_rows)):
            for tile_column in range(
                column // tile_columns, -(-(column + columns) // tile_columns)
            ):
                top, left = tile_row * tile_rows - row, tile_column * tile_columns - column
                number = self._index.frame(tile_row, tile_column)
                tile = None if number is None else self._tile(number, shrink)
                if tile is None or tile.shape[:2] != (tile_rows, tile_columns):
                    cell = pixels[max(top, 0) : top + tile_rows, max(left, 0) : left + tile_columns]
                    cell[...] = WHITE
                if tile is not None:
                    _paste(tile, pixels, top, left)
        return pixels

    def close(self) -> None:
        """Unmap the files."""
        for part in self._parts:
            part.close()

    def _tile(self, number: int, shrink: int) -> Pixels:
        key = (id(self), number, shrink)
        tile = self._recent.get(key)
        if tile is None:
            tile = self._decode(self._frame(number), shrink)
            self._recent.keep(key, tile)
        return tile

    def _frame(self, number: int) -> bytes:
        part = bisect_right(self._first, number) - 1
        return self._parts[part].frame(number - self._first[part])


def _paste(tile: Pixels, pixels: Pixels, top: int, left: int) -> None:
    """Copy the part of a tile that falls on `pixels`; (top, left) may be negative."""
    bottom, right = top + tile.shape[0], left + tile.shape[1]
    rows = slice(max(top, 0), min(bottom, pixels.shape[0]))
    columns = slice(max(left, 0), min(right, pixels.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    pixels[rows, columns] = tile[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]

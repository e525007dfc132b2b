"""The squares of neighbouring tiles that a worker reads at once, and how they share the work."""

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from appliance.slides.classes import Mask
from appliance.slides.sampling import Sampler
from appliance.slides.sources import Pixels
from inference.running.tiles import Tile, TileGrid

MAXIMUM_READ_PX = 2048
"""Side of the largest square of source pixels a worker holds at a time."""
_SHARES = 2
"""A square is at most this part of what one worker still has to do."""
_LEAST = 4
"""Squares of so few tiles are not cut any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """Neighbouring tiles that one worker reads at once."""

    tiles: tuple[Tile, ...]
    grid: TileGrid

    @property
    def top(self) -> int:
        """Row of the first pixel that is read."""
        return min(tile.row for tile in self.tiles) - self.grid.margin_px

    @property
    def left(self) -> int:
        """Column of the first pixel that is read."""
        return min(tile.column for tile in self.tiles) - self.grid.margin_px

    def read(self, sampler: Sampler) -> Pixels:
        """Read all tiles with their margins, `(rows, columns, 3)`."""
        reach = self.grid.tile_px - self.grid.margin_px
        bottom = max(tile.row for tile in self.tiles) + reach
        right = max(tile.column for tile in self.tiles) + reach
        return sampler.region(self.top, self.left, bottom - self.top, right - self.left)

    def images(self, pixels: Pixels, batch: int) -> Iterator[tuple[Sequence[Tile], Pixels]]:
        """Cut what was read into `(n, tile_px, tile_px, 3)`, with the tiles they are."""
        size = self.grid.tile_px
        top, left = self.top + self.grid.margin_px, self.left + self.grid.margin_px
        for first in range(0, len(self.tiles), batch):
            some = self.tiles[first : first + batch]
            at = [(tile.row - top, tile.column - left) for tile in some]
            yield some, np.stack([pixels[row : row + size, col : col + size] for row, col in at])


def squares(grid: TileGrid, wanted: Mask, *, ratio: float, workers: int) -> list[Square]:
    """Group the wanted tiles into squares, in the order in which they should be worked on.

    The first are as large as a worker may read, since the frames at their rims are decoded again
    for their neighbours. Towards the end they become smaller, so that all workers end at the same
    time.

    Parameters
    ----------
    grid
        All tiles.
    wanted
        `(tile_rows, tile_columns)`: which of them are worth a look.
    ratio
        How many source pixels one pixel of the grid covers along a side.
    workers
        How many share the work.
    """
    side = max(1, int(MAXIMUM_READ_PX / (grid.step_px * max(1.0, ratio))))
    number = itertools.count()
    waiting = [
        (-len(tiles), next(number), tiles)
        for top in range(0, grid.tile_rows, side)
        for left in range(0, grid.tile_columns, side)
        if (tiles := _wanted(wanted, grid, top=top, left=left, side=side))
    ]
    heapq.heapify(waiting)
    left = sum(len(tiles) for _, _, tiles in waiting)
    found: list[Square] = []
    while waiting:
        _, _, tiles = heapq.heappop(waiting)
        if len(tiles) > max(_LEAST, left / (_SHARES * workers)):
            for half in _halves(tiles):
                heapq.heappush(waiting, (-len(half), next(number), half))
        else:
            found.append(Square(tiles=tiles, grid=grid))
            left -= len(tiles)
    return found


def _wanted(wanted: Mask, grid: TileGrid, *, top: int, left: int, side: int) -> tuple[Tile, ...]:
    """Give the wanted tiles of a square of the grid, row by row."""
    found = np.argwhere(wanted[top : top + side, left : left + side]) + np.array((top, left))
    return tuple(
        Tile(row=row * grid.step_px, column=column * grid.step_px) for row, column in found.tolist()
    )


def _halves(tiles: Sequence[Tile]) -> tuple[tuple[Tile, ...], tuple[Tile, ...]]:
    """Cut a square across its longer side."""
    rows, columns = {tile.row for tile in tiles}, {tile.column for tile in tiles}
    place = attrgetter("row" if len(rows) >= len(columns) else "column")
    places = sorted({place(tile) for tile in tiles})
    middle = places[len(places) // 2]
    before = tuple(tile for tile in tiles if place(tile) < middle)
    behind = tuple(tile for tile in tiles if place(tile) >= middle)
    return before, behind

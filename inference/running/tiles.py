"""The grid of tiles over a slide: pure geometry, no pixels.

All positions are in pixels of the *working grid*: origin at the top-left corner of the total
pixel matrix, spacing `um_px` of the model (or of the slide, where that is coarser).
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One model input and the part of it that is kept."""

    row: int
    """Top of the kept part."""
    column: int
    """Left of the kept part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """Tiles that overlap by a margin on each side; their kept parts cover each pixel once."""

    rows: int
    """Rows of the working grid."""
    columns: int
    tile_px: int
    """Side of the model's input."""
    margin_px: int
    """Rim of each tile that is read for context and thrown away."""

    @property
    def step_px(self) -> int:
        """Side of the kept part."""
        return self.tile_px - 2 * self.margin_px

    @property
    def tile_rows(self) -> int:
        """Number of rows of tiles."""
        return -(-self.rows // self.step_px)

    @property
    def tile_columns(self) -> int:
        """Number of columns of tiles."""
        return -(-self.columns // self.step_px)

    def blocks(self, side: int) -> Iterator[tuple[Tile, ...]]:
        """Yield squares of up to `side` x `side` neighbouring tiles, row by row."""
        for top in range(0, self.tile_rows, side):
            for left in range(0, self.tile_columns, side):
                yield tuple(
                    Tile(row=row * self.step_px, column=column * self.step_px)
                    for row in range(top, min(top + side, self.tile_rows))
                    for column in range(left, min(left + side, self.tile_columns))
                )

"""The grid covers every pixel once, whatever its size."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inference.running.tiles import TileGrid

SIZES = st.integers(min_value=1, max_value=900)


@given(rows=SIZES, columns=SIZES, margin=st.integers(0, 16), side=st.integers(1, 5))
def test_kept_parts_cover_each_pixel_once(rows: int, columns: int, margin: int, side: int) -> None:
    grid = TileGrid(rows=rows, columns=columns, tile_px=128, margin_px=margin)
    seen = np.zeros((rows, columns), np.uint8)
    for block in grid.blocks(side):
        assert len(block) <= side * side
        for tile in block:
            seen[tile.row : tile.row + grid.step_px, tile.column : tile.column + grid.step_px] += 1
    assert (seen == 1).all()

"""Which frame shows which tile: from the order of the frames, or from what each says of itself.

One picture of the slide is shown of all that an image may hold: its first optical path, and in
that the middle focal plane.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.errors import DamagedImage, UnreadableEncoding
from appliance.slides.frame_groups import FrameGroups

_TOO_FEW = "The number of frames of an image does not fit the size that its header tells."
_OFF_GRID = "The tiles of this slide do not lie on one grid, and cannot be put together here."


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How a total pixel matrix is cut into tiles (PS3.3 C.7.6.17.3)."""

    rows: int
    columns: int
    tile_rows: int
    tile_columns: int

    @property
    def down(self) -> int:
        """Number of rows of tiles."""
        return -(-self.rows // self.tile_rows)

    @property
    def across(self) -> int:
        """Number of tiles in a row of tiles."""
        return -(-self.columns // self.tile_columns)


class FrameIndex:
    """Frame numbers by tile; memory grows with the frames that exist, not with the matrix.

    Parameters
    ----------
    grid
        How the matrix is cut.
    keys
        `(n,)` int64, rising: tile row times `grid.across` plus tile column.
    numbers
        `(n,)` int64 frame numbers from 0.
    """

    def __init__(
        self, grid: Grid, keys: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]
    ) -> None:
        self.grid = grid
        self._keys = keys
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._keys)

    def frame(self, tile_row: int, tile_column: int) -> int | None:
        """Give the number of the frame that shows a tile; None where there is none."""
        key = tile_row * self.grid.across + tile_column
        at = int(self._keys.searchsorted(key))
        if at == len(self._keys) or self._keys[at] != key:
            return None
        return int(self._numbers[at])


def full_index(grid: Grid, *, n_frames: int, planes: int, paths: int) -> FrameIndex:
    """Index frames that lie in the order of TILED_FULL.

    Tiles row by row, then the next focal plane, then the next optical path (PS3.3 C.7.6.17.3).

    Parameters
    ----------
    n_frames
        Frames that there are.
    planes, paths
        Focal planes and optical paths as the header counts them; some scanners count wrongly, and
        what the number of frames proves is believed.

    Raises
    ------
    DamagedImage
        The number of frames is no multiple of the number of tiles, or of another count.
    """
    tiles = grid.down * grid.across
    copies, rest = divmod(n_frames, tiles)
    if rest or copies not in {1, planes, paths, planes * paths}:
        raise DamagedImage(_TOO_FEW)
    shown_planes = planes if copies in {planes, planes * paths} else 1
    keys = np.arange(tiles, dtype=np.int64)
    return FrameIndex(grid, keys, keys + _middle(shown_planes) * tiles)


def sparse_index(grid: Grid, groups: FrameGroups, path_order: Sequence[str]) -> FrameIndex:
    """Index frames that say where they lie.

    Parameters
    ----------
    path_order
        Optical Path Identifiers in the order of the Optical Path Sequence.

    Raises
    ------
    DamagedImage
        A frame lies outside the matrix.
    UnreadableEncoding
        The frames lie on no common grid.
    """
    row, column = groups.row - 1, groups.column - 1
    if len(row) == 0 or row.max() >= grid.rows or column.max() >= grid.columns:
        raise DamagedImage(_TOO_FEW)
    if (row % grid.tile_rows).any() or (column % grid.tile_columns).any():
        raise UnreadableEncoding(_OFF_GRID)
    keys = row // grid.tile_rows * grid.across + column // grid.tile_columns
    shown = np.flatnonzero(groups.path == _first_path(groups, path_order))
    shown = shown[np.lexsort((groups.z_um[shown], keys[shown]))]
    first, counts = np.unique(keys[shown], return_index=True, return_counts=True)[1:]
    chosen = shown[first + (counts - 1) // 2]
    return FrameIndex(grid, keys[chosen], chosen.astype(np.int64))


def _first_path(groups: FrameGroups, path_order: Sequence[str]) -> int:
    for name in path_order:
        if name in groups.path_names:
            return groups.path_names.index(name)
    return int(groups.path[0])


def _middle(planes: int) -> int:
    """Index of the middle of some focal planes, the lower one of an even number."""
    return (planes - 1) // 2

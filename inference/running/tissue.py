"""Where tissue is: the tissue model on a coarse view of the whole slide."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from appliance.slides.classes import Mask
from appliance.slides.sampling import Sampler
from appliance.slides.sources import Pixels
from inference.model.manifest import Model
from inference.running.engine import Runner
from inference.running.tiles import TileGrid

BLOCK_PX = 256
"""Side of the squares that the coarse view is cut into; a multiple of 32. Larger ones leave the
core's cache."""
MARGIN_PX = 32
SIDE_PX = BLOCK_PX + 2 * MARGIN_PX
"""Side of the largest image that the tissue model is given."""
_TISSUE = 1
_STEP = 32
_DEFAULT_THRESHOLD = 0.5
_SUBSAMPLES = 8
"""How many points a side tell at most how much of a tile is tissue."""
Positions = npt.NDArray[np.intp]
_GLASS_DARKEST = 190
_GLASS_COLOURFUL = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueView:
    """The coarse view of a slide."""

    um_px: float
    probability: npt.NDArray[np.float32]
    """`(rows, columns)`, 0 to 1, that a pixel is tissue."""
    something: Mask
    """`(rows, columns)`: not plain glass by its colour, tissue or not (pen, dirt, bubbles)."""
    threshold: float

    def mask(self, *, rows: int, columns: int, um_px: float) -> Mask:
        """Give the tissue mask on another grid with the same top-left corner.

        Returns
        -------
        numpy.ndarray
            `(rows, columns)` bool.
        """
        scale = um_px / self.um_px
        shift = (scale - 1) / 2
        matrix = np.array([[scale, 0, shift], [0, scale, shift]])
        finer = cv2.warpAffine(
            self.probability,
            matrix,
            (columns, rows),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return finer >= self.threshold

    def share(self, grid: TileGrid, *, um_px: float) -> npt.NDArray[np.float64]:
        """Give `(tile_rows, tile_columns)`: how much of each tile is tissue, 0 to 1."""
        side_um = grid.step_px * um_px
        k = int(np.clip(side_um / self.um_px, 1, _SUBSAMPLES))
        rows, columns = grid.tile_rows, grid.tile_columns
        fine = self.mask(rows=rows * k, columns=columns * k, um_px=side_um / k)
        fine[-(-grid.rows * k // grid.step_px) :] = False  # the last tiles reach beyond the slide
        fine[:, -(-grid.columns * k // grid.step_px) :] = False
        share: npt.NDArray[np.float64] = fine.reshape(rows, k, columns, k).mean(axis=(1, 3))
        return share

    def worth_a_look(self, grid: TileGrid, *, um_px: float) -> Mask:
        """Say of all tiles of a grid whether they may hold tissue or an artifact.

        Returns
        -------
        numpy.ndarray
            `(tile_rows, tile_columns)` bool: whether the kept part of each so much as touches a
            pixel of tissue or of anything that is not plain glass.
        """
        tops, bottoms = self._reach(grid.tile_rows, grid.step_px, um_px)
        lefts, rights = self._reach(grid.tile_columns, grid.step_px, um_px)
        width = self.something.shape[1]
        lefts, rights = np.minimum(lefts, width), np.minimum(rights, width)
        found = np.zeros((grid.tile_rows, grid.tile_columns), bool)
        for row, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)):
            strip = self.something[top:bottom].any(axis=0)
            strip |= (self.probability[top:bottom] >= self.threshold).any(axis=0)
            before = np.concatenate([[0], np.cumsum(strip)])
            found[row] = before[rights] > before[lefts]
        return found

    def _reach(self, count: int, step_px: int, um_px: float) -> tuple[Positions, Positions]:
        """Give the first pixel of the view that each tile touches, and the one after its last."""
        starts_um = np.arange(count) * step_px * um_px
        ends_um = starts_um + step_px * um_px
        return (starts_um / self.um_px).astype(np.intp), (ends_um / self.um_px).astype(np.intp) + 1


def threshold_of(model: Model) -> float:
    """Give the probability from which a pixel counts as tissue."""
    return model.thresholds.get("tissue", _DEFAULT_THRESHOLD)


def blocks(sampler: Sampler) -> Sequence[tuple[int, int]]:
    """Give the (row, column) of each square of the coarse view."""
    return [
        (row, column)
        for row in range(0, sampler.rows, BLOCK_PX)
        for column in range(0, sampler.columns, BLOCK_PX)
    ]


def look(
    sampler: Sampler, session: Runner, at: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], Mask]:
    """Judge one square of the coarse view.

    Returns
    -------
    tuple of numpy.ndarray
        Tissue probability and "something" of the square, `(rows, columns)` each.
    """
    row, column = at
    rows, columns = min(BLOCK_PX, sampler.rows - row), min(BLOCK_PX, sampler.columns - column)
    pixels = sampler.region(
        row - MARGIN_PX,
        column - MARGIN_PX,
        _padded(rows) + 2 * MARGIN_PX,
        _padded(columns) + 2 * MARGIN_PX,
    )
    inside = (slice(MARGIN_PX, MARGIN_PX + rows), slice(MARGIN_PX, MARGIN_PX + columns))
    something = _something(pixels)[inside]
    if not something.any():
        return np.zeros((rows, columns), np.float32), something
    probability = session.run(pixels[np.newaxis])[0, :, :, _TISSUE]
    return probability[inside], something


def _padded(size: int) -> int:
    return -(-size // _STEP) * _STEP


def _something(pixels: Pixels) -> Mask:
    """Find what is no plain glass: dark or coloured, and more than a single noisy pixel."""
    red, green, blue = cv2.split(pixels)
    darkest = cv2.min(cv2.min(red, green), blue)
    colour = cv2.max(cv2.max(red, green), blue) - darkest
    marked = ((darkest < _GLASS_DARKEST) | (colour > _GLASS_COLOURFUL)).astype(np.uint8)
    opened = cv2.morphologyEx(marked, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    return cast("Mask", opened.astype(bool))

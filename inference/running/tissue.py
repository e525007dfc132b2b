"""Where tissue is: the tissue model on a coarse view of the whole slide."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from appliance.slides.classes import Mask
from appliance.slides.sources import Pixels
from inference.model.manifest import Model
from inference.running.engine import Session
from inference.running.sampling import Sampler

BLOCK_PX = 512
"""Side of the squares that the coarse view is cut into; a multiple of 32."""
MARGIN_PX = 32
_TISSUE = 1
_STEP = 32
_DEFAULT_THRESHOLD = 0.5
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

    def is_worth_a_look(self, *, top_um: float, left_um: float, side_um: float) -> bool:
        """Whether a square may hold tissue or an artifact."""
        rows = slice(int(top_um / self.um_px), int((top_um + side_um) / self.um_px) + 1)
        columns = slice(int(left_um / self.um_px), int((left_um + side_um) / self.um_px) + 1)
        tissue = self.probability[rows, columns] >= self.threshold
        return bool(tissue.any()) or bool(self.something[rows, columns].any())


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
    sampler: Sampler, session: Session, at: tuple[int, int]
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
    darkest = pixels.min(axis=2)
    colour = pixels.max(axis=2) - darkest
    marked = ((darkest < _GLASS_DARKEST) | (colour > _GLASS_COLOURFUL)).astype(np.uint8)
    opened = cv2.morphologyEx(marked, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    return cast("Mask", opened.astype(bool))

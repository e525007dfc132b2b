"""Tissue that a plan is tried on: pixels of slides, and where they are clean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from appliance.slides.classes import SlideClass

RGB = npt.NDArray[np.uint8]
ClassMap = npt.NDArray[np.uint8]

MAP_PX: Final = 16
"""Pixels of tissue for one of the class map."""
_SMOOTH_PX: Final = 16.0
_GLASS: Final = 226
"""Brightness from which what is nearly grey is bare glass."""
_COLOURFUL: Final = 12
_LUMEN: Final = 7
"""Pixels of the class map across the widest hole that is tissue still."""
_PAPER: Final = 255
_GAP_CELLS: Final = 4
"""Cells between two pieces that are arranged beside each other: no pair reaches across."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """One connected image of tissue."""

    slide: str
    name: str
    pixels: RGB
    """`(rows, columns, 3)` uint8 RGB."""
    class_map: ClassMap
    """Values of `SlideClass`, one for each `MAP_PX` pixels."""
    column_cells: int = 0
    """By how many cells it lies right of its slide's origin: an even number, so that the colours of
    its cells stay; for pieces that are arranged."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tissue:
    """A corpus: one slide, or many pieces."""

    name: str
    kind: Literal["real", "arranged", "generated", "site"]
    um_px: float | None
    """None where it is not known, or differs from piece to piece."""
    pieces: tuple[Piece, ...]


def piece(slide: str, pixels: RGB, *, name: str = "") -> Piece:
    """Make a piece whose clean tissue is told from glass by brightness and colour.

    A stand-in for the tissue model, made for tissue that people have chosen already: it knows no
    artifacts.
    """
    return Piece(slide=slide, name=name, pixels=pixels, class_map=_class_map(pixels))


def arranged(name: str, pieces: Sequence[Piece], *, cell_px: int) -> Tissue:
    """Put pieces of many slides beside each other as if they were one slide's.

    Each begins on another colour of a plan, so that small pieces do not all fall to one recipient.
    """
    placed, column_cells = [], 0
    for number, one in enumerate(pieces):
        above, left = (number % 4) // 2 * cell_px, number % 2 * cell_px
        placed.append(
            Piece(
                slide=name,
                name=one.slide,
                pixels=np.pad(one.pixels, ((above, 0), (left, 0), (0, 0)), constant_values=_PAPER),
                class_map=np.pad(one.class_map, ((above // MAP_PX, 0), (left // MAP_PX, 0))),
                column_cells=column_cells,
            )
        )
        n_cells = placed[-1].shape[1] // cell_px + _GAP_CELLS
        column_cells += n_cells + n_cells % 2
    return Tissue(name=name, kind="arranged", um_px=None, pieces=tuple(placed))


def _class_map(pixels: RGB) -> ClassMap:
    smooth = cv2.GaussianBlur(pixels, (0, 0), _SMOOTH_PX)
    size = (pixels.shape[1] // MAP_PX, pixels.shape[0] // MAP_PX)
    small = cv2.resize(smooth, size, interpolation=cv2.INTER_AREA).astype(np.int16)
    colourful = small.max(axis=2) - small.min(axis=2) >= _COLOURFUL
    tissue = (colourful | (small.mean(axis=2) < _GLASS)).astype(np.uint8)
    # As for the tissue model, the lumen of a gland and fat are tissue.
    lumen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_LUMEN, _LUMEN))
    edge = cv2.BORDER_CONSTANT
    closed = cv2.morphologyEx(tissue, cv2.MORPH_CLOSE, lumen, borderType=edge)
    return np.where(closed, np.uint8(SlideClass.TISSUE), np.uint8(0)).astype(np.uint8)

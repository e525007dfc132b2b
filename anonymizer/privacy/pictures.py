"""Pictures of what would leave: the slide with the crops on it, and a sheet of the tiles."""

import io
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from anonymizer.tiles.plan import Placement

RGB = npt.NDArray[np.uint8]

_LEAVES: Final = (0, 140, 60)
_STAYS: Final = 0.45
_PAPER: Final = 255
_RIM_PX: Final = 4
_SHEET_TILE_PX: Final = 96
_ACROSS: Final = 12


def overlay(slide: RGB, placements: Sequence[Placement], *, px_per_px: float) -> RGB:
    """Draw the crops on the slide; what stays in the house is pale.

    Parameters
    ----------
    slide
        `(rows, columns, 3)` uint8 RGB of the whole slide, small.
    placements
        Crops, on the grid of the policy.
    px_per_px
        Pixels of `slide` for one of the policy's grid.
    """
    pale = np.asarray(_PAPER - (_PAPER - slide.astype(np.float32)) * _STAYS)
    drawn: RGB = np.ascontiguousarray(pale.astype(np.uint8))
    for one in placements:
        top, left = round(one.row_px * px_per_px), round(one.column_px * px_per_px)
        bottom = round((one.row_px + one.side_px) * px_per_px)
        right = round((one.column_px + one.side_px) * px_per_px)
        drawn[top:bottom, left:right] = slide[top:bottom, left:right]
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), _LEAVES, 1)
    return drawn


def sheet(tiles: Sequence[bytes]) -> RGB:
    """Lay out JPEG tiles as the recipient gets them, in their order, twelve in a row."""
    step = _SHEET_TILE_PX + _RIM_PX
    rows = -(-len(tiles) // _ACROSS)
    page = np.full((rows * step + _RIM_PX, _ACROSS * step + _RIM_PX, 3), _PAPER, dtype=np.uint8)
    for number, jpeg in enumerate(tiles):
        row, column = divmod(number, _ACROSS)
        with Image.open(io.BytesIO(jpeg)) as image:
            small = image.convert("RGB").resize((_SHEET_TILE_PX, _SHEET_TILE_PX))
        top, left = row * step + _RIM_PX, column * step + _RIM_PX
        page[top : top + _SHEET_TILE_PX, left : left + _SHEET_TILE_PX] = np.asarray(small)
    return page

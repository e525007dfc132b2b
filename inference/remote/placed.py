"""Answers on the slide's grid: checked, measured against the tissue, and drawn as maps."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from appliance.answers import PlacedAnswers, Values
from appliance.errors import ModelError
from appliance.slides.classes import ClassMap, SlideClass
from appliance.slides.findings import Findings
from inference.model.manifest import Model
from inference.running.engine import check_probabilities

_FINEST_UM: Final = 8.0
"""Spacing of a map at the finest: a map of pixels of a whole slide would be gigabytes."""
_ROUNDED: Final = 1e-6
_TILES: Final = 2
"""Axes of answers a tile, `(n, classes)`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedMap:
    """Answers about one slide as blocks of `k` by `k` numbers a tile; `k` is 1 for tiles."""

    blocks: npt.NDArray[np.float32]
    """`(n, k, k, classes)` probability."""
    tissue_um2: npt.NDArray[np.float64]
    """`(n, k, k)` clean tissue below each number."""
    um_px: float
    """Side of a pixel of the map."""
    rows: npt.NDArray[np.intp]
    """`(n,)` first row of each block on the map."""
    columns: npt.NDArray[np.intp]
    """`(n,)` first column of each block."""
    shape: tuple[int, int]
    """Rows and columns of the map."""

    def raster(self, class_index: int) -> npt.NDArray[np.float32]:
        """Draw the map of one class.

        Returns
        -------
        numpy.ndarray
            `(rows, columns)`, 0 to 1, NaN where nothing was answered; its corner is that of the
            base matrix.
        """
        drawn = np.full(self.shape, np.nan, np.float32)
        across = np.arange(self.blocks.shape[1])
        rows = self.rows[:, None, None] + across[:, None]
        columns = self.columns[:, None, None] + across
        inside = (rows < self.shape[0]) & (columns < self.shape[1])
        rows, columns = np.broadcast_arrays(rows, columns)
        drawn[rows[inside], columns[inside]] = self.blocks[..., class_index][inside]
        return drawn


def mapped(
    placed: PlacedAnswers, model: Model, *, findings: Findings, class_map: ClassMap
) -> PlacedMap:
    """Lay answers over a slide.

    Parameters
    ----------
    placed
        Of one route.
    model
        What its servers run.
    findings, class_map
        What local quality control found.

    Raises
    ------
    ModelError
        A tile lies outside the slide, or the answers are no probabilities of the model's classes.
    """
    side_um = placed.side_px * placed.um_px
    slide_um = (
        findings.base_rows * findings.base_um_px,
        findings.base_columns * findings.base_um_px,
    )
    starts_um = _starts_um(placed)
    if any((at >= end).any() for at, end in zip(starts_um, slide_um, strict=True)):
        raise ModelError(f"Answers of the model {model.name} lie outside the slide.")
    classes = (*placed.values.shape[:-1], len(model.classes))
    check_probabilities(model, placed.values, classes)
    if placed.values.ndim == _TILES:
        blocks = placed.values[:, None, None, :]
        um_px = placed.cell_px * placed.um_px
        rows, columns = (np.floor(at / um_px + _ROUNDED) for at in starts_um)
    else:
        blocks = _coarser(placed.values, side_um)
        um_px = side_um / blocks.shape[1]
        rows, columns = (np.rint(at / um_px) for at in starts_um)
    height, width = (max(1, int(np.ceil(length / um_px - _ROUNDED))) for length in slide_um)
    return PlacedMap(
        blocks=blocks,
        tissue_um2=_tissue(class_map, findings.class_map_um_px, placed, blocks.shape[1]),
        um_px=um_px,
        rows=rows.astype(np.intp),
        columns=columns.astype(np.intp),
        shape=(height, width),
    )


def _starts_um(placed: PlacedAnswers) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Give top and left of each tile in µm from the corner of the base matrix."""
    at_um = [px.astype(np.float64) * placed.um_px for px in (placed.rows_px, placed.columns_px)]
    return at_um[0], at_um[1]


def _coarser(values: Values, side_um: float) -> npt.NDArray[np.float32]:
    """Average maps of tiles `(n, rows, columns, classes)` to `(n, k, k, classes)`."""
    finest = min(values.shape[1:3])
    k = max(1, min(finest, int(side_um / _FINEST_UM)))
    if values.shape[1:3] == (k, k):
        return values
    resized = [cv2.resize(one, (k, k), interpolation=cv2.INTER_AREA) for one in values]
    return np.asarray(resized, np.float32).reshape(len(values), k, k, values.shape[3])


def _tissue(
    class_map: ClassMap, map_um_px: float, placed: PlacedAnswers, k: int
) -> npt.NDArray[np.float64]:
    """Measure the clean tissue in each of the `k` by `k` parts of each tile, in µm²."""
    counted = cv2.integral((class_map == SlideClass.TISSUE).astype(np.uint8))
    parts_um = np.arange(k + 1) * (placed.side_px * placed.um_px / k)
    rows, columns = (
        np.clip(np.rint((at[:, None] + parts_um) / map_um_px), 0, most).astype(np.intp)
        for at, most in zip(_starts_um(placed), class_map.shape, strict=True)
    )
    corners = counted[rows[:, :, None], columns[:, None, :]]
    inside = np.diff(np.diff(corners, axis=1), axis=2)
    return np.asarray(inside * map_um_px**2, np.float64)

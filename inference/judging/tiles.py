"""What tile classifiers saw, as areas of tissue and as maps that a PNG can hold."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.slides.classes import Mask
from appliance.slides.findings import TileResult
from inference.judging.quality import UM2_PER_MM2
from inference.running.classify import TileMap

_NOT_JUDGED: Final = 0
_LOWEST, _HIGHEST = 1, 255


def map_file(number: int) -> str:
    """Name the PNG of one map, numbered from 1."""
    return f"tiles-{number}.png"


def tile_results(
    tile_maps: Sequence[TileMap], tissue: Mask, *, um_px: float
) -> tuple[TileResult, ...]:
    """Measure what each map says, in their order.

    Parameters
    ----------
    tile_maps
        One a classifier and class.
    tissue
        `(rows, columns)` bool of all tissue.
    um_px
        Its spacing.
    """
    return tuple(
        _result(one, tissue, um_px=um_px, file=map_file(number))
        for number, one in enumerate(tile_maps, start=1)
    )


def encoded(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Make the values of a map's PNG.

    Parameters
    ----------
    probability
        `(rows, columns)`, 0 to 1, NaN where no tile was judged.

    Returns
    -------
    numpy.ndarray
        `(rows, columns)` uint8: 1 to 255 for a probability of 0 to 1, 0 where not judged.
    """
    part = np.clip(np.nan_to_num(probability, nan=0.0), 0, 1)
    shown = np.rint(_LOWEST + part * (_HIGHEST - _LOWEST))
    return np.where(np.isnan(probability), _NOT_JUDGED, shown).astype(np.uint8)


def tissue_um2(
    tissue: Mask, *, um_px: float, shape: tuple[int, int], tile_um: float
) -> npt.NDArray[np.float64]:
    """Measure the tissue in each tile.

    Parameters
    ----------
    tissue
        `(rows, columns)` bool; the tile of a pixel is the one that holds its centre.
    um_px
        Its spacing.
    shape
        Rows and columns of tiles.
    tile_um
        Side of a tile.

    Returns
    -------
    numpy.ndarray
        `shape` float64, square micrometres.
    """
    rows = _edges(shape[0], tile_um / um_px, tissue.shape[0])
    columns = _edges(shape[1], tile_um / um_px, tissue.shape[1])
    measured = np.zeros(shape)
    for row, (top, bottom) in enumerate(pairwise(rows)):
        along = np.concatenate(([0], np.cumsum(np.count_nonzero(tissue[top:bottom], axis=0))))
        measured[row] = np.diff(along[columns])
    return measured * um_px**2


def _edges(tiles: int, tile_px: float, most: int) -> npt.NDArray[np.intp]:
    """Give the first pixel of each tile, and the end of the last."""
    edges = np.ceil(np.arange(tiles + 1) * tile_px - 0.5)
    clipped: npt.NDArray[np.intp] = np.clip(edges, 0, most).astype(np.intp)
    return clipped


def _result(one: TileMap, tissue: Mask, *, um_px: float, file: str) -> TileResult:
    rows, columns = one.probability.shape
    area = tissue_um2(tissue, um_px=um_px, shape=(rows, columns), tile_um=one.um_px)
    judged = ~np.isnan(one.probability)
    threshold = one.model.thresholds[one.name]
    found = judged & (np.nan_to_num(one.probability) >= threshold)
    whole, above = float(area[judged].sum()), float(area[found].sum())
    code = one.model.classes[one.class_index].code
    return TileResult(
        model=one.model.name,
        name=one.name,
        code=(code.value, code.scheme, code.meaning),
        threshold=threshold,
        area_mm2=round(above / UM2_PER_MM2, 6),
        share_of_tissue=round(above / whole, 6) if whole else 0.0,
        highest=round(float(one.probability[judged].max()), 6) if judged.any() else 0.0,
        map_file=file,
        map_um_px=one.um_px,
    )

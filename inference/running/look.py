"""How a slide looks, whatever a model makes of it: how sharp, and with what colours and textures.

Pure functions over the pixels that the artifact model sees (about 2 um/px). What counts as stained
is a matter of optical density alone: a slide that no model understands still has a look.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from appliance.slides.classes import Mask
from appliance.slides.sources import Pixels

CELL_PX: Final = 32
"""Side of a cell of the focus map: 64 um at 2 um/px."""

MEASURES: Final = (
    "red density",
    "green density",
    "blue density",
    "red share",
    "blue share",
    "fine texture",
    "coarse texture",
)
"""What the rows of `Look.counts` count: optical densities (natural logarithm) of the stained
pixels, the parts of red and blue in them, and the energies of both textures of the cells."""

Sharpness = npt.NDArray[np.float32]

_BINS: Final = 64
_RANGES: Final = ((0.0, 4.0),) * 3 + ((0.0, 1.0),) * 2 + ((0.0, 12.0),) * 2
_DENSITY: Final = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)
_STAINED: Final = 0.2
"""Least optical density of the darkest channel; glass has about 0.05, grey glass 0.15."""
_LEAST_STAINED: Final = 0.25
"""Part of a cell that must be stained before it says anything of focus or texture."""
_NEAR_PX, _FAR_PX = 1, 4
_SAMPLE_PX: Final = 4
"""Colour is counted at every 4th pixel of every 4th row."""
_NOISE: Final = 6.0
"""Energy (grey levels squared) that camera noise and JPEG leave in a picture without detail."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """Colour and texture of what is stained: histograms, so that the looks of tiles add up."""

    counts: npt.NDArray[np.int64]
    """`(7, 64)`, one row a measure of `MEASURES`."""
    inked: int
    """How many pixels were left out because they are ink."""

    def __add__(self, other: "Look") -> "Look":
        """Give the look of both areas together."""
        return Look(counts=self.counts + other.counts, inked=self.inked + other.inked)

    @property
    def stained(self) -> int:
        """How many pixels are stained; every 16th pixel is counted."""
        return int(self.counts[0].sum())

    def quantile(self, measure: str, share: float) -> float:
        """Give the value that `share` of the stained pixels, or cells, stay below.

        NaN when nothing was counted.
        """
        row = MEASURES.index(measure)
        running = np.cumsum(self.counts[row])
        if running[-1] == 0:
            return float("nan")
        wanted = share * running[-1]
        at = int(np.searchsorted(running, wanted))
        before = int(running[at - 1]) if at else 0
        low, high = _RANGES[row]
        inside = (wanted - before) / max(int(running[at]) - before, 1)
        return float(low + (at + inside) * (high - low) / _BINS)


def nothing() -> Look:
    """Give the look of no pixels at all, to start a sum with."""
    return Look(counts=np.zeros((len(MEASURES), _BINS), np.int64), inked=0)


def look_at(pixels: Pixels, ink: Mask | None = None) -> tuple[Sharpness, Look]:
    """Measure one tile, or any area.

    Parameters
    ----------
    pixels
        `(rows, columns, 3)` uint8 RGB; rows and columns beyond a multiple of `CELL_PX` are left
        out.
    ink
        `(rows, columns)` bool: what the artifact model calls pen; its colours say nothing of the
        slide's.

    Returns
    -------
    tuple
        Sharpness of each cell, `(rows // 32, columns // 32)` float32, NaN where less than a quarter
        is stained; and the look.

        Sharpness is the energy of the steps between neighbouring pixels as a part of that between
        pixels 4 apart, in green: contrast and stain cancel. Blurred tissue has less than 0.1,
        sharp tissue 0.2 to 0.5.
    """
    rows, columns = (side // CELL_PX for side in pixels.shape[:2])
    whole = pixels[: rows * CELL_PX, : columns * CELL_PX]
    if not whole.size:
        return np.full((rows, columns), np.nan, np.float32), nothing()
    density = _DENSITY[whole[::_SAMPLE_PX, ::_SAMPLE_PX]]
    stained = np.maximum(np.maximum(density[..., 0], density[..., 1]), density[..., 2]) > _STAINED
    share = cv2.resize(
        stained.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA
    ).reshape(rows, columns)
    tissue = share >= _LEAST_STAINED
    light = whole[..., 1].astype(np.float32)
    near = _energy(light, _NEAR_PX, (rows, columns))
    far = _energy(light, _FAR_PX, (rows, columns))
    sharpness = np.where(tissue, np.maximum(near - _NOISE, 0) / (far + _NOISE), np.nan)
    tissue_colour = stained
    if ink is not None:
        tissue_colour = (
            stained & ~ink[: rows * CELL_PX : _SAMPLE_PX, : columns * CELL_PX : _SAMPLE_PX]
        )
    colours = density[tissue_colour]
    total = colours[:, 0] + colours[:, 1] + colours[:, 2]
    measured = (
        *colours.T,
        colours[:, 0] / total,
        colours[:, 2] / total,
        np.log1p(near[tissue]),
        np.log1p(far[tissue]),
    )
    counts = np.stack([_counted(*pair) for pair in zip(measured, _RANGES, strict=True)])
    return sharpness.astype(np.float32), Look(
        counts=counts, inked=int(stained.sum() - tissue_colour.sum())
    )


def _energy(
    light: npt.NDArray[np.float32], apart_px: int, cells: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Mean square of the steps between pixels `apart_px` apart, along rows and columns, a cell."""
    squared = np.zeros_like(light)
    squared[:, apart_px:] = np.square(light[:, apart_px:] - light[:, :-apart_px])
    squared[apart_px:] += np.square(light[apart_px:] - light[:-apart_px])
    rows, columns = cells
    mean = cv2.resize(squared, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(mean, np.float32).reshape(cells)


def _counted(values: npt.NDArray[np.float32], bounds: tuple[float, float]) -> npt.NDArray[np.int64]:
    low, high = bounds
    bins = np.clip((values - low) * (_BINS / (high - low)), 0, _BINS - 1).astype(np.intp)
    return np.bincount(bins, minlength=_BINS)

"""H&E-like tissue as a function of a place in micrometres and a seed."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from appliance.synthetic import outline
from appliance.synthetic.canvas import Canvas, add_chromatin, canvas
from appliance.synthetic.cells import add_fat, add_nests, add_stromal_nuclei
from appliance.synthetic.fields import Field, Window, ramp, resample, smoothstep
from appliance.synthetic.regions import regions
from appliance.synthetic.staining import GLASS, coloured
from appliance.synthetic.tubes import add_glands, add_vessels

Rgb = npt.NDArray[np.uint8]

_EDGE_UM = 14.0

_LOOK_UM = 16.0

_FINEST_UM_PX = 1.0
"""Sampling coarser than this is painted finer and averaged, so that nuclei stay visible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    """Pieces of stained tissue on glass; without pieces, bare glass."""

    seed: int
    pieces: tuple[outline.Piece, ...]

    def depth_um(self, window: Window) -> Field:
        """Return how deep inside tissue each pixel lies, (rows, columns) in micrometres."""
        return outline.depth_um(window, self.pieces, self.seed)

    def is_bare(self, window: Window) -> bool:
        """Say whether `window` shows nothing but glass."""
        return self._occupied(window) is None

    def render(self, window: Window) -> Rgb:
        """Return what a scanner sees: RGB (rows, columns, 3) uint8."""
        rgb = bare_glass(window.rows, window.columns)
        part = self._occupied(window)
        if part is not None:
            rows, columns = part
            rgb[rows, columns] = self._averaged(window.part(rows, columns))
        return rgb

    def _occupied(self, window: Window) -> tuple[slice, slice] | None:
        """Return the rows and columns of `window` that may show tissue."""
        look = window.coarse(_LOOK_UM, _LOOK_UM)
        seen = self.depth_um(look) > -_LOOK_UM
        if not seen.any():
            return None
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        step = _LOOK_UM / window.um_px
        top = (look.y_um - window.y_um) / window.um_px
        left = (look.x_um - window.x_um) / window.um_px
        return (
            slice(max(0, int(top + rows[0] * step)), int(top + (rows[-1] + 1) * step) + 1),
            slice(max(0, int(left + columns[0] * step)), int(left + (columns[-1] + 1) * step) + 1),
        )

    def _averaged(self, window: Window) -> Rgb:
        steps = int(np.ceil(window.um_px / _FINEST_UM_PX - 1e-9))
        if steps <= 1:
            return self._render(window)
        fine = Window(
            y_um=window.y_um,
            x_um=window.x_um,
            rows=window.rows * steps,
            columns=window.columns * steps,
            um_px=window.um_px / steps,
        )
        size = (window.columns, window.rows)
        rgb: Rgb = np.asarray(cv2.resize(self._render(fine), size, interpolation=cv2.INTER_AREA))
        return rgb

    def _render(self, window: Window) -> Rgb:
        margin_px = int(np.ceil(12.0 / window.um_px))
        wide = window.padded(margin_px)
        found = regions(wide, self.pieces, self.seed)
        here = canvas(wide, found, self.seed)
        add_fat(here)
        add_stromal_nuclei(here)
        add_nests(here)
        add_vessels(here)
        add_glands(here)
        add_chromatin(here)
        _fray(here)
        rgb = coloured(here.h, here.e)
        return np.ascontiguousarray(rgb[margin_px:-margin_px, margin_px:-margin_px])


def _fray(here: Canvas) -> None:
    """Thin the tissue out along its fibres at the edge, and leave glass bare."""
    found = here.regions
    if found.depth_um.min() > _EDGE_UM:
        return
    depth = resample(found.depth_um, found.window, here.window)
    body = smoothstep(found.depth_um, 0, _EDGE_UM) * np.float32(0.45) + np.float32(0.55)
    cover = ramp((depth + (here.e - np.float32(0.45)) * np.float32(14)) * np.float32(0.4))
    cover *= resample(body, found.window, here.window)
    for stain in (here.h, here.e):
        np.multiply(stain, cover, out=stain)


def bare_glass(rows: int, columns: int) -> Rgb:
    """Return glass with nothing on it."""
    return _glass(rows, columns).copy()


@lru_cache(maxsize=8)
def _glass(rows: int, columns: int) -> Rgb:
    return np.full((rows, columns, 3), GLASS, np.uint8)

"""Cells one by one: fat, the cells of solid nests, fibroblasts and lymphocytes."""

import numpy as np
import numpy.typing as npt

from appliance.synthetic.canvas import Canvas
from appliance.synthetic.fields import (
    Field,
    Numbers,
    Scatter,
    Window,
    resample,
    scatter,
    smoothstep,
)
from appliance.synthetic.shapes import fill, ovals

_ANY = 0.01
_HALF = 0.5


def add_fat(here: Canvas) -> None:
    """Round empty cells with thin pink walls."""
    coarse = here.regions
    if not (coarse.fat > _ANY).any():
        return
    grid = here.window.coarse(2.0, 4.0)
    walls = _cell_walls_um(grid, 62.0, here.seed + 51)
    wall = resample(np.exp(-((walls / 2.2) ** 2)).astype(np.float32), grid, here.window)
    share = smoothstep(here.fine(coarse.fat), 0.45, 0.6)
    here.lay(share, h=wall * 0.10, e=wall * (0.35 + 0.4 * here.grain))


def _cell_walls_um(window: Window, pitch_um: float, seed: int) -> Field:
    """Return each pixel's distance from the nearest border between jittered grid cells (Worley)."""
    row = np.floor(window.ys_um / pitch_um).astype(np.int64)[:, None]
    column = np.floor(window.xs_um / pitch_um).astype(np.int64)[None, :]
    cells = scatter(window.padded(int(1.5 * pitch_um / window.um_px)), pitch_um, seed, 0.75)
    shape = (int(np.ptp(cells.row)) + 1, int(np.ptp(cells.column)) + 1)
    ys, xs = (each.astype(np.float32).reshape(shape) for each in (cells.y_um, cells.x_um))
    first = np.full((window.rows, window.columns), 1e9, np.float32)
    second = first.copy()
    y, x = window.ys_um.astype(np.float32)[:, None], window.xs_um.astype(np.float32)[None, :]
    for step in range(9):
        at = (row - cells.row[0] + step // 3 - 1, column - cells.column[0] + step % 3 - 1)
        distance = np.hypot(ys[at] - y, xs[at] - x).astype(np.float32, copy=False)
        np.minimum(second, np.maximum(first, distance), out=second)
        np.minimum(first, distance, out=first)
    return np.asarray((second - first) / 2, np.float32)


def add_nests(here: Canvas) -> None:
    """Sheets of large pale cells with open nuclei, as in a carcinoma or squamous epithelium."""
    coarse = here.regions
    if not (coarse.nests > _ANY).any():
        return
    share = here.fine(coarse.nests)
    here.lay(share, h=0.16 + 0.22 * here.grain, e=0.30 + 0.34 * here.grain)
    places = scatter(here.window, 10.5, here.seed + 61, jitter=0.75)
    inside = coarse.window.look_up(coarse.nests, places.y_um, places.x_um)
    places = places.kept((inside > _HALF) & places.chance(0, 0.88))
    size = 2.6 + 1.9 * places.number(1)
    turn = coarse.window.look_up(coarse.turn, places.y_um, places.x_um) + 2 * places.number(2)
    shape = ovals(
        places.y_um,
        places.x_um,
        along_um=size * (1.05 + 0.5 * places.number(3)),
        across_um=size * 0.92,
        turn=turn,
        corners=14,
    )
    fill(here.nuclei, shape, here.window, shades(places.number(4), 120, 190))
    _nucleoli(here, places.kept(places.chance(5, 0.45)))


def _nucleoli(here: Canvas, places: Scatter) -> None:
    angle = places.number(6) * 2 * np.pi
    size = np.full(angle.size, 0.75)
    shape = ovals(
        places.y_um + np.sin(angle),
        places.x_um + np.cos(angle),
        along_um=size,
        across_um=size,
        turn=size,
        corners=6,
    )
    fill(here.nuclei, shape, here.window, 240)


def add_stromal_nuclei(here: Canvas) -> None:
    """Thin nuclei of fibroblasts along the collagen, and round dark lymphocytes in foci."""
    coarse = here.regions
    places = scatter(here.window, 17.0, here.seed + 91)
    fat = coarse.window.look_up(coarse.fat, places.y_um, places.x_um)
    places = places.kept(places.chance(0, np.where(fat > _HALF, 0.04, 0.42)))
    turn = coarse.window.look_up(coarse.turn, places.y_um, places.x_um)
    shape = ovals(
        places.y_um,
        places.x_um,
        along_um=3.4 + 3.4 * places.number(1),
        across_um=1.0 + 0.9 * places.number(2) ** 2,
        turn=turn + (places.number(3) - 0.5) * 0.7,
        corners=10,
    )
    fill(here.nuclei, shape, here.window, shades(places.number(4), 150, 235))
    places = scatter(here.window, 7.4, here.seed + 95)
    lymph = coarse.window.look_up(coarse.lymph, places.y_um, places.x_um)
    fat = coarse.window.look_up(coarse.fat, places.y_um, places.x_um)
    places = places.kept(places.chance(0, np.where(fat > _HALF, 0, 0.02 + 0.8 * lymph)))
    size = 2.3 + 0.9 * places.number(1)
    shape = ovals(
        places.y_um,
        places.x_um,
        along_um=size * 1.08,
        across_um=size * 0.95,
        turn=places.number(2) * 6,
        corners=10,
    )
    fill(here.nuclei, shape, here.window, shades(places.number(3), 195, 250))


def shades(number: Numbers, low: int, high: int) -> npt.NDArray[np.int64]:
    """Spread uniform numbers over six depths of stain."""
    return (low + np.floor(number * 6) * (high - low) / 5).astype(np.int64)

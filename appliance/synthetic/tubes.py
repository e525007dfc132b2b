"""Round structures with a wall and a lumen: glands and small vessels."""

import numpy as np
import numpy.typing as npt

from appliance.synthetic.canvas import Canvas
from appliance.synthetic.cells import shades
from appliance.synthetic.fields import Numbers, hashed, scatter
from appliance.synthetic.shapes import Outlines, fill, ovals, softened

_ANY = 0.01
_GLANDULAR = 0.4
_DEEP_UM = 60
_WALL = 255
_LUMEN = 60


def add_glands(here: Canvas) -> None:
    """Tubes of columnar cells around an empty lumen, their nuclei in a ring near the base."""
    coarse = here.regions
    if not (coarse.glands > _ANY).any():
        return
    margin_px = int(110 / here.window.um_px)
    places = scatter(here.window.padded(margin_px), 124.0, here.seed + 71, jitter=0.62)
    inside = coarse.window.look_up(coarse.glands, places.y_um, places.x_um)
    places = places.kept((inside > _GLANDULAR) & places.chance(0, 0.93))
    if not places.y_um.size:
        return
    outer_um = 36 + 26 * places.number(1) ** 1.5
    wall_um = np.minimum(18 + 9 * places.number(2), outer_um * 0.72)
    turn = coarse.window.look_up(coarse.turn, places.y_um, places.x_um) + places.number(3) - 0.5
    stretch = 1.0 + 0.35 * places.number(4)
    bumps = (
        0.09 * places.number(5),
        places.number(6),
        0.08 * places.number(7),
        places.number(8),
        0.04 * places.number(9),
        places.number(10),
    )

    def ring(radius_um: Numbers) -> npt.NDArray[np.float64]:
        shape = ovals(
            places.y_um,
            places.x_um,
            along_um=radius_um * stretch,
            across_um=radius_um / stretch**0.5,
            turn=turn,
            corners=48,
            bumps=bumps,
        )
        return np.stack([shape.y_um, shape.x_um])

    _paint_glands(here, ring(outer_um), ring(outer_um - wall_um))


def _paint_glands(
    here: Canvas, outer: npt.NDArray[np.float64], inner: npt.NDArray[np.float64]
) -> None:
    plane = np.zeros((here.window.rows, here.window.columns), np.uint8)
    fill(plane, Outlines(y_um=outer[0], x_um=outer[1]), here.window, _WALL)
    body = softened(plane, 0.6 / here.window.um_px)
    here.lay(body, h=0.14 + 0.26 * here.grain, e=0.26 + 0.36 * here.grain)
    here.nuclei[plane > 0] = 0
    fill(plane, Outlines(y_um=inner[0], x_um=inner[1]), here.window, _LUMEN)
    for depth, chance, salt in ((0.26, 0.97, 0), (0.50, 0.55, 1)):
        _ring_of_nuclei(here, outer, inner, depth=depth, chance=chance, salt=salt)
    lumen = softened(((plane == _LUMEN) * np.uint8(255)), 0.9 / here.window.um_px)
    here.lay(lumen, h=0.01, e=0.08 * here.grain)
    here.nuclei[plane == _LUMEN] = 0


def _ring_of_nuclei(
    here: Canvas,
    outer: npt.NDArray[np.float64],
    inner: npt.NDArray[np.float64],
    *,
    depth: float,
    chance: float,
    salt: int,
) -> None:
    """Stand long nuclei side by side, pointing at the lumen."""
    step_um = 5.6
    path = outer + (inner - outer) * depth
    closed = np.concatenate([path, path[:, :, :1]], axis=2)
    length = np.hypot(*np.diff(closed, axis=2))
    reached = np.concatenate([np.zeros((path.shape[1], 1)), np.cumsum(length, axis=1)], axis=1)
    inward = np.concatenate([inner - outer, (inner - outer)[:, :, :1]], axis=2)
    gland = np.repeat(np.arange(path.shape[1]), (reached[:, -1] / step_um).astype(int))
    order = np.arange(gland.size) - np.searchsorted(gland, gland)
    key = np.round(closed[0, :, 0] * 16).astype(np.int64)[gland]
    number = [hashed(here.seed + 80 + salt * 10 + k, key, order) for k in range(5)]
    along = (order + 0.35 * number[0]) * step_um
    places = np.empty((4, gland.size))
    for each in range(path.shape[1]):
        mine = gland == each
        for axis in range(2):
            places[axis, mine] = np.interp(along[mine], reached[each], closed[axis, each])
            places[2 + axis, mine] = np.interp(along[mine], reached[each], inward[axis, each])
    keep = number[1] < chance
    sway = (number[2] - 0.5) * 0.22
    shape = ovals(
        places[0, keep] + places[2, keep] * sway[keep],
        places[1, keep] + places[3, keep] * sway[keep],
        along_um=4.2 + 1.9 * number[3][keep],
        across_um=1.9 + 0.7 * number[4][keep],
        turn=np.arctan2(places[2, keep], places[3, keep]) + (number[2][keep] - 0.5) * 0.5,
        corners=12,
    )
    fill(here.nuclei, shape, here.window, shades(number[4][keep], 150, 215))


def add_vessels(here: Canvas) -> None:
    """Small vessels: a wall of muscle, and red cells in the lumen."""
    margin_px = int(60 / here.window.um_px)
    coarse = here.regions
    places = scatter(here.window.padded(margin_px), 410.0, here.seed + 101)
    inside = coarse.window.look_up(coarse.depth_um, places.y_um, places.x_um)
    glands = coarse.window.look_up(coarse.glands, places.y_um, places.x_um)
    places = places.kept((inside > _DEEP_UM) & (glands < _ANY) & places.chance(0, 0.6))
    if not places.y_um.size:
        return
    size = 10 + 22 * places.number(1) ** 2
    turn, bumps = places.number(2) * 6, (0.10 * places.number(3), places.number(4))

    def wall(radius: Numbers) -> Outlines:
        return ovals(
            places.y_um,
            places.x_um,
            along_um=radius * 1.25,
            across_um=radius * 0.85,
            turn=turn,
            corners=28,
            bumps=bumps,
        )

    outer, inner = wall(size), wall(size * 0.62)
    for each in range(size.size):
        part = here.around(places.y_um[each], places.x_um[each], 1.6 * size[each])
        if part is not None:
            _paint_vessel(part, outer.only(each), inner.only(each))


def _paint_vessel(here: Canvas, outer: Outlines, inner: Outlines) -> None:
    plane = np.zeros((here.window.rows, here.window.columns), np.uint8)
    fill(plane, outer, here.window, _WALL)
    sigma_px = 0.7 / here.window.um_px
    here.lay(softened(plane, sigma_px), h=0.1, e=0.55 + 0.45 * here.grain)
    fill(plane, inner, here.window, _LUMEN)
    lumen = plane == _LUMEN
    here.nuclei[lumen] = 0
    here.lay(softened(lumen * np.uint8(255), sigma_px), h=0.0, e=0.04)
    _red_cells(here, lumen)


def _red_cells(here: Canvas, lumen: npt.NDArray[np.bool_]) -> None:
    if not lumen.any():
        return
    places = scatter(here.window, 6.2, here.seed + 105)
    places = places.kept(
        places.chance(0, 0.7)
        & (here.window.look_up(lumen.astype(np.float32), places.y_um, places.x_um) > 0)
    )
    size = np.full(places.y_um.size, 2.9)
    shape = ovals(
        places.y_um, places.x_um, along_um=size, across_um=size * 0.9, turn=size, corners=10
    )
    plane = np.zeros_like(here.nuclei)
    fill(plane, shape, here.window, _WALL)
    here.lay(softened(plane, 0.5 / here.window.um_px), h=0.0, e=1.55)

"""Blood: a pool or a smear of erythrocytes, discs of seven micrometres without nuclei."""

from dataclasses import dataclass

import numpy as np

from appliance.synthetic import artifact_geometry as geometry
from appliance.synthetic.artifact_geometry import GLASS, HALF, Field, Mask, Point, Rgb

_PITCH_UM = 6.6
_CELL_RADIUS_UM = 3.6
_PLASMA = 0.12
"""Optical density between the cells, as a share of a cell's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blood:
    """Erythrocytes beside each other, on glass or in place of the tissue.

    `density` 0 to 1 is how many places of the packing hold a cell, `opacity` how much of the
    tissue they push away, `colour` the optical density of a cell in R, G, B.
    """

    centre_um: Point
    radius_um: Point
    seed: int
    density: float = 0.95
    opacity: float = 0.95
    edge_um: float = 14.0
    colour: tuple[float, float, float] = (0.12, 0.72, 0.52)


def blood(rgb: Rgb, spec: Blood, *, um_px: float, origin_um: Point) -> tuple[Rgb, Mask]:
    """Pour blood over tissue or glass; the mask is the pool with the gaps between its cells."""
    reach = max(spec.radius_um) * 2.2 + spec.edge_um
    window = geometry.window_around(rgb, [spec.centre_um], reach, um_px=um_px, origin_um=origin_um)
    if window is None:
        return rgb.copy(), np.zeros(rgb.shape[:2], bool)
    radius = geometry.outline(
        window, spec.centre_um, spec.radius_um, seed=spec.seed, power=2.0, rough=0.35
    )
    inside_um = (1.0 - radius) * np.float32(min(spec.radius_um))
    cover = geometry.ramp(inside_um / np.float32(spec.edge_um) + np.float32(HALF))
    thickness = 1 + np.float32(0.25) * geometry.noise(window, 70.0, spec.seed + 2)
    amount = (_cells(window, spec, um_px=um_px) + np.float32(_PLASMA)) * thickness
    density = amount[..., None] * np.array(spec.colour, np.float32)
    here = rgb[window.rows, window.columns].astype(np.float32) / 255
    kept = np.power(np.clip(here / GLASS, 0.02, None), 1 - spec.opacity)
    poured = np.float32(GLASS) * kept * np.exp(-density)
    out = rgb.copy()
    out[window.rows, window.columns] = geometry.to_rgb(
        (here + (poured - here) * cover[..., None]) * 255
    )
    return out, geometry.placed(rgb, window, cover > HALF)


def _cells(window: geometry.Window, spec: Blood, *, um_px: float) -> Field:
    """Thickness of the nearest disc, 0 to about 1: float32 (rows, columns).

    Every place of a square packing holds at most one cell, moved about; so a cell lands on the
    same micrometres in every tile and on every level.
    """
    y, x = window.y_um / _PITCH_UM, window.x_um / _PITCH_UM
    row, column = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    edge = np.float32(max(0.5, 0.5 * um_px) / _CELL_RADIUS_UM)
    thick = np.zeros((y.size, x.size), np.float32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            dy, dx, size = (
                _drawn(row + down, column + right, spec.seed + 11 + n) for n in range(3)
            )
            away_y = y - (row + down) - np.float32(0.5) - np.float32(0.35) * dy
            away_x = x - (column + right) - np.float32(0.5) - np.float32(0.35) * dx
            away = np.hypot(away_y, away_x) * np.float32(_PITCH_UM / _CELL_RADIUS_UM)
            away = away * (1 - np.float32(0.15) * size)
            present = _drawn(row + down, column + right, spec.seed + 14) < 2 * spec.density - 1
            disc = np.clip((1 - away) / edge + np.float32(HALF), 0, 1) * (0.75 + 0.25 * away)
            thick = np.maximum(thick, disc * present * (1 + np.float32(0.2) * size))
    return thick


def _drawn(rows: geometry.Cells, columns: geometry.Cells, seed: int) -> Field:
    """Look up a value in -1..1 for every pixel's packing place (rows (n, 1), columns (1, m))."""
    first_row, first_column = int(rows.min()), int(columns.min())
    table = geometry.hashed(
        np.arange(first_row, int(rows.max()) + 1)[:, None],
        np.arange(first_column, int(columns.max()) + 1)[None, :],
        seed,
    )
    return table[rows - first_row, columns - first_column]

"""What kind of tissue lies where: smooth fields on one coarse grid for the whole slide."""

from dataclasses import dataclass

import numpy as np

from appliance.synthetic import outline
from appliance.synthetic.fields import Field, Window, smooth_noise, smoothstep

COARSE_UM = 4.0
"""Sampling of the fields."""

MARGIN_UM = 108.0
"""How far the fields go beyond the window: as far as a gland reaches from its middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """Fields of one window on the slide-wide coarse grid `window`, each (rows, columns).

    `depth_um` inside tissue; shares in [0, 1] of glands, solid nests, fat and lymphocytes; `u_um`
    and `v_um` are the place along and across the collagen; `turn` its direction in radians.
    """

    window: Window
    depth_um: Field
    glands: Field
    nests: Field
    fat: Field
    lymph: Field
    u_um: Field
    v_um: Field
    turn: Field


def regions(window: Window, pieces: tuple[outline.Piece, ...], seed: int) -> Regions:
    """Return the regions that `window` and its surroundings lie in."""
    coarse = window.coarse(COARSE_UM, MARGIN_UM)
    depth = outline.depth_um(coarse, pieces, seed)
    kind = smooth_noise(coarse, 1300, seed + 21) + 0.35 * smooth_noise(coarse, 260, seed + 22)
    other = smooth_noise(coarse, 1500, seed + 23) + 0.25 * smooth_noise(coarse, 200, seed + 24)
    glands = smoothstep(kind, 0.10, 0.22) * smoothstep(depth, 45, 75)
    fat = smoothstep(other, 0.42, 0.52) * (1 - smoothstep(kind, -0.12, 0.02))
    nest = smooth_noise(coarse, 210, seed + 25) + 0.5 * smooth_noise(coarse, 75, seed + 26)
    where = smoothstep(-kind - 0.5 * other, 0.12, 0.35) * (1 - fat)
    nests = smoothstep(nest + 0.5 * (where - 1), 0.02, 0.10) * where * smoothstep(depth, 20, 40)
    foci = smooth_noise(coarse, 420, seed + 27) + 0.4 * smooth_noise(coarse, 90, seed + 28)
    lymph = smoothstep(foci, 0.55, 0.85) * (1 - fat) * smoothstep(depth, 10, 60)
    u_um, v_um = _along_and_across(coarse, seed)
    slope_y, slope_x = np.gradient(v_um)
    return Regions(
        window=coarse,
        depth_um=depth,
        glands=glands,
        nests=nests,
        fat=fat,
        lymph=lymph,
        u_um=u_um,
        v_um=v_um,
        turn=np.arctan2(-slope_x, slope_y).astype(np.float32),
    )


def _along_and_across(window: Window, seed: int) -> tuple[Field, Field]:
    """Return places along and across the collagen: the slide's axes, turned and then stirred."""
    turn = 0.6 + 0.8 * (seed % 5)
    x_um, y_um = window.xs_um[None, :], window.ys_um[:, None]
    u_um = x_um * np.cos(turn) + y_um * np.sin(turn)
    v_um = y_um * np.cos(turn) - x_um * np.sin(turn)
    for step, (reach_um, scale_um) in enumerate(((620, 1500), (150, 380), (34, 95), (7, 38))):
        u_um = u_um + reach_um * smooth_noise(window, scale_um, seed + 31 + step)
        v_um = v_um + reach_um * smooth_noise(window, scale_um, seed + 131 + step)
    return u_um.astype(np.float32), v_um.astype(np.float32)

"""Where tissue lies on the slide: pieces with wobbly edges, tears and holes."""

from dataclasses import dataclass

import numpy as np

from appliance.synthetic.fields import Field, Window, ramp, smooth_noise

_ROOM_FOR_SEVERAL_UM = 3000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One piece of tissue: an ellipse before its edge is made irregular.

    `centre_um` and `radius_um` are (y, x); `turn` is in radians.
    """

    centre_um: tuple[float, float]
    radius_um: tuple[float, float]
    turn: float = 0.0


def depth_um(window: Window, pieces: tuple[Piece, ...], seed: int) -> Field:
    """Return how deep inside tissue each pixel lies, in micrometres; negative is glass."""
    if not pieces:
        return np.full((window.rows, window.columns), -1e6, np.float32)
    size_um = min(min(piece.radius_um) for piece in pieces)
    rough = min(1.0, size_um / 1500)
    wobble = 260 * rough * smooth_noise(window, 900 * rough, seed + 11)
    wobble += 110 * rough * smooth_noise(window, 300 * rough, seed + 12)
    wobble += 22 * smooth_noise(window, 70, seed + 13) + 9 * smooth_noise(window, 22, seed + 14)
    solid = np.maximum.reduce([_ellipse(window, piece) for piece in pieces]) + wobble
    crack = np.abs(smooth_noise(window, 700 * rough, seed + 15)) * 260 * rough
    crack += 18 * smooth_noise(window, 60, seed + 16)
    gate = ramp((smooth_noise(window, 1100 * rough, seed + 17) - 0.35) * 4)
    open_um = (34 * gate - 30 * (1 - gate)) - crack
    depth: Field = np.minimum(solid, -open_um * 1.2).astype(np.float32)
    return depth


def _ellipse(window: Window, piece: Piece) -> Field:
    y = (window.ys_um - piece.centre_um[0])[:, None]
    x = (window.xs_um - piece.centre_um[1])[None, :]
    cosine, sine = np.cos(piece.turn), np.sin(piece.turn)
    across = (y * cosine - x * sine) / piece.radius_um[0]
    along = (y * sine + x * cosine) / piece.radius_um[1]
    radius = np.sqrt(across**2 + along**2)
    depth: Field = ((1 - radius) * min(piece.radius_um)).astype(np.float32)
    return depth


def pieces_for(
    height_um: float, width_um: float, seed: int, count: int | None = None
) -> tuple[Piece, ...]:
    """Lay pieces of tissue side by side on an area, leaving glass around them."""
    draw = np.random.default_rng([seed, 5])
    if count is None:
        count = int(draw.integers(2, 4)) if width_um > _ROOM_FOR_SEVERAL_UM else 1
    cell_um = width_um / count
    laid = []
    for index in range(count):
        x_um = (index + 0.5 + draw.uniform(-0.04, 0.04)) * cell_um
        y_um = height_um * (0.5 + draw.uniform(-0.05, 0.05))
        radius = (height_um * draw.uniform(0.29, 0.37), cell_um * draw.uniform(0.29, 0.37))
        laid.append(
            Piece(centre_um=(y_um, x_um), radius_um=radius, turn=float(draw.uniform(-0.35, 0.35)))
        )
    return tuple(laid)

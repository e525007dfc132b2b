"""Air and glass edges: a bubble under the coverslip, and the coverslip's own edge."""

from dataclasses import dataclass

import numpy as np

from appliance.synthetic import artifact_geometry as geometry
from appliance.synthetic.artifact_geometry import HALF, Mask, Point, Rgb


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubble:
    """Air under the coverslip: a dark rim, a bright line inside it, blurred and paler within."""

    centre_um: Point
    radius_um: Point
    seed: int
    rim_um: float = 18.0
    darkness: float = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverslipEdge:
    """The edge or a crack of the coverslip: a dark line with a bright one beside it.

    `darkness` is the share of light that the line takes, `beyond` that which the side without
    coverslip or mounting medium takes.
    """

    start_um: Point
    end_um: Point
    width_um: float
    seed: int
    darkness: float = 0.7
    beyond: float = 0.08


def bubble(rgb: Rgb, spec: Bubble, *, um_px: float, origin_um: Point) -> tuple[Rgb, Mask]:
    """Trap air: the rim bends light, the inside is paler, soft. The mask holds rim and inside."""
    reach = max(spec.radius_um) * 1.4 + 3 * spec.rim_um
    window = geometry.window_around(rgb, [spec.centre_um], reach, um_px=um_px, origin_um=origin_um)
    if window is None:
        return rgb.copy(), np.zeros(rgb.shape[:2], bool)
    radius = geometry.outline(window, spec.centre_um, spec.radius_um, seed=spec.seed, power=2.0)
    depth_um = (1.0 - radius) * np.float32(min(spec.radius_um))
    edge_um = np.float32(max(4.0, um_px))
    cover = geometry.ramp(depth_um / edge_um + np.float32(HALF))
    dark = np.exp(-(((depth_um - 0.6 * spec.rim_um) / (0.5 * spec.rim_um + 0.4 * um_px)) ** 2))
    bright = np.exp(-(((depth_um - 2.1 * spec.rim_um) / (0.5 * spec.rim_um + 0.4 * um_px)) ** 2))
    margin = int(np.ceil(4 * 3.0 / um_px)) + 1
    source, inner = geometry.with_margin(rgb, window, margin)
    inside = geometry.defocus(source, 3.0 / um_px, "gaussian")[inner].astype(np.float32) / 255
    here = rgb[window.rows, window.columns].astype(np.float32) / 255
    inside = np.clip(0.88 * inside + 0.10, 0, 1)
    uneven = 1 + 0.35 * geometry.noise(window, 6 * spec.rim_um, spec.seed + 2)
    inside *= 1 - (spec.darkness * dark * uneven)[..., None].astype(np.float32)
    inside += (0.22 * bright * uneven)[..., None].astype(np.float32)
    out = rgb.copy()
    out[window.rows, window.columns] = geometry.to_rgb(
        (here + (inside - here) * cover[..., None]) * 255
    )
    return out, geometry.placed(rgb, window, cover > HALF)


def coverslip_edge(
    rgb: Rgb, spec: CoverslipEdge, *, um_px: float, origin_um: Point
) -> tuple[Rgb, Mask]:
    """Draw the edge over the whole array; the mask is its dark line with the bright one."""
    everywhere = geometry.window_around(
        rgb, [origin_um], um_px * float(sum(rgb.shape[:2])), um_px=um_px, origin_um=origin_um
    )
    if everywhere is None:
        return rgb.copy(), np.zeros(rgb.shape[:2], bool)
    dy, dx = spec.end_um[0] - spec.start_um[0], spec.end_um[1] - spec.start_um[1]
    length = float(np.hypot(dy, dx)) or 1.0
    y, x = everywhere.y_um - spec.start_um[0], everywhere.x_um - spec.start_um[1]
    along = (y * dy + x * dx) / length
    across = (x * dy - y * dx) / length
    across = across + np.float32(0.35 * spec.width_um) * geometry.noise(everywhere, 70.0, spec.seed)
    here = geometry.ramp((np.minimum(along, length - along) / 20.0).astype(np.float32))
    half = np.float32(max(spec.width_um / 2, um_px / 2))
    line = np.exp(-((across / half) ** 4)) * here
    bright = np.exp(-(((across - 1.8 * half) / (0.7 * half)) ** 2)) * here
    uneven = 1 + 0.25 * geometry.noise(everywhere, 3 * spec.width_um + 10.0, spec.seed + 1)
    side = geometry.ramp(((-across) / half).astype(np.float32)) * here
    light = (1 - np.clip(spec.darkness * line * uneven, 0, 0.97)) * (1 - spec.beyond * side)
    shown = rgb.astype(np.float32) * light[..., None] + 30 * (bright * (1 - line))[..., None]
    mask = ((across > -half) & (across < 2.4 * half)) & (here > HALF)
    return geometry.to_rgb(shown), geometry.placed(rgb, everywhere, mask)

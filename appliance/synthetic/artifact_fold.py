"""A fold: the optical densities of two or three layers of tissue, added."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from appliance.synthetic import artifact_geometry as geometry
from appliance.synthetic.artifact_geometry import GLASS, HALF, Field, Mask, Point, Rgb

_SHADOW_UM = 8.0
_LEAST_SOFT_PX = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Tissue lying over itself in a band from `start_um` to `end_um`; glass shows nothing of it.

    `layers` 1 lays the tissue mirrored across the fold line on itself, 2 a third layer as well.
    `bow_um` is how far the line bulges from the straight one, `shadow` how much light its raised
    edge takes from the tissue beside it, `soft_um` the spread of the thick part's defocus.
    """

    start_um: Point
    end_um: Point
    width_um: float
    seed: int
    layers: float = 1.0
    wobble_um: float = 40.0
    bow_um: float = 0.0
    shadow: float = 0.1
    soft_um: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Band:
    """The band of a fold in a window, in micrometres: depth inside and distance from its line."""

    inner_um: Field
    across_um: Field
    normal: Point


def fold(rgb: Rgb, spec: Fold, *, um_px: float, origin_um: Point) -> tuple[Rgb, Mask]:
    """Lay the tissue over itself; the mask is the band, also where it crosses glass."""
    reach = spec.width_um * 0.8 + spec.wobble_um + abs(spec.bow_um)
    ends = [spec.start_um, spec.end_um]
    window = geometry.window_around(rgb, ends, reach, um_px=um_px, origin_um=origin_um)
    if window is None:
        return rgb.copy(), np.zeros(rgb.shape[:2], bool)
    band = _band(window, spec)
    edge_um = np.float32(max(6.0, um_px))
    cover = geometry.ramp(band.inner_um / edge_um + np.float32(HALF))
    share = _tissue_share(rgb, window, um_px=um_px)
    amount = cover * share * (1 + np.float32(0.2) * geometry.noise(window, 40.0, spec.seed + 2))
    ridge = np.float32(0.25) * np.exp(-((band.inner_um / edge_um) ** 2)) * share
    here = rgb[window.rows, window.columns].astype(np.float32) / 255
    second = np.clip(_mirrored(rgb, window, band, um_px=um_px) / GLASS, 0.02, 1)
    third = np.clip(_beside(rgb, window, spec, band, um_px=um_px) / GLASS, 0.02, 1)
    stacked = here * np.power(second, (min(spec.layers, 1.0) * amount + ridge)[..., None])
    stacked *= np.power(third, (max(spec.layers - 1.0, 0.0) * amount)[..., None])
    stacked = _softened(stacked, cover, spec.soft_um / um_px)
    outside_um = np.maximum(-band.inner_um, 0)
    shadow = spec.shadow * share * np.exp(-outside_um / _SHADOW_UM) * (band.across_um > 0)
    out = rgb.copy()
    stacked *= 1 - (shadow * (1 - cover))[..., None]
    out[window.rows, window.columns] = geometry.to_rgb(stacked * 255)
    return out, geometry.placed(rgb, window, cover > HALF)


def _band(window: geometry.Window, spec: Fold) -> _Band:
    dy, dx = spec.end_um[0] - spec.start_um[0], spec.end_um[1] - spec.start_um[1]
    length = float(np.hypot(dy, dx)) or 1.0
    ahead = (dy / length, dx / length)
    y, x = window.y_um - spec.start_um[0], window.x_um - spec.start_um[1]
    along = y * ahead[0] + x * ahead[1]
    part = np.clip(along / length, 0, 1)
    across = x * ahead[0] - y * ahead[1] - spec.bow_um * 4 * part * (1 - part)
    across = across + geometry.noise(window, 260.0, spec.seed) * spec.wobble_um
    taper = np.sqrt(np.clip(np.minimum(along, length - along) / (0.18 * length), 0, 1))
    swell = 1.0 + 0.35 * geometry.noise(window, 180.0, spec.seed + 1)
    swell += 0.15 * geometry.noise(window, 30.0, spec.seed + 3)
    half_width = 0.5 * spec.width_um * taper * swell
    beyond = np.where(taper > 0, 0, spec.width_um)
    return _Band(
        inner_um=(half_width - np.abs(across) - beyond).astype(np.float32),
        across_um=across.astype(np.float32),
        normal=(-ahead[1], ahead[0]),
    )


def _mirrored(rgb: Rgb, window: geometry.Window, band: _Band, *, um_px: float) -> Field:
    """Take light, 0..1, from the other side of the fold line, as far from it."""
    step = 2 * np.where(band.inner_um > -_SHADOW_UM, band.across_um, 0) / np.float32(um_px)
    rows = np.arange(window.rows.start, window.rows.stop, dtype=np.float32)[:, None]
    columns = np.arange(window.columns.start, window.columns.stop, dtype=np.float32)[None, :]
    return _sampled(rgb, rows - step * band.normal[0], columns - step * band.normal[1])


def _beside(rgb: Rgb, window: geometry.Window, spec: Fold, band: _Band, *, um_px: float) -> Field:
    """Take light, 0..1, from one width further along the fold."""
    shift_px = np.array([band.normal[1], -band.normal[0]]) * spec.width_um / um_px
    return geometry.shifted(rgb, window, shift_px)


def _sampled(rgb: Rgb, rows: npt.NDArray[np.floating], columns: npt.NDArray[np.floating]) -> Field:
    maps = (columns.astype(np.float32), rows.astype(np.float32))
    light = cv2.remap(rgb, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(light, np.float32) / np.float32(255)


def _softened(light: Field, cover: Field, sigma_px: float) -> Field:
    if sigma_px < _LEAST_SOFT_PX:
        return light
    soft = np.asarray(cv2.GaussianBlur(light, (0, 0), sigma_px), np.float32)
    return np.asarray(light + (soft - light) * cover[..., None], np.float32)


def _tissue_share(rgb: Rgb, window: geometry.Window, *, um_px: float) -> npt.NDArray[np.float32]:
    """How much the surrounding 35 micrometres look like tissue, from 0 on glass to 1.

    So wide, because a second layer covers the gaps of the first.
    """
    margin = int(np.ceil(105 / um_px)) + 1
    source, inner = geometry.with_margin(rgb, window, margin)
    step = max(1, round(2 / um_px))  # so wide a blur needs no finer pixels than 2 um
    rows, columns = source.shape[:2]
    small_size = (max(1, columns // step), max(1, rows // step))
    small = cv2.resize(source, small_size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    soft = geometry.defocus(small, 35 / (um_px * step), "gaussian")
    light = cv2.resize(soft.min(axis=2), (columns, rows))[inner]
    return geometry.ramp((np.float32(GLASS * 255 - 4) - light) / np.float32(25))

"""Micrometre geometry and optics behind `artifacts`: windows, outlines, grid-free noise."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Field = npt.NDArray[np.float32]
Point = tuple[float, float]
Cells = npt.NDArray[np.int64]

GLASS = 0.93
"""Share of light that bare glass lets through; a second layer of it takes nothing more away."""

HALF = 0.5
"""Share of an artifact's soft edge from which a pixel counts as inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of an array that an artifact can touch, with its pixel centres in micrometres.

    `y_um` is float32 (rows, 1) and `x_um` float32 (1, columns).
    """

    rows: slice
    columns: slice
    y_um: Field
    x_um: Field


def window_around(
    rgb: Rgb, points_um: Sequence[Point], reach_um: float, *, um_px: float, origin_um: Point
) -> Window | None:
    """Cut the box of `points_um` grown by `reach_um`; None when it misses the array."""
    bounds: list[slice] = []
    centres: list[npt.NDArray[np.float64]] = []
    for axis in (0, 1):
        low = min(point[axis] for point in points_um) - reach_um - origin_um[axis]
        high = max(point[axis] for point in points_um) + reach_um - origin_um[axis]
        first = max(0, int(np.floor(low / um_px)))
        last = min(rgb.shape[axis], int(np.ceil(high / um_px)) + 1)
        if first >= last:
            return None
        bounds.append(slice(first, last))
        centres.append(origin_um[axis] + (np.arange(first, last) + 0.5) * um_px)
    y_um = centres[0].astype(np.float32)[:, None]
    x_um = centres[1].astype(np.float32)[None, :]
    return Window(rows=bounds[0], columns=bounds[1], y_um=y_um, x_um=x_um)


def noise(window: Window, scale_um: float, seed: int) -> Field:
    """Smooth random field of about -1 to 1, float32 (rows, columns), of feature size `scale_um`.

    A cubic B-spline over hashed lattice values: the value at a point of the slide depends on the
    point and the seed only.
    """
    row_weights, first_row = _spline(window.y_um.ravel() / scale_um)
    column_weights, first_column = _spline(window.x_um.ravel() / scale_um)
    lattice = hashed(
        first_row + np.arange(row_weights.shape[1])[:, None],
        first_column + np.arange(column_weights.shape[1])[None, :],
        seed,
    )
    return (np.float32(2.2) * (row_weights @ lattice @ column_weights.T)).astype(np.float32)


def _spline(position: Field) -> tuple[Field, int]:
    """Weights (positions, lattice points) of a cubic B-spline and the first lattice index."""
    cell = np.floor(position).astype(np.int64)
    first = int(cell.min()) - 1
    t = (position - cell).astype(np.float32)
    four = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    weights = np.zeros((position.size, int(cell.max()) - first + 3), np.float32)
    for step, weight in enumerate(four):
        weights[np.arange(position.size), cell - first - 1 + step] = weight
    return weights, first


def hashed(rows: Cells, columns: Cells, seed: int) -> Field:
    """Uniform values in -1..1 from integer coordinates (splitmix64)."""
    key = np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    value = rows.astype(np.uint64) * np.uint64(0xBF58476D1CE4E5B9)
    value = value ^ (columns.astype(np.uint64) * np.uint64(0x94D049BB133111EB)) ^ key
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = (value ^ (value >> np.uint64(shift))) * np.uint64(factor)
    value = value ^ (value >> np.uint64(31))
    return ((value >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - 1).astype(np.float32)


def outline(
    window: Window,
    centre_um: Point,
    radius_um: Point,
    *,
    seed: int,
    power: float,
    rough: float = 0.12,
) -> Field:
    """Distance from the centre in units of a wavering radius: below 1 is inside."""
    y = np.abs(window.y_um - centre_um[0]) / max(radius_um[0], 1e-3)
    x = np.abs(window.x_um - centre_um[1]) / max(radius_um[1], 1e-3)
    radius = np.power(y**power + x**power, 1 / power)
    size = min(radius_um)
    waver = noise(window, 0.8 * size, seed) + 0.4 * noise(window, 0.3 * size, seed + 1)
    field: Field = (radius * (1 + np.float32(rough) * waver)).astype(np.float32)
    return field


def distance_to_path(window: Window, points_um: Sequence[Point]) -> Field:
    """Micrometres to the nearest point of a polyline, float32 (rows, columns)."""
    pairs = list(itertools.pairwise(points_um)) or [(points_um[0], points_um[0])]
    nearest = np.full((window.y_um.size, window.x_um.size), np.inf, np.float32)
    for (y0, x0), (y1, x1) in pairs:
        dy, dx = y1 - y0, x1 - x0
        length2 = max(dy * dy + dx * dx, 1e-6)
        along = ((window.y_um - y0) * dy + (window.x_um - x0) * dx) / length2
        along = np.clip(along, 0, 1)
        gap = np.hypot(window.y_um - y0 - along * dy, window.x_um - x0 - along * dx)
        nearest = np.minimum(nearest, gap.astype(np.float32))
    return nearest


def ramp(value: Field) -> Field:
    """Smooth step from 0 at 0 to 1 at 1."""
    t = np.clip(value, 0, 1).astype(np.float32)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def with_margin(rgb: Rgb, window: Window, margin_px: int) -> tuple[Rgb, tuple[slice, slice]]:
    """Cut the window with what surrounds it, and say where the window lies in that."""
    row0 = max(0, window.rows.start - margin_px)
    column0 = max(0, window.columns.start - margin_px)
    grown = rgb[row0 : window.rows.stop + margin_px, column0 : window.columns.stop + margin_px]
    inner = (
        slice(window.rows.start - row0, window.rows.stop - row0),
        slice(window.columns.start - column0, window.columns.stop - column0),
    )
    return grown, inner


def defocus(rgb: Rgb, sigma_px: float, psf: Literal["gaussian", "disc"]) -> Rgb:
    """Convolve with a point spread function; below 0.15 px nothing changes."""
    if sigma_px < 0.15:  # noqa: PLR2004 - a kernel this narrow is the identity in 8 bits
        return rgb.copy()
    if psf == "gaussian":
        return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma_px), np.uint8)
    radius = 2 * sigma_px
    half = int(np.ceil(radius + 0.5))
    grid = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1])
    kernel = np.clip(radius + 0.5 - grid, 0, 1)
    return np.asarray(cv2.filter2D(rgb, -1, kernel / kernel.sum()), np.uint8)


def shifted(rgb: Rgb, window: Window, shift_px: npt.NDArray[np.float64]) -> Field:
    """Cut the window of the image moved by (row, column) pixels, 0..1, mirrored at the border."""
    rows, columns = window.y_um.size, window.x_um.size
    matrix = np.array(
        [
            [1, 0, window.columns.start + shift_px[1]],
            [0, 1, window.rows.start + shift_px[0]],
        ],
        np.float64,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(
        rgb, matrix, (columns, rows), flags=flags, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(moved, np.float32) / np.float32(255)


def to_rgb(light: npt.NDArray[np.floating]) -> Rgb:
    """Round 0..255 floats to pixels."""
    return np.asarray(np.clip(np.rint(light), 0, 255), np.uint8)


def placed(rgb: Rgb, window: Window, inside: Mask) -> Mask:
    """Put a window's mask back into the array's shape."""
    mask = np.zeros(rgb.shape[:2], bool)
    mask[window.rows, window.columns] = inside
    return mask

"""Random numbers and smooth fields that depend on nothing but a place and a seed.

Places are in micrometres. Two windows that overlap see the same values where they overlap, so a
slide can be painted block by block, in any order, without seams.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]

_MIX = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15], np.uint64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A rectangle of the slide, sampled at pixel centres.

    Row r, column c lies at ``y_um + (r + 0.5) * um_px, x_um + (c + 0.5) * um_px`` from the top-left
    corner of the total pixel matrix.
    """

    y_um: float
    x_um: float
    rows: int
    columns: int
    um_px: float

    def padded(self, margin_px: int) -> "Window":
        """Return this window, larger by `margin_px` pixels on each side."""
        return Window(
            y_um=self.y_um - margin_px * self.um_px,
            x_um=self.x_um - margin_px * self.um_px,
            rows=self.rows + 2 * margin_px,
            columns=self.columns + 2 * margin_px,
            um_px=self.um_px,
        )

    def part(self, rows: slice, columns: slice) -> "Window":
        """Return the window of some rows and columns; a slice may end beyond this one."""
        bottom, right = min(rows.stop, self.rows), min(columns.stop, self.columns)
        return Window(
            y_um=self.y_um + rows.start * self.um_px,
            x_um=self.x_um + columns.start * self.um_px,
            rows=bottom - rows.start,
            columns=right - columns.start,
            um_px=self.um_px,
        )

    def coarse(self, um_px: float, margin_um: float) -> "Window":
        """Return the window on the slide-wide grid of `um_px` that covers this one and a margin."""
        top = int(np.floor((self.y_um - margin_um) / um_px))
        left = int(np.floor((self.x_um - margin_um) / um_px))
        bottom = int(np.ceil((self.y_um + self.rows * self.um_px + margin_um) / um_px))
        right = int(np.ceil((self.x_um + self.columns * self.um_px + margin_um) / um_px))
        return Window(
            y_um=top * um_px,
            x_um=left * um_px,
            rows=bottom - top,
            columns=right - left,
            um_px=um_px,
        )

    @property
    def ys_um(self) -> Numbers:
        """Centres of the rows, shape (rows,), in micrometres."""
        return np.asarray(self.y_um + (np.arange(self.rows) + 0.5) * self.um_px, np.float64)

    @property
    def xs_um(self) -> Numbers:
        """Centres of the columns, shape (columns,), in micrometres."""
        return np.asarray(self.x_um + (np.arange(self.columns) + 0.5) * self.um_px, np.float64)

    def look_up(self, field: Field, y_um: Numbers, x_um: Numbers) -> Field:
        """Return `field` (rows, columns) of this window at the nearest pixel of each place."""
        row = np.clip(((y_um - self.y_um) / self.um_px).astype(np.int64), 0, self.rows - 1)
        column = np.clip(((x_um - self.x_um) / self.um_px).astype(np.int64), 0, self.columns - 1)
        found: Field = field[row, column]
        return found


def resample(field: Field, source: Window, target: Window) -> Field:
    """Return `field` of `source` at the pixels of the finer `target`, linearly interpolated."""
    scale = target.um_px / source.um_px
    matrix = np.array(
        [
            [scale, 0, (target.x_um - source.x_um) / source.um_px + 0.5 * scale - 0.5],
            [0, scale, (target.y_um - source.y_um) / source.um_px + 0.5 * scale - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (target.columns, target.rows)
    out = cv2.warpAffine(field, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.float32)


def hashed(seed: int, *indices: npt.NDArray[np.int64]) -> Numbers:
    """Return uniform numbers in [0, 1) for each tuple of integers (splitmix64)."""
    state = np.full(1, (seed * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF, np.uint64)
    for index in indices:
        state = _mixed((state + _MIX[2]) ^ index.astype(np.uint64))
    return np.asarray((state >> np.uint64(11)).astype(np.float64) / 2.0**53)


def _mixed(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * _MIX[0]
    state = (state ^ (state >> np.uint64(27))) * _MIX[1]
    return np.asarray(state ^ (state >> np.uint64(31)))


def smooth_noise(window: Window, scale_um: float, seed: int) -> Field:
    """Return noise (rows, columns), mostly in [-1, 1], that varies over `scale_um` micrometres.

    A cubic B-spline over hashed lattice values, along rows and then along columns.
    """
    rows, row_weights = _spline(window.ys_um / scale_um)
    columns, column_weights = _spline(window.xs_um / scale_um)
    lattice_rows = np.arange(rows[0], rows[-1] + 4)
    lattice_columns = np.arange(columns[0], columns[-1] + 4)
    number = hashed(seed, lattice_rows[:, None] + np.zeros_like(lattice_columns), lattice_columns)
    values = ((number - 0.5) * 4.2).astype(np.float32)
    tall = _weighted(values, rows, row_weights)
    return np.ascontiguousarray(_weighted(tall.T, columns, column_weights).T)


def _spline(at: Numbers) -> tuple[npt.NDArray[np.int64], Field]:
    """Return the first lattice index (n,) and the weights (4, n) of a cubic B-spline."""
    floor = np.floor(at)
    t = at - floor
    pieces = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    return floor.astype(np.int64) - 1, (np.stack(pieces) / 6).astype(np.float32)


def _weighted(values: Field, first: npt.NDArray[np.int64], weights: Field) -> Field:
    """Return the sum of four rows of `values` for each place, (n, columns of values)."""
    at = first - first[0]
    out: Field = values[at] * weights[0][:, None]
    for step in range(1, 4):
        out += values[at + step] * weights[step][:, None]
    return out


def ramp(field: Field) -> Field:
    """Clip to [0, 1]."""
    out: Field = np.clip(field, np.float32(0), np.float32(1))
    return out


def smoothstep(field: Field | Numbers, low: float, high: float) -> Field:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    t = ramp(((field - np.float32(low)) / np.float32(high - low)).astype(np.float32, copy=False))
    out: Field = t * t * (np.float32(3) - np.float32(2) * t)
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """Places on a jittered grid, each with its own uniform numbers; arrays of shape (n,)."""

    y_um: Numbers
    x_um: Numbers
    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    seed: int

    def number(self, which: int) -> Numbers:
        """Return the uniform number `which` of each place."""
        return hashed(self.seed + 7919 * (which + 3), self.row, self.column)

    def chance(self, which: int, share: float | Field) -> npt.NDArray[np.bool_]:
        """Say yes for `share` of the places, by their uniform number `which`."""
        return np.asarray(self.number(which) < share)

    def kept(self, keep: npt.NDArray[np.bool_]) -> "Scatter":
        """Return the places where `keep` is true."""
        return Scatter(
            y_um=self.y_um[keep],
            x_um=self.x_um[keep],
            row=self.row[keep],
            column=self.column[keep],
            seed=self.seed,
        )


def scatter(window: Window, pitch_um: float, seed: int, jitter: float = 0.9) -> Scatter:
    """Return every jittered grid place of `pitch_um` whose cell touches `window`."""
    top, left = np.floor(window.y_um / pitch_um), np.floor(window.x_um / pitch_um)
    bottom = np.ceil((window.y_um + window.rows * window.um_px) / pitch_um)
    right = np.ceil((window.x_um + window.columns * window.um_px) / pitch_um)
    grid = np.meshgrid(np.arange(top, bottom), np.arange(left, right), indexing="ij")
    row, column = (axis.ravel().astype(np.int64) for axis in grid)
    dy = (hashed(seed + 1, row, column) - 0.5) * jitter
    dx = (hashed(seed + 2, row, column) - 0.5) * jitter
    return Scatter(
        y_um=(row + 0.5 + dy) * pitch_um,
        x_um=(column + 0.5 + dx) * pitch_um,
        row=row,
        column=column,
        seed=seed,
    )

"""Seamless textures of collagen and of cell plasm, made once and tiled over the slide."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from appliance.synthetic.fields import Field, Window

UM_PX = 0.5
"""Sampling of the textures, in micrometres a pixel."""

SIZE_PX = 1024
"""Side of the textures; they repeat after `SIZE_PX * UM_PX` micrometres."""

_REPEATS = 3

Texture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Textures:
    """Seamless textures, uint8, laid out `_REPEATS` times in both directions.

    Most windows then read them in one piece, which is five times faster than wrapping.
    `collagen` lies along the columns: high is a dense bundle, 0 a cleft. `grain` has no direction.
    """

    collagen: Texture
    grain: Texture


@lru_cache(maxsize=1)
def textures() -> Textures:
    """Return the textures, the same for every slide: each is turned and stirred in its own way."""
    draw = np.random.default_rng(77)
    bundle = _filtered(draw, along_um=44.0, across_um=7.5)
    fibre = _filtered(draw, along_um=26.0, across_um=2.8)
    hair = _filtered(draw, along_um=14.0, across_um=1.2)
    body = 0.52 + 0.13 * bundle + 0.10 * fibre + 0.07 * hair
    cleft = np.clip((bundle + 0.8 * fibre + 0.5 * hair + 1.75) / 0.7, 0, 1)
    collagen = np.clip(body, 0.12, 1.0) * (0.12 + 0.88 * cleft)
    grain = 0.5 + 0.12 * _filtered(draw, along_um=3.5, across_um=3.5)
    grain += 0.10 * _filtered(draw, along_um=1.1, across_um=1.1)
    return Textures(collagen=_bytes(collagen), grain=_bytes(grain))


def _filtered(draw: np.random.Generator, *, along_um: float, across_um: float) -> Field:
    """Return toroidal Gaussian noise of unit variance, smooth over the two lengths."""
    frequency = np.fft.fftfreq(SIZE_PX, UM_PX).astype(np.float32)
    half = np.fft.rfftfreq(SIZE_PX, UM_PX).astype(np.float32)
    reach = np.float32(np.sqrt(2) * np.pi / 2.5)
    gain = np.exp(-((reach * np.float32(across_um) * frequency[:, None]) ** 2))
    gain = gain * np.exp(-((reach * np.float32(along_um) * half[None, :]) ** 2))
    gain[0, 0] = 0
    white = draw.standard_normal((2, *gain.shape), np.float32)
    smooth: Field = np.fft.irfft2((white[0] + 1j * white[1]) * gain).astype(np.float32)
    smooth /= smooth.std()
    return smooth


def _bytes(values: Field) -> Texture:
    return np.tile(np.clip(values * 255, 0, 255).astype(np.uint8), (_REPEATS, _REPEATS))


def to_pixels(um: Field) -> Field:
    """Return places along one axis as texture pixels, moved by whole periods to begin near 0."""
    period_um = SIZE_PX * UM_PX
    start_um = float(np.floor(um.min() / period_um)) * period_um
    pixels: Field = (um - np.float32(start_um)) * np.float32(1 / UM_PX)
    return pixels


def tiled(texture: Texture, columns: Field, rows: Field) -> Field:
    """Sample a texture of `Textures` at places given by `to_pixels`; returns 0 to 255."""
    found = cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(found, np.float32)


def untiled(texture: Texture, window: Window) -> Field:
    """Lay a texture over the slide as it is, without any warp; returns 0 to 255."""
    if window.um_px == UM_PX and max(window.rows, window.columns) <= 2 * SIZE_PX:
        top, left = (round(um / UM_PX) % SIZE_PX for um in (window.y_um, window.x_um))
        return texture[top : top + window.rows, left : left + window.columns].astype(np.float32)
    columns = to_pixels(window.xs_um.astype(np.float32))
    rows = to_pixels(window.ys_um.astype(np.float32))
    shape = (window.rows, window.columns)
    return tiled(texture, np.tile(columns, (shape[0], 1)), np.repeat(rows[:, None], shape[1], 1))

"""Does the imported model say of the same pixels what the original says? Tried on random tiles."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.errors import ModelError
from appliance.slides.sources import Pixels
from inference.importing.graph import Entry
from inference.importing.source import Array, Run
from inference.importing.wanted import (
    BGR,
    CHANNELS_FIRST,
    LOGITS,
    ONE_LOGIT,
    WHOLE,
    Wanted,
)

_COLOURS: Final = (
    ((0, 0, 0), (256, 256, 256)),
    ((100,) * 3, (156,) * 3),
    ((150, 90, 140), (240, 200, 230)),
)
"""Darkest and brightest RGB of each tile; a network may be certain of one and not of another."""
_BLOCK_PX: Final = 8
_SEED: Final = 20
_TOLERANCE: Final = 1e-4
_TOLERANCE_FLOAT16: Final = 5e-3
_SUM_TOLERANCE: Final = 1e-3
_MAP_AXES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Random tiles, and what the original gives for them."""

    tiles: Pixels
    """`(n, rows, columns, 3)` uint8 RGB."""
    given: Array
    """As the original gives it."""
    expected: Array
    """Probabilities, classes last."""
    tolerance: float

    def compare(self, probability: Array) -> float:
        """Give the largest difference to what was expected.

        Raises
        ------
        ModelError
            It is more than rounding.
        """
        difference = float(np.abs(probability - self.expected).max())
        if probability.shape != self.expected.shape or not difference <= self.tolerance:
            raise ModelError(
                "The imported model does not give the numbers that the original gives."
            )
        return difference


def try_original(run: Run, entry: Entry, wanted: Wanted) -> Trial:
    """Run the original on random tiles, with pixels prepared as was stated.

    Raises
    ------
    ModelError
        It gives another number of classes, other axes than its task needs, or numbers that are no
        probabilities although it was said to give such.
    """
    if entry.dtype == np.uint8 and (any(wanted.mean) or set(wanted.std) != {1.0}):
        raise ModelError(
            "The model takes uint8 pixels as they are; state --mean 0,0,0 and --std 1,1,1."
        )
    tiles = random_tiles(wanted.tile_px or 0)
    given = run(prepared(tiles, entry, wanted))
    _check_axes(given, wanted)
    half = np.float16 in (entry.dtype, given.dtype)
    return Trial(
        tiles=tiles,
        given=given,
        expected=_probabilities(given, wanted),
        tolerance=_TOLERANCE_FLOAT16 if half else _TOLERANCE,
    )


def random_tiles(side_px: int) -> Pixels:
    """Draw `(n, rows, columns, 3)` uint8: any colours, dull ones, and the pinks of H&E."""
    draw = np.random.default_rng(_SEED)
    blocks = -(-side_px // _BLOCK_PX)
    low, high = (np.array(ends)[:, np.newaxis, np.newaxis] for ends in zip(*_COLOURS, strict=True))
    coarse = draw.integers(low, high, (len(_COLOURS), blocks, blocks, 3), np.uint8)
    fine = coarse.repeat(_BLOCK_PX, 1).repeat(_BLOCK_PX, 2)
    return np.ascontiguousarray(fine[:, :side_px, :side_px])


def prepared(tiles: Pixels, entry: Entry, wanted: Wanted) -> Array:
    """Prepare pixels as was stated, without the graph that is to be checked.

    Parameters
    ----------
    tiles
        `(n, rows, columns, 3)` uint8 RGB.
    """
    ready: Array = tiles
    if entry.dtype != np.uint8:
        ready = (tiles / WHOLE - np.array(wanted.mean)) / np.array(wanted.std)
    if wanted.channels == BGR:
        ready = ready[..., ::-1]
    if wanted.layout == CHANNELS_FIRST:
        ready = np.moveaxis(ready, 3, 1)
    return np.ascontiguousarray(ready, dtype=entry.dtype)


def _check_axes(given: Array, wanted: Wanted) -> None:
    if wanted.gives == ONE_LOGIT and wanted.n_classes != 2:  # noqa: PLR2004
        raise ModelError("A model with one logit tells two classes apart; name two.")
    n_outputs = 1 if wanted.gives == ONE_LOGIT else wanted.n_classes
    if wanted.task == "tiles":
        if given.ndim != 2:  # noqa: PLR2004
            raise ModelError("A tile classifier must give one row of numbers a tile.")
        found = given.shape[1]
    else:
        if given.ndim != _MAP_AXES:
            raise ModelError("A model of this task must give a map: one row of numbers a pixel.")
        first = wanted.layout == CHANNELS_FIRST
        found = given.shape[1 if first else 3]
        sides = given.shape[2:] if first else given.shape[1:3]
        if sides != (wanted.tile_px, wanted.tile_px):
            raise ModelError("The map that the model gives is not as large as its tile.")
    if found != n_outputs:
        raise ModelError(
            f"The model gives {found} numbers where {wanted.n_classes} classes need {n_outputs}."
        )


def _probabilities(given: Array, wanted: Wanted) -> Array:
    """Make probabilities in NumPy, classes last."""
    values = np.asarray(given, np.float64)
    if values.ndim == _MAP_AXES and wanted.layout == CHANNELS_FIRST:
        values = np.moveaxis(values, 1, 3)
    if not np.isfinite(values).all():
        raise ModelError("The model gives numbers that are not finite.")
    if wanted.gives == ONE_LOGIT:
        second = 1 / (1 + np.exp(-values))
        return np.concatenate([1 - second, second], axis=-1)
    if wanted.gives == LOGITS:
        powers = np.exp(values - values.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
    if values.min() < 0 or np.abs(values.sum(axis=-1) - 1).max() > _SUM_TOLERANCE:
        raise ModelError(
            "The model gives no probabilities: its rows do not sum to one. If they are logits, say "
            "--gives logits."
        )
    return values

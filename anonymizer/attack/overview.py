"""Place tiles by an overview: whatever smaller picture of the slide left beside them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from anonymizer.attack.figures import NOT_COUNTED, Figure
from anonymizer.attack.tile_set import N_TURNS, RGB, TrueTile

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

SHRINKS: Final = (1, 2, 4, 8, 16, 32)
"""How much smaller than the tiles an overview is sought to be."""
_TRIED: Final = 12
"""Tiles by which the scale is found."""
_SMALLEST_PX: Final = 3
_MOST_TILES: Final = 100
"""Tiles of each slide that are placed; so many tell the share well enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """Where tiles fit best on an overview."""

    shrink: int
    row_px: Ints
    """`(n,)`: top row in pixels of the tiles, as if the overview began at row 0."""
    column_px: Ints


def place(pixels: RGB, overview: RGB, *, is_upright: bool) -> Placing | None:
    """Fit every tile into an overview by normalised cross-correlation.

    Parameters
    ----------
    pixels
        `(n, side, side, 3)`.
    overview
        `(rows, columns, 3)`.
    is_upright
        Otherwise all eight turns are tried.

    Returns
    -------
    Placing or None
        None when the overview is smaller than a tile at every scale.
    """
    turns = 1 if is_upright else N_TURNS
    fitting = [
        shrink
        for shrink in SHRINKS
        if _SMALLEST_PX <= pixels.shape[1] // shrink <= min(overview.shape[:2])
    ]
    if not fitting:
        return None
    grey = pixels.mean(axis=3, dtype=np.float32)
    picture = overview.mean(axis=2, dtype=np.float32)
    sample = grey[:: max(1, len(grey) // _TRIED)][:_TRIED]

    def standing_out(shrink: int) -> float:
        # Tiles of few pixels fit anywhere, and their negatives fit as well.
        fits = [_fit(tile, picture, shrink, turns) for tile in sample]
        return float(np.mean([fit.highest - fit.negative for fit in fits]))

    shrink = max(fitting, key=standing_out)
    # Tiles begin between two pixels of the overview: it is drawn larger to place them there.
    finer = 2 if shrink > 1 else 1
    size = (overview.shape[1] * finer, overview.shape[0] * finer)
    drawn = np.asarray(cv2.resize(overview, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    fits = [_fit(tile, drawn, shrink // finer, turns) for tile in pixels]
    found = np.array([(fit.row, fit.column) for fit in fits]) * (shrink // finer)
    return Placing(shrink=shrink, row_px=found[:, 0], column_px=found[:, 1])


def placed_by(
    others: Mapping[str, RGB], pixels: RGB, placed: Sequence[TrueTile], *, is_upright: bool
) -> Figure:
    """Give the share of tiles that the best overview puts within half a tile of their true place.

    Not counted when nothing left beside the tiles. An overview belongs to one slide: the one of
    whose tiles it places most.
    """
    chosen = _some_of_each(placed)
    tried = [placed[index] for index in chosen]
    figures = [
        _share(placing, overview, tried, pixels.shape[1])
        for overview in others.values()
        if (placing := place(pixels[chosen], overview, is_upright=is_upright)) is not None
    ]
    return max(figures, key=lambda figure: figure.value or 0.0, default=NOT_COUNTED)


def _some_of_each(placed: Sequence[TrueTile]) -> list[int]:
    taken: Counter[str] = Counter()
    chosen = []
    for index, tile in enumerate(placed):
        if taken[tile.slide] < _MOST_TILES:
            taken[tile.slide] += 1
            chosen.append(index)
    return chosen


def _share(placing: Placing, overview: RGB, placed: Sequence[TrueTile], side_px: int) -> Figure:
    rows = np.array([tile.row_px for tile in placed])
    columns = np.array([tile.column_px for tile in placed])
    slides = np.array([tile.slide for tile in placed])
    near = (np.abs(placing.row_px - rows) <= side_px / 2) & (
        np.abs(placing.column_px - columns) <= side_px / 2
    )
    shares = {slide: float(near[slides == slide].mean()) for slide in np.unique(slides)}
    slide = max(shares, key=lambda name: shares[name])
    area_px = overview.shape[0] * overview.shape[1] * placing.shrink**2
    n = int((slides == slide).sum())
    return Figure(value=shares[slide], chance=min(1.0, side_px**2 / area_px), n=n)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    highest: float
    """Best correlation over all turns and places."""
    negative: float
    """Best correlation of the tile's negative."""
    row: int
    column: int


def _fit(tile: RGB | Floats, overview: RGB | Floats, shrink: int, turns: int) -> _Fit:
    side = tile.shape[0] // shrink
    small = cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA)
    best = _Fit(highest=-2.0, negative=-2.0, row=0, column=0)
    for turn in range(turns):
        turned = np.rot90(small if turn < N_TURNS // 2 else np.fliplr(small), turn % 4)
        fit = cv2.matchTemplate(overview, np.ascontiguousarray(turned), cv2.TM_CCOEFF_NORMED)
        lowest, highest, _, (column, row) = cv2.minMaxLoc(fit)
        negative = max(best.negative, -lowest)
        if highest > best.highest:
            best = _Fit(highest=highest, negative=negative, row=row, column=column)
        else:
            best = replace(best, negative=negative)
    return best

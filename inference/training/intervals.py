"""95 % intervals: by resampling pictures, or Wilson's for counts."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import numpy as np

_RESAMPLES: Final = 1000
_TAIL_PERCENT: Final = 2.5
_Z: Final = 1.959964
_T = TypeVar("_T")

Interval = tuple[float, float] | None


def resampled(
    items: Sequence[_T], figure: Callable[[Sequence[_T]], float], *, seed: int = 0
) -> Interval:
    """Draw the items again and again, with replacement, and give the middle 95 % of the figure.

    None for a single item: one picture says nothing about others.
    """
    if len(items) <= 1:
        return None
    draw = np.random.default_rng(seed)
    picks = draw.integers(0, len(items), (_RESAMPLES, len(items)))
    values = [figure([items[index] for index in pick]) for pick in picks]
    low, high = np.nanpercentile(values, [_TAIL_PERCENT, 100 - _TAIL_PERCENT])
    return float(low), float(high)


def wilson(hits: int, n: int) -> Interval:
    """Give Wilson's score interval of a share."""
    if n == 0:
        return None
    share, square = hits / n, _Z**2 / n
    middle = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * np.sqrt(share * (1 - share) / n + square / (4 * n))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))

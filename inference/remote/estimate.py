"""What a sample of tiles says of all tissue, and how surely."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

_Z: Final = 1.959964
"""Quantile of the normal distribution that leaves 2.5 % on each side."""


def share_of(found_um2: npt.NDArray[np.float64], tissue_um2: npt.NDArray[np.float64]) -> float:
    """Estimate which part of the tissue is of a class: the ratio of what the tiles hold.

    Each tile stands for as much as it holds of tissue, so that tiles at a border count less.

    Parameters
    ----------
    found_um2
        `(n,)` tissue of the class in each tile.
    tissue_um2
        `(n,)` tissue in each tile.

    Returns
    -------
    float
        0 to 1; 0 when no tile holds tissue.
    """
    whole = float(tissue_um2.sum())
    return min(1.0, float(found_um2.sum()) / whole) if whole else 0.0


def interval(share: float, tissue_um2: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Give the 95 % interval of a share that was estimated from a sample.

    Wilson's score interval (J Am Stat Assoc 22:209, 1927) over the effective number of tiles,
    Kish's `sum(w)^2 / sum(w^2)` (Survey Sampling, 1965). It is a little wide on purpose: a tile
    that holds both tells more than a yes or no; tiles that lie evenly over the tissue, one a cell,
    tell more than tiles drawn anywhere, as long as neighbours resemble each other (Cochran,
    Sampling Techniques, 1977, ch. 8); and that the sample is a good part of the tissue is not
    credited. It covers the chance in which tiles were sampled and nothing else: neither what the
    model gets wrong, nor tissue that the plan never samples.

    Parameters
    ----------
    share
        What `share_of` gave.
    tissue_um2
        `(n,)` tissue in each tile.
    """
    squares = float(np.square(tissue_um2).sum())
    if squares == 0:
        return 0.0, 1.0
    n = float(tissue_um2.sum()) ** 2 / squares
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))

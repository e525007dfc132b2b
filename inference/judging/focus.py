"""The focus map: how sharp the tissue is, cell by cell, whatever the artifact model says."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from inference.running.look import Sharpness

SHARPEST: Final = 0.5
"""Sharpness that is shown as 255; measured tissue in focus has 0.15 to 0.7."""

BLURRED, SOFT, SHARP = "blurred", "soft", "sharp"
GRADES: Final[Mapping[str, float]] = {BLURRED: 0.0, SOFT: 0.10, SHARP: 0.16}
"""Each grade and the sharpness it begins at. Tissue in focus that is blurred by a spread of 3 um
falls below 0.10 (`docs/models.md`)."""

_NO_TISSUE, _LOWEST, _HIGHEST = 0, 1, 255


def focus_map(focus: Sharpness) -> npt.NDArray[np.uint8]:
    """Make the values of `focus_map.png`.

    Parameters
    ----------
    focus
        `(rows, columns)` float32 of sharpness, NaN without tissue.

    Returns
    -------
    numpy.ndarray
        `(rows, columns)` uint8: 1 blurred to 255 sharp, 0 without tissue.
    """
    part = np.clip(np.nan_to_num(focus, nan=0.0) / SHARPEST, 0, 1)
    shown = np.rint(_LOWEST + part * (_HIGHEST - _LOWEST))
    return np.where(np.isnan(focus), _NO_TISSUE, shown).astype(np.uint8)


def shares(focus: Sharpness) -> dict[str, float]:
    """Give the share of the cells with tissue that each grade has; zeros without tissue.

    Parameters
    ----------
    focus
        `(rows, columns)` float32 of sharpness, NaN without tissue.
    """
    measured = focus[~np.isnan(focus)]
    edges = [*GRADES.values(), np.inf]
    counts, _ = np.histogram(measured, edges)
    total = max(1, measured.size)
    return {grade: float(n / total) for grade, n in zip(GRADES, counts, strict=True)}

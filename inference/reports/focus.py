"""The focus map as figures for a report."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from appliance.errors import RejectedError
from appliance.slides.findings import FOCUS_MAP_PNG, Findings
from inference.judging.focus import BLURRED, SHARPEST, SOFT, shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """How sharp the tissue is, whatever the artifact model says."""

    median: float
    """Of the sharpness of all cells with tissue; see `inference.judging.focus`."""
    share_blurred: float
    """Part of those cells that is blurred, 0 to 1."""
    share_soft: float


def read_focus(folder: Path, findings: Findings) -> Focus | None:
    """Read the figures; None when there is no focus map, or no tissue on it.

    Raises
    ------
    RejectedError
        The map is missing or damaged.
    """
    if findings.focus_um_px is None:
        return None
    try:
        stored = np.frombuffer((folder / FOCUS_MAP_PNG).read_bytes(), np.uint8)
        shown = cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE)
    except (OSError, cv2.error) as error:
        raise RejectedError("The focus map of this slide cannot be read.") from error
    if shown is None:
        raise RejectedError("The focus map of this slide cannot be read.")
    sharpness = ((shown[shown > 0] - 1.0) / 254 * SHARPEST).astype(np.float32)
    if not sharpness.size:
        return None
    graded = shares(sharpness)
    return Focus(
        median=round(float(np.median(sharpness)), 4),
        share_blurred=round(graded[BLURRED], 6),
        share_soft=round(graded[SOFT], 6),
    )

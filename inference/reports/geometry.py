"""From micrometres on the pixel matrix to millimetres on the slide (PS3.3 C.8.12.2.1.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

_UM_PER_MM = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFrame:
    """Where the base pixel matrix lies on the slide."""

    origin_mm: tuple[float, float, float]
    """Centre of the top-left pixel."""
    along_row: tuple[float, float, float]
    """Direction in which columns rise."""
    along_column: tuple[float, float, float]
    """Direction in which rows rise."""
    um_px: float

    def place(self, points_um: Sequence[tuple[float, float]]) -> npt.NDArray[np.float64]:
        """Place points on the slide.

        Parameters
        ----------
        points_um
            (x, y) micrometres from the top-left *corner* of the base matrix.

        Returns
        -------
        numpy.ndarray
            `(n, 3)` millimetres in the slide coordinate system.
        """
        points_mm = (np.asarray(points_um, np.float64) - self.um_px / 2) / _UM_PER_MM
        directions = np.array([self.along_row, self.along_column])
        placed: npt.NDArray[np.float64] = np.array(self.origin_mm) + points_mm @ directions
        return placed


def slide_frame(header: Dataset, *, um_px: float) -> SlideFrame:
    """Read the frame from a completed header of the base instance."""
    origin = header.TotalPixelMatrixOriginSequence[0]
    cosines = [float(value) for value in header.ImageOrientationSlide]
    return SlideFrame(
        origin_mm=(
            float(origin.XOffsetInSlideCoordinateSystem),
            float(origin.YOffsetInSlideCoordinateSystem),
            float(origin.get("ZOffsetInSlideCoordinateSystem") or 0.0),
        ),
        along_row=(cosines[0], cosines[1], cosines[2]),
        along_column=(cosines[3], cosines[4], cosines[5]),
        um_px=um_px,
    )

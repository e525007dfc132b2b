"""From micrometres on the pixel matrix to millimetres on the slide (PS3.3 C.8.12.2.1.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset

from appliance.slides.findings import Findings

_TOLERANCE = 1.05
"""As `appliance.slides.sampling`: a level this much coarser than asked for is as good."""
_UM_PER_MM = 1000.0
"""Also the unit of Z Offset in Slide Coordinate System, where X and Y are millimetres."""
_SLICE_MM = 0.001


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
            float(origin.get("ZOffsetInSlideCoordinateSystem") or 0.0) / _UM_PER_MM,
        ),
        along_row=(cosines[0], cosines[1], cosines[2]),
        along_column=(cosines[3], cosines[4], cosines[5]),
        um_px=um_px,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A raster of square pixels over the whole base matrix, cut into tiles."""

    um_px: float
    centre_mm: tuple[float, float, float]
    """Centre of the top-left pixel."""
    tile_px: int

    @classmethod
    def over(cls, base: Dataset, findings: Findings, *, um_px: float, tile_px: int) -> "Grid":
        """Lay a raster whose corner is that of the base matrix."""
        frame = slide_frame(base, um_px=findings.base_um_px)
        x, y, z = frame.place([(um_px / 2, um_px / 2)])[0]
        centre_mm = (round(float(x), 6), round(float(y), 6), round(float(z), 6))
        return cls(um_px=um_px, centre_mm=centre_mm, tile_px=tile_px)

    def placed(self) -> dict[str, Any]:
        """Give the arguments with which highdicom places a tiled image on the slide."""
        side_mm = self.um_px / _UM_PER_MM
        x_mm, y_mm, z_mm = self.centre_mm
        return {
            "pixel_measures": hd.PixelMeasuresSequence(
                pixel_spacing=(side_mm, side_mm), slice_thickness=_SLICE_MM
            ),
            "plane_positions": [
                hd.PlanePositionSequence(
                    hd.CoordinateSystemNames.SLIDE,
                    # The library writes these numbers as they are.
                    image_position=(x_mm, y_mm, round(z_mm * _UM_PER_MM, 3)),
                    pixel_matrix_position=(1, 1),
                )
            ],
            "tile_pixel_array": True,
            "tile_size": (self.tile_px, self.tile_px),
        }


def level_seen(headers: Sequence[FileDataset], findings: Findings, um_px: float) -> FileDataset:
    """Give the image that a model of some resolution saw: the coarsest that is fine enough.

    Parameters
    ----------
    headers
        Of the VOLUME instances, finest first; of one level, first the one that is shown, then other
        focal planes and optical paths.
    findings
        For size and spacing of the base.
    um_px
        Of the model.
    """
    base_um = findings.base_um_px * findings.base_columns
    fits = [
        header
        for header in headers
        if base_um / int(header.TotalPixelMatrixColumns) <= um_px * _TOLERANCE
    ]
    return next((one for one in fits if _size(one) == _size(fits[-1])), headers[0])


def _size(header: Dataset) -> tuple[int, int]:
    return int(header.TotalPixelMatrixRows), int(header.TotalPixelMatrixColumns)

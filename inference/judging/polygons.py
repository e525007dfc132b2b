"""Outlines of artifacts from the class map: smooth, of true area, bounded in number and points."""

import cv2
import numpy as np
import numpy.typing as npt

from appliance.slides.classes import ARTIFACTS, ClassMap, SlideClass
from appliance.slides.findings import Region

MAXIMUM_REGIONS = 60
MAXIMUM_POINTS = 200
AREA_TOLERANCE = 0.02
"""How much of a region's area its smoothed outline may add or miss."""

_LEAST_POINTS = 3
_UM2_PER_MM2 = 1e6
_FINEST = 4
"""Parts of a pixel along a side that an outline is traced in."""
_TRACED_PX = 2000
"""Larger regions are traced by whole pixels: their steps are small beside them."""
_SMOOTHED_PX = 0.8
_RIM_PX = 3

Points = npt.NDArray[np.float64]
"""`(n, 2)`: x, y in pixels of the class map from its top-left corner."""


def outlines(class_map: ClassMap, *, um_px: float) -> tuple[Region, ...]:
    """Outline the artifacts, largest first, at most `MAXIMUM_REGIONS` of them.

    Parameters
    ----------
    class_map
        `(rows, columns)` uint8 of `SlideClass`.
    um_px
        Its spacing.

    Returns
    -------
    tuple of Region
        Polygons in micrometres from the top-left corner of the base matrix, along the smoothed
        edge of the pixels. Holes are filled: the area is the one inside the outline, and that of
        the polygon is within `AREA_TOLERANCE` of it.
    """
    regions = [region for kind in ARTIFACTS for region in _outlines_of(class_map, kind, um_px)]
    regions.sort(key=lambda region: (-region.area_mm2, region.name, region.polygon_um))
    return tuple(regions[:MAXIMUM_REGIONS])


def _outlines_of(class_map: ClassMap, kind: SlideClass, um_px: float) -> list[Region]:
    mask = (class_map == kind).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = sorted(contours, key=cv2.contourArea, reverse=True)[:MAXIMUM_REGIONS]
    regions = []
    for contour in largest:
        if len(contour) >= _LEAST_POINTS:
            points, area_px = _outline(contour)
            corners_um = np.round(np.maximum(points, 0) * um_px, 2).tolist()
            regions.append(
                Region(
                    name=kind.key,
                    area_mm2=round(area_px * um_px**2 / _UM2_PER_MM2, 6),
                    polygon_um=tuple((x, y) for x, y in corners_um),
                )
            )
    return regions


def _outline(contour: cv2.typing.MatLike) -> tuple[Points, int]:
    """Trace the filled region of a contour; give its smooth outline and its area in pixels."""
    left, top, width, height = cv2.boundingRect(contour)
    filled = np.zeros((height + 2 * _RIM_PX, width + 2 * _RIM_PX), np.uint8)
    cv2.drawContours(filled, [contour], -1, 1, cv2.FILLED, offset=(_RIM_PX - left, _RIM_PX - top))
    area_px = int(np.count_nonzero(filled))
    finer = int(np.clip(_TRACED_PX // max(width, height), 1, _FINEST))
    traced = _traced(filled, finer, smooth=finer > 1)
    if abs(_area(_simplified(traced, area_px)) - area_px) > AREA_TOLERANCE * area_px:
        traced = _traced(filled, finer, smooth=False)  # so thin that smoothing tears it apart
    corner_px = np.array((left - _RIM_PX, top - _RIM_PX))
    return corner_px + _simplified(traced, area_px), area_px


def _traced(filled: ClassMap, finer: int, *, smooth: bool) -> Points:
    """Trace the largest outline of a region in parts of a pixel.

    The level at which the blurred region is cut is the one that leaves as many parts inside as
    there were before: smoothing neither shrinks nor swells it.
    """
    fine = cv2.resize(filled, None, fx=finer, fy=finer, interpolation=cv2.INTER_NEAREST)
    if smooth:
        blurred = cv2.GaussianBlur(fine.astype(np.float32), (0, 0), _SMOOTHED_PX * finer)
        n_inside = int(np.count_nonzero(fine))
        level = np.partition(blurred, blurred.size - n_inside, axis=None)[-n_inside]
        fine = (blurred >= level).astype(np.uint8)
    contours, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(contours, key=cv2.contourArea)
    traced: Points = (largest.reshape(-1, 2) + 0.5) / finer
    return traced


def _simplified(outline: Points, area_px: int) -> Points:
    """Drop points until few enough are left, then move the rest out or in to the true area."""
    tolerance_px = 0.2
    points = outline
    while len(points) > MAXIMUM_POINTS or tolerance_px == 0.2:  # noqa: PLR2004  at least once
        found = cv2.approxPolyDP(outline.astype(np.float32), tolerance_px, closed=True)
        points = found.reshape(-1, 2).astype(np.float64)
        tolerance_px *= 1.5
    if len(points) < _LEAST_POINTS:
        points = outline
    for _ in range(2):
        points = _moved(points, area_px)
    return points


def _moved(points: Points, area_px: int) -> Points:
    """Move each point along its normal so far that the polygon gains what it lacks."""
    along = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)
    turn = np.sign(_signed_area(points)) or 1.0
    outward = turn * np.column_stack((along[:, 1], -along[:, 0])) / length[:, np.newaxis]
    perimeter = np.hypot(*(np.roll(points, -1, axis=0) - points).T).sum()
    step_px = np.clip((area_px - _area(points)) / max(perimeter, 1e-9), -0.5, 0.5)
    moved: Points = points + outward * step_px
    return moved


def _area(points: Points) -> float:
    return abs(_signed_area(points))


def _signed_area(points: Points) -> float:
    x, y = points.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2

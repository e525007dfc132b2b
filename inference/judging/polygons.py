"""Outlines of artifacts from the class map, bounded in number and in points."""

import cv2
import numpy as np

from appliance.slides.classes import ARTIFACTS, ClassMap, SlideClass
from appliance.slides.findings import Region

MAXIMUM_REGIONS = 60
MAXIMUM_POINTS = 200
_LEAST_POINTS = 3
_UM2_PER_MM2 = 1e6


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
        Polygons in micrometres from the top-left corner of the base matrix, through the centres
        of the outermost pixels.
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
        points = _simplified(contour)
        if len(points) >= _LEAST_POINTS:
            polygon = tuple(
                (round(float(x + 0.5) * um_px, 2), round(float(y + 0.5) * um_px, 2))
                for x, y in points
            )
            area_mm2 = round(cv2.contourArea(contour) * um_px**2 / _UM2_PER_MM2, 6)
            regions.append(Region(name=kind.key, area_mm2=area_mm2, polygon_um=polygon))
    return regions


def _simplified(contour: cv2.typing.MatLike) -> list[tuple[int, int]]:
    """Drop points until few enough are left; half a pixel off is unseen."""
    tolerance_px = 0.75
    points = cv2.approxPolyDP(contour, tolerance_px, closed=True)
    while len(points) > MAXIMUM_POINTS:
        tolerance_px *= 1.5
        points = cv2.approxPolyDP(contour, tolerance_px, closed=True)
    return [(int(x), int(y)) for x, y in points.reshape(-1, 2)]

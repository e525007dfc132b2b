"""Outlines of artifacts from the class map: smooth, of true area, bounded in number and points."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from appliance.slides.classes import ARTIFACTS, ClassMap, Mask, SlideClass
from appliance.slides.findings import Region

MAXIMUM_REGIONS = 60
MAXIMUM_POINTS = 200
AREA_TOLERANCE = 0.02
"""How much of a region's area its smoothed outline may add or miss, if few points can follow it."""

_LEAST_POINTS = 3
_LEAST_PX = 3
_MAXIMUM_HOLES = 8
_LEAST_HOLE = 0.02
"""Part of the region from which a hole is one that an outline goes round."""
_LEAST_HOLE_PX = 64
_UM2_PER_MM2 = 1e6
_FINEST = 4
"""Parts of a pixel along a side that an outline is traced in."""
_TRACED_PX = 2000
"""Larger regions are traced in whole pixels or coarser: their steps are small beside them."""
_SMOOTHED_PX = 1.2
_UNSEEN_PX = 0.4
"""So far a point may be off: less than the steps of the pixels that it smooths away."""
_RUGGED_POINTS = 20_000
_MOVES = 16
_RIM_PX = 4

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
        edge of the pixels. A ring of ink is no disc: an outline goes round its large holes
        through a slit. Small holes are filled. The area is counted in pixels, small holes
        included, and that of the polygon is within `AREA_TOLERANCE` of it. Only a net or a comb
        that `MAXIMUM_POINTS` points cannot follow has a polygon of another area.
    """
    found: list[_Found] = []
    for kind in ARTIFACTS:
        found += _found(class_map, kind)
        found.sort(key=lambda one: -one.n_px)
        del found[MAXIMUM_REGIONS:]
    regions = [_region(one, um_px) for one in found]
    regions.sort(key=lambda region: (-region.area_mm2, region.name, region.polygon_um))
    return tuple(regions)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One connected region."""

    kind: SlideClass
    n_px: int
    corner: tuple[int, int]
    """Column and row of its box in the class map."""
    coarser: int
    """Side in pixels of a pixel of `part`: a region larger than `_TRACED_PX` is kept coarse."""
    part: Mask


def _found(class_map: ClassMap, kind: SlideClass) -> Iterator[_Found]:
    """Find the largest connected regions of one class, those that are at least a few pixels."""
    mask = (class_map == kind).view(np.uint8)
    x, y, columns, rows = cv2.boundingRect(mask)
    if not columns:
        return
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask[y : y + rows, x : x + columns], connectivity=8
    )
    largest = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:MAXIMUM_REGIONS]
    for label in largest:
        left, top, width, height, n_px = (int(value) for value in stats[label])
        if n_px < _LEAST_PX:
            break
        part = labels[top : top + height, left : left + width] == label
        coarser = -(-max(part.shape) // _TRACED_PX)
        yield _Found(
            kind=kind,
            n_px=n_px,
            corner=(x + left, y + top),
            coarser=coarser,
            part=_coarse(part, coarser),
        )


def _region(found: _Found, um_px: float) -> Region:
    points, area_px = _outline(found)
    corners_um = np.round(points * um_px, 2).tolist()
    return Region(
        name=found.kind.key,
        area_mm2=round(area_px * um_px**2 / _UM2_PER_MM2, 6),
        polygon_um=tuple((x, y) for x, y in corners_um),
    )


def _outline(found: _Found) -> tuple[Points, float]:
    """Outline one region; give points and the area inside, in pixels of the class map."""
    coarser = found.coarser
    padded = np.pad(found.part, _RIM_PX).astype(np.uint8)
    region = _without_small_holes(padded)
    filled_px = np.count_nonzero(region) - np.count_nonzero(padded)
    area_px = found.n_px / coarser**2 + filled_px
    finer = int(np.clip(_TRACED_PX // max(region.shape), 1, _FINEST))
    start = _RIM_PX - np.array(found.corner) / coarser  # the corner of the class map
    points = _simplified(_traced(region, finer, smooth=finer > 1), area_px, start)
    if abs(_area(points) - area_px) > AREA_TOLERANCE * area_px:
        # So thin that smoothing tears it apart.
        rough = _simplified(_traced(region, finer, smooth=False), area_px, start)
        points = min(points, rough, key=lambda one: abs(_area(one) - area_px))
    return (points - start) * coarser, area_px * coarser**2


def _coarse(part: Mask, coarser: int) -> Mask:
    """Give a coarser raster: a pixel is inside where any of the region is, so that it holds."""
    if coarser == 1:
        return part
    rows, columns = (-(-n // coarser) for n in part.shape)
    whole = np.zeros((rows * coarser, columns * coarser), bool)
    whole[: part.shape[0], : part.shape[1]] = part
    blocks = whole.reshape(rows, coarser, columns, coarser)
    inside: Mask = blocks.max(axis=(1, 3))
    return inside


def _without_small_holes(region: ClassMap) -> ClassMap:
    """Fill all holes but the few that an outline should go round."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - region, connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[[0, labels[0, 0]]] = 0  # the region itself, and all around it
    large = np.argsort(-areas, kind="stable")[:_MAXIMUM_HOLES]
    large = large[areas[large] >= max(_LEAST_HOLE * np.count_nonzero(region), _LEAST_HOLE_PX)]
    outside = np.zeros(len(stats), np.uint8)
    outside[[labels[0, 0], *large]] = 1
    filled: ClassMap = 1 - outside[labels]
    return filled


def _traced(region: ClassMap, finer: int, *, smooth: bool) -> Points:
    """Trace the outline of a region in parts of a pixel.

    The level at which the blurred region is cut is the one that leaves as many parts inside as
    there were before: smoothing neither shrinks nor swells it.
    """
    fine = cv2.resize(region, None, fx=finer, fy=finer, interpolation=cv2.INTER_NEAREST)
    if smooth:
        blurred = cv2.GaussianBlur(fine.astype(np.float32), (0, 0), _SMOOTHED_PX * finer)
        n_inside = int(np.count_nonzero(fine))
        level = np.partition(blurred, blurred.size - n_inside, axis=None)[-n_inside]
        fine = blurred >= level
    contours, _ = cv2.findContours(
        _slit(fine.astype(np.uint8)), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    largest = max(contours, key=cv2.contourArea)
    traced: Points = (largest.reshape(-1, 2) + 0.5) / finer
    return traced


def _slit(region: ClassMap) -> ClassMap:
    """Cut a narrow way from each hole upwards, so that one outline goes round all of it.

    The way ends at the next hole or outside; that hole has one of its own. So the region stays in
    one piece.
    """
    _, nesting = cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if np.all(nesting[0, :, 3] < 0):  # no contour has a parent, so there is no hole
        return region
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - region, connectivity=4)
    cut = region.copy()
    for label in range(1, len(stats)):
        if label != labels[0, 0]:
            row = int(stats[label, cv2.CC_STAT_TOP])
            column = int(np.flatnonzero(labels[row] == label)[0])
            above = np.flatnonzero(region[:row, column] == 0)[-1]
            cut[above:row, column - 1 : column + 2] = 0
    return cut


def _simplified(outline: Points, area_px: float, start: Points) -> Points:
    """Drop points until few enough are left, then move the rest out or in to the true area.

    No point comes to lie above or left of `start`.
    """
    # What has so many points is a net or a comb: thinning it finely takes seconds for nothing.
    tolerance_px = _UNSEEN_PX * max(1.0, len(outline) / _RUGGED_POINTS)
    points = _thinned(outline, tolerance_px)
    while len(points) > MAXIMUM_POINTS:
        points = _thinned(outline, tolerance_px := tolerance_px * 1.5)
    if len(points) < _LEAST_POINTS:  # thinner than the tolerance, and straight
        points = cv2.boxPoints(cv2.minAreaRect(outline.astype(np.float32))).astype(np.float64)
    for _ in range(_MOVES):
        points = np.maximum(_moved(points, area_px), start)
    return points


def _thinned(outline: Points, tolerance_px: float) -> Points:
    found = cv2.approxPolyDP(outline.astype(np.float32), tolerance_px, closed=True)
    return found.reshape(-1, 2).astype(np.float64)


def _moved(points: Points, area_px: float) -> Points:
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

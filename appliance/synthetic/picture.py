"""The pixels of a planned slide, block by block, and what is truly there."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.synthetic.artifacts import (
    Artifact,
    Blood,
    Bubble,
    CoverslipEdge,
    DarkSpot,
    Fold,
    OutOfFocus,
    Pen,
    paint,
)
from appliance.synthetic.fields import Window
from appliance.synthetic.plan import SlidePlan
from appliance.synthetic.tissue import Rgb, bare_glass

ClassMap = npt.NDArray[np.uint8]

CLASS_MAP_UM_PX = 8.0
"""Sampling of the true class map, in micrometres a pixel."""

CLASSES = ("background", "tissue", "fold", "dark_spot", "pen", "bubble", "out_of_focus", "blood")
"""Names of the class map's indices."""

_TISSUE = 1
_ON_TISSUE_ONLY = (CLASSES.index("fold"), CLASSES.index("out_of_focus"))
_MAP_BLOCK_PX = 512
_WHOLE_SLIDE_UM = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """The box that an artifact can change, and how far beyond it its painter samples, in um."""

    top: float
    left: float
    bottom: float
    right: float
    margin: float

    def meets(self, window: Window) -> bool:
        """Say whether the box and `window` overlap."""
        return (
            self.top < window.y_um + window.rows * window.um_px
            and self.bottom > window.y_um
            and self.left < window.x_um + window.columns * window.um_px
            and self.right > window.x_um
        )


def extent(artifact: Artifact) -> Extent:  # noqa: PLR0911 - one return a kind
    """Return where an artifact may be, on the safe side."""
    match artifact:
        case OutOfFocus(centre_um=at, radius_um=radius):
            reach = max(radius) * 1.4 + artifact.edge_um
            return _around([at], reach, 4 * artifact.sigma_um + 2)
        case Fold(start_um=start, end_um=end, width_um=width):
            reach = 0.8 * width + 2 * artifact.wobble_um + abs(artifact.bow_um)
            return _around([start, end], reach, 1.6 * width + 110)
        case Pen(points_um=points, width_um=width):
            return _around(points, width + 3 * artifact.edge_um, 0)
        case Bubble(centre_um=at, radius_um=radius):
            return _around([at], max(radius) * 1.4 + 3 * artifact.rim_um, 14)
        case DarkSpot(centre_um=at, radius_um=size):
            return _around([at], 3 * size, 0)
        case Blood(centre_um=at, radius_um=radius):
            return _around([at], 2.2 * max(radius) + artifact.edge_um, 0)
        case CoverslipEdge(start_um=start, end_um=end):
            return _around([start, end], _WHOLE_SLIDE_UM, 0)


def _around(points_um: Iterable[tuple[float, float]], reach_um: float, margin_um: float) -> Extent:
    ys, xs = zip(*points_um, strict=True)
    return Extent(
        top=min(ys) - reach_um,
        left=min(xs) - reach_um,
        bottom=max(ys) + reach_um,
        right=max(xs) + reach_um,
        margin=margin_um,
    )


def block(plan: SlidePlan, window: Window) -> Rgb | None:
    """Return RGB (rows, columns, 3) uint8 of `window`, or None where there is bare glass only.

    What lies beyond the total pixel matrix is glass.
    """
    here = [each for each in plan.artifacts if extent(each).meets(window)]
    if not here and plan.tissue.is_bare(window):
        return None
    margin_um = max((extent(each).margin for each in here), default=0.0)
    margin_px = int(np.ceil(margin_um / window.um_px))
    seen = _within(plan, window)
    wide = seen.padded(margin_px)
    rgb = plan.tissue.render(wide)
    if here:
        rgb, _ = paint(rgb, here, um_px=wide.um_px, origin_um=(wide.y_um, wide.x_um))
    inner = slice(margin_px, margin_px + seen.rows), slice(margin_px, margin_px + seen.columns)
    whole = bare_glass(window.rows, window.columns)
    whole[: seen.rows, : seen.columns] = rgb[inner]
    return whole


def _within(plan: SlidePlan, window: Window) -> Window:
    """Return the part of `window` that is not below or right of the total pixel matrix."""
    bottom = plan.rows - round(window.y_um / window.um_px)
    right = plan.columns - round(window.x_um / window.um_px)
    return Window(
        y_um=window.y_um,
        x_um=window.x_um,
        rows=min(window.rows, bottom),
        columns=min(window.columns, right),
        um_px=window.um_px,
    )


def class_map(plan: SlidePlan) -> ClassMap:
    """Return what is truly at each 8 um: indices of `CLASSES`, (rows, columns) uint8.

    Fold and defocus count on tissue only; ink, air and dirt count on glass too. Tissue is all that
    lies within its outline, the lumen of glands and fat included, tears left out.
    """
    return _mapped(plan, _classes)


def tissue_map(plan: SlidePlan) -> npt.NDArray[np.bool_]:
    """Return where tissue is, also below artifacts, on the same grid."""
    tissue = _mapped(plan, lambda plan, window: (plan.tissue.depth_um(window) > 0).view(np.uint8))
    return tissue.view(np.bool_)


def _mapped(plan: SlidePlan, look: Callable[[SlidePlan, Window], ClassMap]) -> ClassMap:
    rows = int(np.ceil(plan.rows * plan.um_px / CLASS_MAP_UM_PX))
    columns = int(np.ceil(plan.columns * plan.um_px / CLASS_MAP_UM_PX))
    found = np.zeros((rows, columns), np.uint8)
    for top in range(0, rows, _MAP_BLOCK_PX):
        for left in range(0, columns, _MAP_BLOCK_PX):
            part = found[top : top + _MAP_BLOCK_PX, left : left + _MAP_BLOCK_PX]
            window = Window(
                y_um=top * CLASS_MAP_UM_PX,
                x_um=left * CLASS_MAP_UM_PX,
                rows=part.shape[0],
                columns=part.shape[1],
                um_px=CLASS_MAP_UM_PX,
            )
            part[...] = look(plan, window)
    return found


def _classes(plan: SlidePlan, window: Window) -> ClassMap:
    tissue = plan.tissue.depth_um(window) > 0
    classes = tissue.astype(np.uint8) * np.uint8(_TISSUE)
    here = [each for each in plan.artifacts if extent(each).meets(window)]
    if here:
        blank = bare_glass(window.rows, window.columns)
        origin_um = (window.y_um, window.x_um)
        _, found = paint(blank, here, um_px=CLASS_MAP_UM_PX, origin_um=origin_um)
        seen = (found > 0) & (tissue | ~np.isin(found, _ON_TISSUE_ONLY))
        classes[seen] = found[seen]
    return classes

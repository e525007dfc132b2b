"""Outlines are smooth, as large as what they outline, and few."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from appliance.slides.classes import SlideClass
from inference.judging import polygons
from inference.judging.polygons import (
    AREA_TOLERANCE,
    MAXIMUM_POINTS,
    MAXIMUM_REGIONS,
    outlines,
)

UM_PX = 2.0


BUBBLE, FOLD, DARK, PEN = (
    int(kind) for kind in (SlideClass.BUBBLE, SlideClass.FOLD, SlideClass.DARK_SPOT, SlideClass.PEN)
)


def cloud(classes: np.ndarray) -> None:
    """Draw a ragged patch with holes, as one out of focus is."""
    noise = np.random.default_rng(4).random(classes.shape).astype(np.float32)
    high = (cv2.GaussianBlur(noise, (0, 0), 30) > 0.5).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(high)
    classes[labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()] = SlideClass.OUT_OF_FOCUS


def spectacles(classes: np.ndarray) -> None:
    """Draw two circles of ink that touch, with a mark inside one."""
    cv2.circle(classes, (300, 450), 200, PEN, 20)
    cv2.circle(classes, (720, 450), 220, PEN, 20)
    cv2.circle(classes, (300, 500), 60, PEN, -1)
    cv2.line(classes, (300, 500), (300, 640), PEN, 9)


SHAPES: dict[str, Callable[[np.ndarray], object]] = {
    "bubble": lambda map_: cv2.ellipse(map_, (600, 450), (300, 220), 20, 0, 360, BUBBLE, -1),
    "fold": lambda map_: cv2.line(map_, (50, 80), (1100, 800), FOLD, 3),
    "hair": lambda map_: cv2.line(map_, (50, 80), (1100, 700), DARK, 1),
    "dust": lambda map_: cv2.circle(map_, (400, 300), 6, DARK, -1),
    "corner": lambda map_: cv2.rectangle(map_, (0, 0), (59, 39), PEN, -1),
    # As a pathologist draws around a tumour.
    "ring": lambda map_: cv2.ellipse(map_, (600, 450), (400, 300), 0, 0, 360, PEN, 25),
    "spectacles": spectacles,
    "cloud": cloud,
}


def drawn(kind: str) -> np.ndarray:
    """Draw one region `(rows, columns)` uint8 of a shape that artifacts have."""
    classes = np.zeros((900, 1200), np.uint8)
    SHAPES[kind](classes)
    return classes


def area_um2(polygon_um: tuple[tuple[float, float], ...]) -> float:
    """Measure a polygon (shoelace)."""
    x, y = np.array(polygon_um).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


@pytest.mark.parametrize("kind", SHAPES)
def test_an_outline_keeps_the_area_of_its_region(kind: str) -> None:
    classes = drawn(kind)
    (region,) = outlines(classes, um_px=UM_PX)
    true_um2 = np.count_nonzero(classes) * UM_PX**2
    # Small holes are filled: only the cloud has some.
    assert region.area_mm2 * 1e6 == pytest.approx(true_um2, rel=0.1 if kind == "cloud" else 0.01)
    assert area_um2(region.polygon_um) == pytest.approx(region.area_mm2 * 1e6, rel=AREA_TOLERANCE)
    assert len(region.polygon_um) <= MAXIMUM_POINTS


@pytest.mark.parametrize("blur_px", [1.2, 4.0])
def test_outlines_of_ragged_regions_keep_their_area_at_the_rim_too(blur_px: float) -> None:
    """The rim of the class map cuts through many of them."""
    noise = np.random.default_rng(0).random((300, 300)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), blur_px)
    regions = outlines(np.where(smooth > np.quantile(smooth, 0.6), PEN, 0), um_px=UM_PX)
    assert min(min(x, y) for region in regions for x, y in region.polygon_um) == 0
    for region in regions:
        area_mm2 = area_um2(region.polygon_um) / 1e6
        assert area_mm2 == pytest.approx(region.area_mm2, rel=AREA_TOLERANCE)


def comb(pitch_px: int) -> np.ndarray:
    """Draw a comb of 400 x 400 px."""
    classes = np.zeros((420, 420), np.uint8)
    classes[10:14, 10:410] = PEN
    classes[10:410, 10:410:pitch_px] = PEN
    return classes


def test_a_comb_is_outlined_with_its_area() -> None:
    (region,) = outlines(comb(8), um_px=UM_PX)
    assert area_um2(region.polygon_um) / 1e6 == pytest.approx(region.area_mm2, rel=AREA_TOLERANCE)


def test_a_comb_too_fine_for_an_outline_keeps_the_area_of_its_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finest_px = []
    thinned = polygons._thinned

    def watched(outline: polygons.Points, tolerance_px: float) -> polygons.Points:
        if len(outline) > 100_000:
            finest_px.append(tolerance_px)
        return thinned(outline, tolerance_px)

    monkeypatch.setattr(polygons, "_thinned", watched)
    classes = comb(2)
    (region,) = outlines(classes, um_px=UM_PX)
    assert region.area_mm2 * 1e6 == pytest.approx(np.count_nonzero(classes) * UM_PX**2)
    assert len(region.polygon_um) <= MAXIMUM_POINTS
    # Thinning so many points to parts of a pixel takes seconds.
    assert min(finest_px) > 2


def test_the_largest_regions_of_all_classes_are_kept() -> None:
    classes = np.zeros((900, 1200), np.uint8)
    for number in range(70):
        corner = (number % 10 * 100, number // 10 * 100)
        kind = (PEN, FOLD, BUBBLE)[number % 3]
        side = 10 + number
        cv2.rectangle(classes, corner, (corner[0] + side - 1, corner[1] + side - 1), kind, -1)
    regions = outlines(classes, um_px=1000.0)
    assert [round(region.area_mm2) for region in regions] == [
        side**2 for side in range(79, 79 - MAXIMUM_REGIONS, -1)
    ]


def test_a_region_as_large_as_a_slide_is_outlined_on_a_coarser_raster() -> None:
    large = np.zeros((3000, 4500), np.uint8)
    cv2.ellipse(large, (2250, 1500), (2000, 1300), 0, 0, 360, PEN, 40)
    (region,) = outlines(large, um_px=UM_PX)
    true_um2 = np.count_nonzero(large) * UM_PX**2
    assert area_um2(region.polygon_um) == pytest.approx(true_um2, rel=AREA_TOLERANCE)
    assert region.area_mm2 * 1e6 == pytest.approx(true_um2, rel=1e-3)


def test_what_a_ring_of_ink_encloses_is_no_ink() -> None:
    (region,) = outlines(drawn("ring"), um_px=UM_PX)
    polygon = np.rint(np.array(region.polygon_um) / UM_PX).astype(np.int32)
    redrawn = np.zeros((900, 1200), np.uint8)
    cv2.fillPoly(redrawn, [polygon], 1)
    assert not redrawn[450, 600]
    missed = (drawn("ring") > 0) & (redrawn == 0)
    assert np.count_nonzero(missed) < 0.05 * np.count_nonzero(drawn("ring"))


def test_an_outline_lies_within_a_pixel_of_the_edge() -> None:
    (region,) = outlines(drawn("bubble"), um_px=UM_PX)
    polygon = np.rint(np.array(region.polygon_um) / UM_PX * 16).astype(np.int32)
    redrawn = np.zeros((900, 1200), np.uint8)
    cv2.fillPoly(redrawn, [polygon - 8], 1, shift=4)
    off = redrawn.astype(bool) != (drawn("bubble") > 0)
    assert not cv2.erode(off.astype(np.uint8), np.ones((3, 3), np.uint8)).any()


def test_an_outline_has_no_steps() -> None:
    """A slanting straight edge is drawn in pixels and outlined by few segments."""
    classes = np.zeros((400, 400), np.uint8)
    corners = np.array([(50, 50), (350, 110), (300, 350), (20, 300)])
    cv2.fillPoly(classes, [corners], int(SlideClass.PEN))
    (region,) = outlines(classes, um_px=UM_PX)
    assert len(region.polygon_um) < 40

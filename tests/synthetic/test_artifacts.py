"""Artifacts land on the same micrometres of every pyramid level and every tile."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.slides.classes import SlideClass
from appliance.synthetic.artifacts import (
    CLASS_INDEX,
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

ARTIFACTS: Sequence[Artifact] = (
    OutOfFocus(centre_um=(300.0, 280.0), radius_um=(170.0, 140.0), sigma_um=8.0, seed=1),
    Fold(start_um=(90.0, 60.0), end_um=(480.0, 560.0), width_um=60.0, seed=2),
    Pen(
        points_um=((80.0, 100.0), (300.0, 320.0), (520.0, 300.0)), width_um=90, colour="red", seed=3
    ),
    Bubble(centre_um=(310.0, 330.0), radius_um=(180.0, 150.0), seed=4),
    DarkSpot(centre_um=(300.0, 300.0), radius_um=90.0, seed=5),
    Blood(centre_um=(300.0, 310.0), radius_um=(150.0, 120.0), seed=6),
    CoverslipEdge(
        start_um=(100.0, 120.0), end_um=(500.0, 480.0), width_um=70.0, seed=7, beyond=0.0
    ),
)
each_artifact = pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda item: type(item).__name__)
SIDE_UM = 640


def tissue(um_px: float, *, side_um: int = SIDE_UM) -> npt.NDArray[np.uint8]:
    """Pink with dark nuclei, drawn fine and averaged down as a scanner's pyramid is."""
    draw = np.random.default_rng(0)
    rgb = np.full((side_um * 2, side_um * 2, 3), (228, 165, 200), np.uint8)
    for row, column in draw.integers(0, side_um * 2, (side_um * 6, 2)):
        cv2.circle(rgb, (int(column), int(row)), 6, (96, 60, 140), -1)
    side = round(side_um / um_px)
    return np.asarray(cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def mask_of(artifact: Artifact, rgb: npt.NDArray[np.uint8], um_px: float) -> npt.NDArray[np.bool_]:
    _, classes = paint(rgb, [artifact], um_px=um_px)
    return classes == CLASS_INDEX[type(artifact)]


@each_artifact
def test_a_coarse_level_shows_the_artifact_where_a_fine_level_does(artifact: Artifact) -> None:
    fine = mask_of(artifact, tissue(0.5), 0.5)
    coarse = mask_of(artifact, tissue(4.0), 4.0)
    enlarged = np.kron(coarse, np.ones((8, 8), bool))
    one_coarse_pixel = np.ones((17, 17), np.uint8)
    grown = cv2.dilate(fine.astype(np.uint8), one_coarse_pixel) > 0
    shrunk = cv2.erode(fine.astype(np.uint8), one_coarse_pixel) > 0
    assert fine.sum() * 0.25 > 2000
    assert not (enlarged & ~grown).any()
    assert not (shrunk & ~enlarged).any()


@each_artifact
def test_a_tile_shows_the_same_artifact_as_the_whole_slide(artifact: Artifact) -> None:
    rgb = tissue(1.0)
    whole, whole_classes = paint(rgb, [artifact], um_px=1.0)
    corner = (170, 210)
    tile = rgb[corner[0] :, corner[1] :]
    painted, classes = paint(tile, [artifact], um_px=1.0, origin_um=(170.0, 210.0))
    margin = 150
    assert (classes == whole_classes[corner[0] :, corner[1] :]).all()
    inner = np.abs(
        painted[margin:, margin:].astype(int)
        - whole[corner[0] + margin :, corner[1] + margin :].astype(int)
    )
    assert inner.max() <= 3


@each_artifact
def test_the_given_pixels_stay_as_they_were(artifact: Artifact) -> None:
    rgb = tissue(2.0)
    before = rgb.copy()
    first, _ = paint(rgb, [artifact], um_px=2.0)
    second, _ = paint(rgb, [artifact], um_px=2.0)
    assert (rgb == before).all()
    assert (first == second).all()
    assert (first != rgb).any()


@each_artifact
def test_pixels_far_from_the_artifact_do_not_change(artifact: Artifact) -> None:
    rgb = tissue(2.0)
    painted, classes = paint(rgb, [artifact], um_px=2.0)
    near = cv2.dilate((classes > 0).astype(np.uint8), np.ones((61, 61), np.uint8)) > 0
    assert (painted[~near] == rgb[~near]).all()


@each_artifact
def test_an_artifact_elsewhere_on_the_slide_changes_nothing(artifact: Artifact) -> None:
    rgb = tissue(2.0)
    painted, classes = paint(rgb, [artifact], um_px=2.0, origin_um=(90_000.0, 40_000.0))
    assert (painted == rgb).all()
    assert not classes.any()


@settings(max_examples=30, deadline=None)
@given(
    row=st.integers(0, 60),
    column=st.integers(0, 60),
    seed=st.integers(0, 2**31 - 1),
    width_um=st.floats(4, 400),
)
def test_any_tile_of_any_fold_agrees_with_the_slide(
    row: int, column: int, seed: int, width_um: float
) -> None:
    artifact = Fold(start_um=(0.0, 30.0), end_um=(250.0, 260.0), width_um=width_um, seed=seed)
    rgb = np.full((128, 128, 3), 180, np.uint8)
    whole = mask_of(artifact, rgb, 2.0)
    _, tile = paint(rgb[row:, column:], [artifact], um_px=2.0, origin_um=(row * 2.0, column * 2.0))
    assert ((tile > 0) == whole[row:, column:]).mean() > 0.999


def test_out_of_focus_takes_detail_away_inside_only() -> None:
    rgb = tissue(1.0)
    painted, classes = paint(rgb, [ARTIFACTS[0]], um_px=1.0)
    detail = [np.abs(cv2.Laplacian(p[..., 1], cv2.CV_32F)) for p in (rgb, painted)]
    inside = cv2.erode((classes > 0).astype(np.uint8), np.ones((81, 81), np.uint8)) > 0
    assert detail[1][inside].mean() < 0.2 * detail[0][inside].mean()
    outside = cv2.dilate((classes > 0).astype(np.uint8), np.ones((141, 141), np.uint8)) == 0
    assert (detail[1][outside] == detail[0][outside]).all()


def test_a_fold_darkens_tissue_and_leaves_glass_alone() -> None:
    rgb = tissue(1.0)
    rgb[:, :200] = 243
    painted, classes = paint(rgb, [ARTIFACTS[1]], um_px=1.0)
    band = classes == SlideClass.FOLD
    band[:, :300] = False
    assert painted[band][:, 1].mean() < 0.85 * rgb[band][:, 1].mean()
    assert np.abs(painted[:, :130].astype(int) - 243).max() <= 2


@pytest.mark.parametrize(("colour", "strongest"), [("red", 0), ("green", 1), ("blue", 2)])
def test_ink_has_the_colour_it_is_asked_for(colour: str, strongest: int) -> None:
    glass = np.full((200, 200, 3), 243, np.uint8)
    points = ((60.0, 60.0), (300.0, 320.0))
    stroke = Pen(points_um=points, width_um=120.0, colour=colour, seed=8)  # type: ignore[arg-type]
    painted, classes = paint(glass, [stroke], um_px=2.0)
    assert painted[classes == SlideClass.PEN].mean(axis=0).argmax() == strongest


def test_a_dry_pen_leaves_gaps_that_its_mask_leaves_out() -> None:
    glass = np.full((300, 300, 3), 243, np.uint8)
    points = ((60.0, 60.0), (500.0, 520.0))
    wet = Pen(points_um=points, width_um=160.0, colour="black", seed=8)
    dry = Pen(points_um=points, width_um=160.0, colour="black", seed=8, gaps=0.5)
    assert 0.2 < mask_of(dry, glass, 2.0).sum() / mask_of(wet, glass, 2.0).sum() < 0.8


def test_a_bubble_has_a_dark_rim_and_a_paler_inside() -> None:
    rgb = tissue(1.0)
    painted, classes = paint(rgb, [ARTIFACTS[3]], um_px=1.0)
    mask = (classes > 0).astype(np.uint8)
    rim = (mask > 0) & (cv2.erode(mask, np.ones((41, 41), np.uint8)) == 0)
    inside = cv2.erode(mask, np.ones((161, 161), np.uint8)) > 0
    assert painted[rim].mean() < 0.92 * rgb[rim].mean()
    assert painted[inside].mean() > rgb[inside].mean()


def test_ink_lies_over_everything_else() -> None:
    _, classes = paint(tissue(2.0), list(reversed(ARTIFACTS)), um_px=2.0)
    _, pen = paint(tissue(2.0), [ARTIFACTS[2]], um_px=2.0)
    assert (classes[pen > 0] == SlideClass.PEN).all()
    assert {int(value) for value in np.unique(classes)} == {0, 2, 3, 4, 5, 6, 7}


def test_the_classes_are_those_of_the_class_map() -> None:
    assert {kind.__name__: index for kind, index in CLASS_INDEX.items()} == {
        "Fold": SlideClass.FOLD,
        "DarkSpot": SlideClass.DARK_SPOT,
        "Pen": SlideClass.PEN,
        "Bubble": SlideClass.BUBBLE,
        "OutOfFocus": SlideClass.OUT_OF_FOCUS,
        "CoverslipEdge": SlideClass.BUBBLE,
        "Blood": SlideClass.BLOOD,
    }


def test_blood_is_red_and_made_of_discs_a_cell_wide() -> None:
    glass = np.full((400, 400, 3), 243, np.uint8)
    pool = Blood(centre_um=(100.0, 100.0), radius_um=(90.0, 90.0), seed=9, density=0.8)
    painted, classes = paint(glass, [pool], um_px=0.5)
    inside = cv2.erode((classes == SlideClass.BLOOD).astype(np.uint8), np.ones((25, 25))) > 0
    red, green, blue = painted[inside].mean(axis=0)
    assert red > 200
    assert red > blue > green
    cells = (painted[..., 1] < 190) & inside
    opened = cv2.morphologyEx(cells.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    wide = cv2.morphologyEx(cells.astype(np.uint8), cv2.MORPH_OPEN, np.ones((61, 61), np.uint8))
    assert 0.3 < opened.sum() / inside.sum() < 0.95
    assert not wide.any()


def test_a_fold_of_three_layers_is_darker_than_one_of_two() -> None:
    rgb = tissue(1.0)
    ends = {"start_um": (90.0, 60.0), "end_um": (480.0, 560.0), "width_um": 90.0, "seed": 2}
    light = []
    for layers in (1.0, 2.0):
        painted, classes = paint(rgb, [Fold(**ends, layers=layers)], um_px=1.0)  # type: ignore[arg-type]  # one dict of mixed values
        light.append(painted[classes == SlideClass.FOLD].mean())
    assert light[1] < 0.9 * light[0]


def test_a_bowed_fold_leaves_the_straight_line() -> None:
    straight = Fold(start_um=(300, 60), end_um=(300, 560), width_um=50, seed=2, wobble_um=0)
    bowed = Fold(
        start_um=(300, 60), end_um=(300, 560), width_um=50, seed=2, wobble_um=0, bow_um=120
    )
    rows = [np.nonzero(mask_of(each, tissue(2.0), 2.0)[:, 155])[0] for each in (straight, bowed)]
    assert abs(rows[0].mean() - 150) < 10
    assert 45 < abs(rows[1].mean() - 150) < 75

"""Areas are those of the pixels, and the verdict follows the rules in words."""

import numpy as np
import pytest

from appliance.line import Verdict
from appliance.settings import VerdictRules
from appliance.slides.classes import SlideClass
from appliance.slides.findings import ArtifactArea
from inference.judging import polygons, quality

UM_PX = 10.0
RULES = VerdictRules()


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A tissue square of 60 x 60 pixels (0.36 mm²) on 100 x 100, a fold and a pen stroke on it."""
    tissue = np.zeros((100, 100), bool)
    tissue[20:80, 20:80] = True
    classes = np.where(tissue, SlideClass.TISSUE, SlideClass.BACKGROUND).astype(np.uint8)
    classes[30:40, 30:60] = SlideClass.FOLD
    classes[50:60, 0:100] = SlideClass.PEN
    return classes, tissue


def area(name: str, share: float) -> ArtifactArea:
    return ArtifactArea(name=name, area_mm2=share, share_of_tissue=share)


def test_areas_and_shares_are_those_of_the_pixels() -> None:
    classes, tissue = scene()
    clean = quality.cleaned(classes, tissue, um_px=UM_PX)
    everywhere = quality.all_tissue(clean, tissue, um_px=UM_PX)
    areas = {a.name: a for a in quality.artifact_areas(clean, everywhere, um_px=UM_PX)}
    assert quality.area_mm2(everywhere, um_px=UM_PX) == pytest.approx(0.36)
    assert areas["fold"].area_mm2 == pytest.approx(0.03)
    assert areas["fold"].share_of_tissue == pytest.approx(300 / 3600, abs=1e-6)
    assert areas["pen"].area_mm2 == pytest.approx(0.1)
    assert areas["pen"].share_of_tissue == pytest.approx(600 / 3600, abs=1e-6)
    assert areas["bubble"].area_mm2 == 0


def test_glass_is_neither_folded_nor_out_of_focus() -> None:
    classes, tissue = scene()
    classes[:15] = SlideClass.OUT_OF_FOCUS
    clean = quality.cleaned(classes, tissue, um_px=UM_PX)
    assert (clean[:15] == SlideClass.BACKGROUND).all()


def test_specks_are_not_artifacts() -> None:
    classes, tissue = scene()
    classes[25, 25] = SlideClass.FOLD
    assert quality.cleaned(classes, tissue, um_px=UM_PX)[25, 25] == SlideClass.TISSUE


def test_holes_that_the_finer_model_sees_are_no_tissue() -> None:
    classes, tissue = scene()
    classes[70:75, 30:40] = SlideClass.BACKGROUND
    clean = quality.cleaned(classes, tissue, um_px=UM_PX)
    everywhere = quality.all_tissue(clean, tissue, um_px=UM_PX)
    assert quality.area_mm2(everywhere, um_px=UM_PX) == pytest.approx(0.355)


def test_ink_across_tissue_lies_on_tissue_and_ink_beside_it_does_not() -> None:
    classes, tissue = scene()
    tissue[50:60] = False  # the tissue model does not see through ink
    clean = quality.cleaned(classes, tissue, um_px=UM_PX)
    everywhere = quality.all_tissue(clean, tissue, um_px=UM_PX)
    on_tissue = np.count_nonzero(everywhere[50:60])
    assert on_tissue == pytest.approx(600, rel=0.1)
    assert not everywhere[50:60, :15].any()
    assert not everywhere[50:60, 85:].any()


def test_no_tissue_asks_for_a_rescan() -> None:
    judged = quality.judge((), 0.0, RULES)
    assert judged.verdict is Verdict.RESCAN
    assert judged.reason == "No tissue was found on the slide."


def test_the_gravest_rule_wins_and_names_each_cause_worst_first() -> None:
    judged = quality.judge(
        (area("fold", 0.2), area("pen", 0.5), area("out_of_focus", 0.3)), 10.0, RULES
    )
    assert judged.verdict is Verdict.RESCAN
    assert judged.reason == (
        "30 % of the tissue is out of focus (limit 15 %); "
        "20 % of the tissue is folded (limit 15 %)."
    )


def test_a_pen_mark_asks_for_a_look() -> None:
    judged = quality.judge((area("pen", 0.031),), 10.0, RULES)
    assert judged.verdict is Verdict.REVIEW
    assert judged.reason == "3.1 % of the tissue is covered by pen marks (limit 2 %)."


def test_a_clean_slide_is_accepted() -> None:
    assert quality.judge((area("pen", 0.001),), 10.0, RULES).verdict is Verdict.ACCEPT


def test_an_artifact_that_is_not_there_never_counts() -> None:
    rules = VerdictRules(rescan={"fold": 0.0}, review={})
    assert quality.judge((area("fold", 0.0),), 10.0, rules).verdict is Verdict.ACCEPT


def test_outlines_are_in_micrometres_largest_first() -> None:
    classes, _ = scene()
    pen, fold = polygons.outlines(classes, um_px=UM_PX)
    assert (pen.name, fold.name) == ("pen", "fold")
    xs, ys = zip(*fold.polygon_um, strict=True)
    assert (min(xs), max(xs)) == pytest.approx((300.0, 600.0), abs=UM_PX / 2)
    assert (min(ys), max(ys)) == pytest.approx((300.0, 400.0), abs=UM_PX / 2)


def test_outlines_are_bounded() -> None:
    random = np.random.default_rng(1)
    noise = (random.random((600, 600)) < 0.3).astype(np.uint8) * SlideClass.PEN
    regions = polygons.outlines(noise.astype(np.uint8), um_px=2.0)
    assert len(regions) == polygons.MAXIMUM_REGIONS
    assert all(len(region.polygon_um) <= polygons.MAXIMUM_POINTS for region in regions)

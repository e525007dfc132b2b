"""What the truth says agrees with the geometry that was planted and with the pixels."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from appliance.synthetic.artifacts import Bubble, DarkSpot, OutOfFocus
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.fields import Window
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.picture import CLASSES, block, class_map
from appliance.synthetic.plan import ALL_KINDS, SlidePlan
from appliance.synthetic.truth import PlantedTruth, planted_truth

Tiny = tuple[Path, PlantedTruth]


def test_every_kind_that_was_planted_has_an_area(tiny: Tiny) -> None:
    truth = tiny[1]
    for kind in ALL_KINDS:
        assert truth.area_mm2[kind] > 0
        assert truth.on_tissue_mm2[kind] <= truth.area_mm2[kind]
    assert 0.2 < truth.tissue_area_mm2 < 0.5
    assert sum(truth.area_mm2.values()) == pytest.approx(0.75, rel=0.02)


def test_round_artifacts_have_the_area_of_their_ellipse(plan: SlidePlan) -> None:
    truth = planted_truth(plan, ())
    expected = {
        "bubble": next(each for each in plan.artifacts if isinstance(each, Bubble)).radius_um,
        "out_of_focus": next(e for e in plan.artifacts if isinstance(e, OutOfFocus)).radius_um,
    }
    for kind, (high, wide) in expected.items():
        assert truth.area_mm2[kind] == pytest.approx(np.pi * high * wide * 1e-6, rel=0.2)


def test_an_artifact_is_where_it_was_planted(plan: SlidePlan) -> None:
    classes = class_map(plan)
    spot = next(each for each in plan.artifacts if isinstance(each, DarkSpot))
    row, column = (int(um / 8) for um in spot.centre_um)
    assert classes[row, column] == CLASSES.index("dark_spot")


def test_tissue_in_the_pixels_is_tissue_in_the_truth() -> None:
    plan = replace(SlidePlan.tiny(), artifacts=())
    window = Window(y_um=0, x_um=0, rows=1488, columns=2000, um_px=0.5)
    painted = block(plan, window)
    assert painted is not None
    small = cv2.resize(painted, (125, 93), interpolation=cv2.INTER_AREA)
    seen = cv2.blur((small.min(axis=2) < 225).astype(np.float32), (3, 3)) > 0.5
    truth = class_map(plan)[:93, :125] > 0
    assert (seen & truth).sum() / (seen | truth).sum() > 0.9


def test_without_artifacts_there_is_tissue_and_glass_only() -> None:
    truth = planted_truth(SlidePlan.tiny(kinds=()), ())
    assert truth.area_mm2["tissue"] == truth.tissue_area_mm2
    assert sum(truth.area_mm2[kind] for kind in ALL_KINDS) == 0


def test_the_truth_is_saved_outside_the_slide(tmp_path: Path) -> None:
    beside = tmp_path / "truth"
    truth = write_slide(
        tmp_path / "slide", SlidePlan.bare(), SlideIdentity.invented(), truth_folder=beside
    )
    facts = json.loads((beside / "truth.json").read_text())
    assert facts["tissue_area_mm2"] == 0
    saved = cv2.imread(str(beside / "truth.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(saved, truth.class_map)
    assert all(path.suffix == ".dcm" for path in (tmp_path / "slide").iterdir())

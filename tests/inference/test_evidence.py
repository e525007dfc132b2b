"""What the accuracy figures stand on: intervals, overlaps, outlines."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from inference.training import outlined
from inference.training.intervals import resampled, wilson
from inference.training.overlaps import Figure, Overlap, mean_figures, pooled
from inference.training.patches import area_under_curve, threshold_at
from inference.training.sources import IGNORE

OUTLINES = [json.loads(file.read_text()) for file in sorted(outlined.FOLDER.glob("*.json"))]


def test_wilson_intervals_are_those_of_the_tables() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-3)
    assert wilson(95, 100) == pytest.approx((0.8882, 0.9785), abs=1e-3)
    assert wilson(0, 0) is None


def test_resampling_gives_the_spread_of_a_mean_and_nothing_for_one_picture() -> None:
    values = np.random.default_rng(1).normal(5.0, 1.0, 400).tolist()
    found = resampled(values, lambda some: float(np.mean(some)))
    assert found is not None
    low, high = found
    assert low < np.mean(values) < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert resampled([1.0], lambda some: some[0]) is None


def test_the_area_under_the_curve_counts_pairs_and_halves_ties() -> None:
    labels = np.array([0, 0, 0, 1, 1, 0, 1])
    scores = np.array([0.1, 0.4, 0.4, 0.4, 0.9, 0.95, 0.2], np.float32)
    pairs = [(a, b) for a in scores[labels == 1] for b in scores[labels == 0]]
    expected = np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs])
    assert area_under_curve(labels, scores) == pytest.approx(expected)


def test_a_threshold_keeps_the_wanted_specificity() -> None:
    scores = np.linspace(0, 1, 1001, dtype=np.float32)
    least = threshold_at(np.zeros(1001, np.int64), scores, specificity=0.9)
    assert (scores < least).mean() == pytest.approx(0.9, abs=0.01)


def test_overlaps_are_counted_a_picture_and_add_up() -> None:
    guess, truth = np.zeros((4, 4), np.bool_), np.zeros((4, 4), np.bool_)
    guess[:2], truth[1:3] = True, True
    one = Overlap.of(guess, truth)
    assert (one.iou, one.dice, one.precision, one.recall) == pytest.approx((1 / 3, 0.5, 0.5, 0.5))
    nothing = Overlap.of(guess & False, truth & False)
    assert nothing.iou == 1
    assert pooled([one, one, nothing]).iou == pytest.approx(1 / 3)
    iou = next(mean_figures([one, nothing], "real: two", "pen"))
    assert iou.value == pytest.approx(2 / 3)


def test_a_figure_is_written_so_that_the_manifest_can_read_it() -> None:
    figure = Figure(data="real: x", n=3, metric="pen IoU", value=0.5, interval=(0.4, 0.45))
    row = tomllib.loads(figure.as_toml())["accuracy"][0]
    assert row == {
        "data": "real: x", "n": 3, "metric": "pen IoU", "value": 0.5, "low": 0.4, "high": 0.5,
    }  # fmt: skip
    alone = Figure(data="real: x", n=1, metric="pen IoU", value=0.5)
    assert "low" not in alone.as_toml()
    assert "one picture" in alone.as_line()


def test_ten_real_pictures_that_are_not_in_training_are_outlined() -> None:
    kinds = {polygon["kind"] for says in OUTLINES for polygon in says["polygons"]}
    assert kinds == {"tissue", "glass", "unclear"}
    usable = [says for says in OUTLINES if not says["in_training"]]
    assert len(usable) >= 10
    assert sum(any(p["kind"] == "tissue" for p in says["polygons"]) for says in usable) >= 9
    assert len({says["sha256"] for says in OUTLINES}) == len(OUTLINES)


def test_each_outline_lies_on_its_own_picture(shared_data: Path) -> None:
    sections = list(outlined.sections(shared_data))
    assert [section.name for section in sections] == sorted(section.name for section in sections)
    for section in sections:
        assert section.rgb.shape[:2] == section.truth.shape
        assert set(np.unique(section.truth)) <= {0, 1, IGNORE}
        light = section.rgb.mean(axis=2)
        if (section.truth == 1).any():
            assert light[section.truth == 1].mean() < light[section.truth == 0].mean()


def test_another_picture_under_the_same_name_is_refused(tmp_path: Path) -> None:
    for says in OUTLINES:
        path = tmp_path / says["picture"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"another")
    with pytest.raises(ValueError, match="not the picture"):
        next(outlined.sections(tmp_path))

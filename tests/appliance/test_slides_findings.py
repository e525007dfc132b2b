"""Findings survive a trip through JSON, and damaged ones are refused in one sentence."""

import json
from pathlib import Path

import pytest

from appliance.errors import RejectedError
from appliance.line import Verdict
from appliance.slides.classes import ARTIFACTS, LOOKS, SlideClass, by_key
from appliance.slides.findings import ArtifactArea, Findings, ModelUse, Region, read_findings

FINDINGS = Findings(
    slide_id="abc",
    revision=2,
    verdict=Verdict.REVIEW,
    reason="6 % of the tissue is out of focus (limit 5 %).",
    class_map_um_px=2.0,
    rows=10,
    columns=12,
    base_um_px=0.5,
    base_rows=40,
    base_columns=48,
    tissue_area_mm2=1.25,
    artifacts=(ArtifactArea(name="out_of_focus", area_mm2=0.1, share_of_tissue=0.06),),
    regions=(
        Region(name="out_of_focus", area_mm2=0.1, polygon_um=((1.0, 2.0), (3.0, 2.0), (3.0, 4.0))),
    ),
    models=(ModelUse(name="m", version="1", digest="ab", device="cpu", um_px=2.0),),
    warnings=("Coarse.",),
)


def test_findings_come_back_equal() -> None:
    assert Findings.from_json(FINDINGS.to_json()) == FINDINGS


def test_an_artifact_that_was_not_found_has_no_area() -> None:
    assert FINDINGS.artifact(SlideClass.FOLD).area_mm2 == 0
    assert FINDINGS.artifact(SlideClass.OUT_OF_FOCUS).share_of_tissue == 0.06


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tissue_area_mm2", -1),
        ("tissue_area_mm2", float("nan")),
        ("rows", 0),
        ("verdict", "perhaps"),
        ("artifacts", [{"name": "dragon", "area_mm2": 1, "share_of_tissue": 0}]),
        ("models", None),
    ],
)
def test_damaged_findings_are_refused(key: str, value: object) -> None:
    raw = json.loads(FINDINGS.to_json()) | {key: value}
    with pytest.raises(RejectedError, match="findings of this slide are damaged"):
        Findings.from_json(json.dumps(raw))


def test_missing_findings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="cannot be read"):
        read_findings(tmp_path)


def test_every_class_has_a_look_and_a_name_that_leads_back() -> None:
    assert set(LOOKS) == set(SlideClass)
    assert all(by_key(kind.key) is kind for kind in SlideClass)
    assert set(ARTIFACTS) == set(SlideClass) - {SlideClass.BACKGROUND, SlideClass.TISSUE}

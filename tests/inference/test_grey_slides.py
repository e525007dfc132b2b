"""Fluorescence can be read, and is not judged by models of colour."""

from pathlib import Path

import pytest

from appliance.errors import UnsuitableSlide
from appliance.settings import VerdictRules
from appliance.slides.reader import open_slide
from inference.running.predict import Predictor
from inference.stage import find
from tests.inference.conftest import quiet


def test_a_fluorescence_scan_is_set_aside_and_nothing_is_written(
    shared_data: Path, tmp_path: Path, predictor: Predictor
) -> None:
    folder = shared_data / "dicom/wg26_fluorescence/BPAEC"
    with (
        open_slide([folder / "8_0", folder / "9_0"]) as reader,
        pytest.raises(UnsuitableSlide, match="grey or fluorescence scan"),
    ):
        find(
            reader,
            predictor,
            VerdictRules(),
            output=tmp_path,
            slide_id="abc",
            revision=1,
            progress=quiet,
        )
    assert list(tmp_path.iterdir()) == []

"""Each fault is the one it says, and nothing else is wrong."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import CTImageStorage

from appliance.synthetic import faults
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.truth import PlantedTruth

Tiny = tuple[Path, PlantedTruth]


def test_a_truncated_file_ends_early(tiny: Tiny, tmp_path: Path) -> None:
    cut = faults.truncated(tiny[1].files[0], tmp_path / "cut.dcm")
    assert cut.stat().st_size == int(tiny[1].files[0].stat().st_size * 0.6)


def test_a_ct_is_a_ct(tmp_path: Path) -> None:
    path = faults.ct_image(tmp_path / "ct.dcm", SlideIdentity.invented())
    assert dcmread(path).SOPClassUID == CTImageStorage


def test_one_frame_is_corrupt_and_the_others_are_not(tiny: Tiny, tmp_path: Path) -> None:
    source = tiny[1].files[0]
    bad = dcmread(faults.with_corrupt_frame(source, tmp_path / "bad.dcm", 20))
    good = dcmread(source)
    frames = [
        list(generate_frames(each.PixelData, number_of_frames=each.NumberOfFrames))
        for each in (good, bad)
    ]
    differ = [i for i, pair in enumerate(zip(*frames, strict=True)) if pair[0] != pair[1]]
    assert differ == [20]
    assert cv2.imdecode(np.frombuffer(frames[1][20], np.uint8), cv2.IMREAD_COLOR) is None


def test_no_pixel_spacing_is_left(tiny: Tiny, tmp_path: Path) -> None:
    folder = faults.slide_without_pixel_spacing(tiny[0], tmp_path / "unsized")
    for path in folder.glob("*.dcm"):
        header = dcmread(path, stop_before_pixels=True)
        assert "PixelSpacing" not in str(header)
        assert "ImagedVolumeWidth" not in header


def test_a_slide_without_tissue_has_a_truth_of_nothing(tmp_path: Path) -> None:
    truth = faults.slide_without_tissue(tmp_path / "bare", SlideIdentity.invented())
    assert truth.tissue_area_mm2 == 0
    assert truth.share_of_tissue["tissue"] == pytest.approx(0)

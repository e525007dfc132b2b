"""The files: valid, readable by others, the same twice, and in agreement with each other."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames, parse_basic_offsets
from wsidicom import WsiDicom

from appliance.synthetic.dicom import write_slide
from appliance.synthetic.fields import Window
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.picture import block
from appliance.synthetic.plan import SlidePlan
from appliance.synthetic.truth import PlantedTruth

Tiny = tuple[Path, PlantedTruth]


def _level(path: Path) -> np.ndarray:
    """Return a whole level, put together from its frames by hand."""
    instance = dcmread(path)
    side = instance.Rows
    across = -(-instance.TotalPixelMatrixColumns // side)
    frames = list(generate_frames(instance.PixelData, number_of_frames=instance.NumberOfFrames))
    decoded = [cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR) for each in frames]
    rows = [np.hstack(decoded[i : i + across]) for i in range(0, len(decoded), across)]
    whole = np.vstack(rows)[: instance.TotalPixelMatrixRows, : instance.TotalPixelMatrixColumns]
    return whole[..., ::-1]


def test_dciodvfy_finds_no_error_in_any_instance(
    tiny: Tiny, require_tool: Callable[[str], str]
) -> None:
    tool = require_tool("dciodvfy")
    for path in tiny[1].files:
        done = subprocess.run(
            [tool, "-new", str(path)], capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
        assert "VLWholeSlideMicroscopyImage" in said
        assert [line for line in said.splitlines() if line.startswith("Error")] == []


def test_a_slide_has_three_levels_a_label_an_overview_and_a_thumbnail(tiny: Tiny) -> None:
    headers = [dcmread(path, stop_before_pixels=True) for path in tiny[1].files]
    assert [tuple(header.ImageType) for header in headers] == [
        ("ORIGINAL", "PRIMARY", "VOLUME", "NONE"),
        ("DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"),
        ("DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"),
        ("ORIGINAL", "PRIMARY", "LABEL", "NONE"),
        ("ORIGINAL", "PRIMARY", "OVERVIEW", "NONE"),
        ("DERIVED", "PRIMARY", "THUMBNAIL", "RESAMPLED"),
    ]
    assert len({header.SOPInstanceUID for header in headers}) == len(headers)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({header[keyword].value for header in headers}) == 1
    spacings = [
        header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing[0]
        for header in headers[:3]
    ]
    assert [float(each) for each in spacings] == [0.0005, 0.002, 0.008]


def test_wsidicom_reads_the_pixels_that_were_painted(tiny: Tiny, plan: SlidePlan) -> None:
    at = (700, 600)
    with WsiDicom.open(tiny[0]) as slide:
        assert [level.size.width for level in slide.pyramids[0]] == [2000, 500, 125]
        read = np.asarray(slide.read_region((at[1], at[0]), 0, (256, 256)).convert("RGB"))
        assert slide.read_label().size[0] > slide.read_label().size[1]
        assert slide.read_overview().size[0] > 2 * slide.read_overview().size[1]
    window = Window(y_um=at[0] * 0.5, x_um=at[1] * 0.5, rows=256, columns=256, um_px=0.5)
    painted = block(plan, window)
    assert painted is not None
    assert np.abs(read.astype(int) - painted.astype(int)).mean() < 5


def test_each_level_is_the_average_of_the_one_before(tiny: Tiny) -> None:
    levels = [_level(path) for path in tiny[1].files[:3]]
    for fine, coarse in pairwise(levels):
        rows, columns = coarse.shape[0] - 1, coarse.shape[1] - 1
        averaged = cv2.resize(
            fine[: rows * 4, : columns * 4], (columns, rows), interpolation=cv2.INTER_AREA
        )
        difference = averaged.astype(int) - coarse[:rows, :columns].astype(int)
        assert abs(difference.mean()) < 0.5
        assert np.abs(difference).mean() < 5
        shifted = averaged[:, 1:].astype(int) - coarse[:rows, : columns - 1].astype(int)
        assert np.abs(shifted).mean() > 2 * np.abs(difference).mean()


def test_the_basic_offset_table_points_at_every_frame(tiny: Tiny) -> None:
    instance = dcmread(tiny[1].files[0])
    offsets = parse_basic_offsets(instance.PixelData)
    assert len(offsets) == instance.NumberOfFrames == 6 * 8
    start = 8 + 4 * len(offsets)
    for offset in offsets:
        assert instance.PixelData[start + offset :][:4] == b"\xfe\xff\x00\xe0"
        assert instance.PixelData[start + offset + 8 :][:3] == b"\xff\xd8\xff"
    stored = sum(len(each) for each in generate_frames(instance.PixelData, number_of_frames=48))
    ratio = 48 * 256 * 256 * 3 / stored
    assert float(instance.LossyImageCompressionRatio) == pytest.approx(ratio, rel=0.01)


def test_the_same_seed_gives_the_same_bytes(tiny: Tiny, plan: SlidePlan, tmp_path: Path) -> None:
    again = write_slide(tmp_path / "again", plan, SlideIdentity.invented(1), workers=1)
    for first, second in zip(tiny[1].files, again.files, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_another_seed_gives_another_slide(tiny: Tiny, tmp_path: Path) -> None:
    other = write_slide(tmp_path / "other", SlidePlan.tiny(2, ()), SlideIdentity.invented(2))
    for first, second in zip(tiny[1].files, other.files, strict=True):
        one, two = (dcmread(path, stop_before_pixels=True) for path in (first, second))
        assert one.SOPInstanceUID != two.SOPInstanceUID
        assert first.read_bytes() != second.read_bytes()


def test_a_pyramid_of_halves_and_larger_tiles_is_written_as_well(tmp_path: Path) -> None:
    plan = SlidePlan.of_size(900, 1300, seed=3, factors=(1, 2, 4, 8), tile_px=128, kinds=())
    truth = write_slide(tmp_path / "slide", plan, SlideIdentity.invented(3))
    levels = [_level(path) for path in truth.files[:4]]
    assert [level.shape[:2] for level in levels] == [
        (900, 1300),
        (450, 650),
        (225, 325),
        (113, 163),
    ]
    with WsiDicom.open(tmp_path / "slide") as slide:
        assert len(slide.pyramids[0]) == 4


def test_a_level_too_large_for_32_bit_offsets_gets_an_extended_offset_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.synthetic.headers.EXTENDED_FROM_BYTES", 100_000)
    plan = replace(SlidePlan.bare(), rows=600, columns=900)
    truth = write_slide(tmp_path / "slide", plan, SlideIdentity.invented(1))
    instance = dcmread(truth.files[0])
    assert len(instance.ExtendedOffsetTable) == 8 * instance.NumberOfFrames
    with WsiDicom.open(tmp_path / "slide") as slide:
        assert slide.read_region((300, 300), 0, (50, 50)).getpixel((9, 9))[0] > 230


def test_a_slide_is_about_as_large_as_was_asked_for(tmp_path: Path) -> None:
    plan = replace(SlidePlan.of_bytes(1_500_000, seed=2), artifacts=())
    truth = write_slide(tmp_path / "slide", plan, SlideIdentity.invented(2))
    volumes = [path for path in truth.files if path.name.startswith("volume")]
    assert len(volumes) == 4
    assert 750_000 < sum(path.stat().st_size for path in volumes) < 3_000_000

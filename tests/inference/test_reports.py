"""The objects satisfy validators, read back with equal values, and carry nothing they must not."""

import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL import Image

from appliance.slides.classes import SlideClass
from appliance.slides.findings import SLIDE_AREA, Findings
from inference.reports import codes
from inference.reports.naming import Naming, uid_of
from inference.reports.outside_sr import outside_sr
from inference.reports.seg import MAXIMUM_FRAMES, _bounded, _frames
from inference.running.predict import Predictor
from inference.stage import read_class_map
from tests.inference.conftest import CANARY, SLIDE_ID, Analysed, analyse

PRODUCTS = ("sr.dcm", "seg.dcm", "outside_sr.dcm")

EXPLAINED = (
    "Unrecognized defined term <99COVERSLIP>",  # our private scheme; the object identifies it
    "Unrecognized defined term <2.25.",  # the UID of that scheme
    "needed to build DICOMDIR",  # what the slide's own header leaves empty
    "Retired Person Name form",  # the canary's names are one word
    "Unrecognized tag - assuming explicit value representation OK",  # private tags of the scanner
)
"""Lines of dciodvfy that are left, see docs/inference.md."""


@pytest.mark.parametrize("name", PRODUCTS)
def test_dciodvfy_finds_no_error(
    analysed: Analysed, name: str, require_tool: Callable[[str], str]
) -> None:
    command = [require_tool("dciodvfy"), str(analysed.folder / name)]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
    left = [line for line in lines if not any(known in line for known in EXPLAINED)]
    assert left == [
        {"sr.dcm": "Comprehensive3DSR", "seg.dcm": "Segmentation"}.get(name, "EnhancedSR")
    ]


@pytest.mark.parametrize("name", ["sr.dcm", "outside_sr.dcm"])
def test_dsrdump_reads_the_reports(
    analysed: Analysed, name: str, require_tool: Callable[[str], str]
) -> None:
    command = [require_tool("dsrdump"), str(analysed.folder / name)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    verdict = codes.VERDICTS[analysed.findings.verdict]
    assert f'({verdict.value},DCM,"{verdict.meaning}")' in shown


def test_a_second_run_gives_the_same_bytes(
    analysed: Analysed, predictor: Predictor, tmp_path: Path
) -> None:
    again = analyse(analysed.slide, predictor, tmp_path)
    pictures = ("class_map.png", "slide_picture.png", "slide_plain.jpg")
    for name in (*PRODUCTS, "findings.json", *pictures):
        assert (again.folder / name).read_bytes() == (analysed.folder / name).read_bytes(), name


def groups(report: hd.sr.Comprehensive3DSR) -> dict[str, dict[str, float]]:
    """Give the numbers of each slide-level group by its tracking identifier."""
    found = {}
    for group in report.content.get_image_measurement_groups():
        values = {item.name.meaning: item.value for item in group.get_measurements()}
        found[group.tracking_identifier] = values
    return found


def texts(report: pydicom.Dataset) -> set[str]:
    """Give the value of each TEXT item."""
    return {str(item.value) for item in report.iterall() if item.keyword == "TextValue"}


def test_the_sr_reads_back_with_equal_numbers(analysed: Analysed) -> None:
    report = hd.sr.srread(analysed.folder / "sr.dcm")
    findings = analysed.findings
    numbers = groups(report)
    assert numbers["tissue"]["Area"] == pytest.approx(findings.tissue_area_mm2)
    for area in findings.artifacts:
        words = SlideClass[area.name.upper()].look.words
        assert numbers[words]["Area"] == pytest.approx(area.area_mm2)
        share = numbers[words]["Share of tissue area"]
        assert share == pytest.approx(100 * area.share_of_tissue, abs=1e-4)


def test_the_sr_says_the_verdict_in_code_and_in_words(analysed: Analysed) -> None:
    report = hd.sr.srread(analysed.folder / "sr.dcm")
    group = next(
        group
        for group in report.content.get_image_measurement_groups()
        if group.tracking_identifier == "slide quality"
    )
    evaluations = {item.name.value: item.value for item in group.get_qualitative_evaluations()}
    assert evaluations[codes.QUALITY.value] == codes.VERDICTS[analysed.findings.verdict]
    assert any(analysed.findings.reason in text for text in texts(report))


def test_the_sr_outlines_lie_on_the_slide(analysed: Analysed) -> None:
    report = hd.sr.srread(analysed.folder / "sr.dcm")
    base = pydicom.dcmread(analysed.slide / "volume-0.dcm", stop_before_pixels=True)
    origin = base.TotalPixelMatrixOriginSequence[0]
    rois = report.content.get_planar_roi_measurement_groups()
    assert len(rois) == min(20, len(analysed.findings.regions))
    region = analysed.findings.regions[0]
    outline = rois[0].roi.value
    cosines = np.array(base.ImageOrientationSlide, float).reshape(2, 3)
    offset = outline[0] - [
        float(origin.XOffsetInSlideCoordinateSystem),
        float(origin.YOffsetInSlideCoordinateSystem),
        0.0,
    ]
    seen_um = cosines @ offset * 1000 + analysed.findings.base_um_px / 2
    np.testing.assert_allclose(seen_um, region.polygon_um[0], atol=0.5)


def test_the_sr_names_its_models_with_digest(analysed: Analysed) -> None:
    said = texts(pydicom.dcmread(analysed.folder / "sr.dcm"))
    for model in analysed.findings.models:
        assert {model.name, model.version, f"digest=sha256:{model.digest}"} <= said


def test_the_sr_refers_to_the_slides_images_and_the_segmentation(analysed: Analysed) -> None:
    report = pydicom.dcmread(analysed.folder / "sr.dcm")
    named = {
        item.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    images = {
        pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID
        for path in analysed.slide.glob("volume-*.dcm")
    }
    seg = pydicom.dcmread(analysed.folder / "seg.dcm", stop_before_pixels=True)
    assert named == images | {seg.SOPInstanceUID}


def test_the_segmentation_holds_the_class_map(analysed: Analysed) -> None:
    seg = hd.seg.segread(analysed.folder / "seg.dcm")
    class_map = read_class_map(analysed.folder, analysed.findings)
    assert seg.NumberOfFrames <= MAXIMUM_FRAMES
    labels = [item.SegmentLabel.lower() for item in seg.SegmentSequence]
    present = [kind for kind in SlideClass if kind and (class_map == kind).any()]
    assert labels == [kind.look.words for kind in present]
    for number, kind in enumerate(present, start=1):
        matrix = seg.get_total_pixel_matrix(segment_numbers=[number])[..., 0]
        np.testing.assert_array_equal(matrix.astype(bool), class_map == kind)


def test_the_segmentation_lies_over_the_slide(analysed: Analysed) -> None:
    seg = pydicom.dcmread(analysed.folder / "seg.dcm", stop_before_pixels=True)
    base = pydicom.dcmread(analysed.slide / "volume-0.dcm", stop_before_pixels=True)
    assert seg.FrameOfReferenceUID == base.FrameOfReferenceUID
    ours, theirs = (d.TotalPixelMatrixOriginSequence[0] for d in (seg, base))
    shift_mm = (analysed.findings.class_map_um_px - analysed.findings.base_um_px) / 2000
    direction = np.array(base.ImageOrientationSlide, float).reshape(2, 3).sum(axis=0)
    moved = [
        float(ours.XOffsetInSlideCoordinateSystem) - float(theirs.XOffsetInSlideCoordinateSystem),
        float(ours.YOffsetInSlideCoordinateSystem) - float(theirs.YOffsetInSlideCoordinateSystem),
    ]
    np.testing.assert_allclose(moved, direction[:2] * shift_mm, atol=1e-5)


def test_a_large_map_is_thinned_out_below_400_frames() -> None:
    large = np.full((12_000, 12_000), SlideClass.TISSUE, np.uint8)
    small, um_px = _bounded(large, 2.0)
    assert um_px == 4.0
    assert small.shape == (6000, 6000)
    assert _frames(small) <= MAXIMUM_FRAMES


def test_a_slide_without_tissue_gets_a_report_and_no_segmentation(analysed_empty: Analysed) -> None:
    assert (analysed_empty.folder / "sr.dcm").exists()
    assert (analysed_empty.folder / "outside_sr.dcm").exists()
    assert not (analysed_empty.folder / "seg.dcm").exists()


def test_no_object_carries_the_wall_clock(analysed: Analysed) -> None:
    base = pydicom.dcmread(analysed.slide / "volume-0.dcm", stop_before_pixels=True)
    for name in ("sr.dcm", "seg.dcm"):
        made = pydicom.dcmread(analysed.folder / name, stop_before_pixels=True)
        assert (made.ContentDate, made.ContentTime) == (base.ContentDate, base.ContentTime)
        assert "InstanceCreationDate" not in made


def test_the_outside_report_knows_no_slide(analysed: Analysed) -> None:
    content = (analysed.folder / "outside_sr.dcm").read_bytes()
    slide = pydicom.dcmread(analysed.slide / "volume-0.dcm", stop_before_pixels=True)
    assert CANARY.encode() not in content
    assert SLIDE_ID.encode() not in content
    for uid in (slide.StudyInstanceUID, slide.SOPInstanceUID, slide.FrameOfReferenceUID):
        assert uid.encode() not in content
    outside = pydicom.dcmread(BytesIO(content))
    assert not any(
        element.VR == "DA" and element.value not in ("", "19000101") for element in outside
    )
    kinds = {item.value for item in outside.iterall() if item.keyword == "ValueType"}
    assert kinds <= {"CONTAINER", "CODE", "NUM", "TEXT"}


def test_the_outside_report_is_the_same_wherever_an_artifact_lies(analysed: Analysed) -> None:
    findings = analysed.findings
    moved = Findings.from_json(findings.to_json().replace(findings.reason, "Another sentence."))
    naming = Naming(slide_id="x", revision=1, sources=())
    assert outside_sr(findings, naming) == outside_sr(moved, naming)


def test_uids_follow_from_what_was_judged_and_how() -> None:
    naming = Naming(slide_id="s", revision=1, sources=("a", "b"))
    other = Naming(slide_id="s", revision=2, sources=("a", "b"))
    assert naming.uid("sr") == naming.uid("sr")
    assert len({naming.uid("sr"), naming.uid("seg"), other.uid("sr")}) == 3
    assert uid_of(("ab", "c")) != uid_of(("a", "bc"))
    assert pydicom.uid.UID(naming.uid("sr")).is_valid


def test_the_picture_shows_the_slide_and_its_artifacts(analysed: Analysed) -> None:
    with Image.open(analysed.folder / "slide_picture.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
        area = [int(number) for number in picture.info[SLIDE_AREA].split()]
    with Image.open(analysed.folder / "slide_plain.jpg") as plain:
        assert list(plain.size) == area[2:]
    assert max(pixels.shape) <= 1400
    pink = (pixels[..., 0] - pixels[..., 1] > 30).mean()
    assert pink > 0.1
    pen = np.array(SlideClass.PEN.look.rgb)
    assert (np.abs(pixels - pen).max(axis=2) < 3).sum() > 50

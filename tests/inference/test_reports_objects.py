"""ANN, heat map, Label Map and one-pager, and what the SR says when every model has spoken."""

import subprocess
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import cv2
import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL import Image

from appliance.errors import RejectedError
from appliance.settings import Report, VerdictRules
from appliance.slides.classes import SlideClass
from appliance.slides.findings import FOCUS_MAP_PNG, Findings, ModelUse, Region, TileResult
from appliance.slides.reader import SlideReader
from dicom_node.send.sender import dicom_files, send
from inference.reports import codes
from inference.reports.geometry import level_seen, slide_frame
from inference.reports.heat_map import heat_map, on_one_raster
from inference.reports.naming import Naming
from inference.reports.objects import written
from inference.reports.one_pager import one_pager
from inference.reports.outside_sr import outside_sr
from inference.reports.seg import segmentation
from inference.reports.source_header import completed
from inference.stage import read_class_map
from tests.dicom_node.pacs import endpoint_at
from tests.inference.conftest import CANARY, SLIDE_ID, Analysed, open_folder, quiet
from tests.line.orthanc import running_orthanc

TILE_UM = 96.0
EVERYTHING = Report(annotations=True, heat_map="parametric", one_pager=True)
COMPACT = Report(segmentation="labelmap", heat_map="fractional")

EXPLAINED = (
    "Unrecognized defined term <99COVERSLIP>",
    "Unrecognized defined term <2.25.",
    "Unrecognized defined term <QUANTITY>",  # PS3.3 C.8.32.2: of Image Type since 2017
    "Retired Person Name form",
    "is only permitted to be empty when actually unknown",  # Laterality of a slide: it is
    "Unrecognized tag - assuming explicit value representation OK",
)
"""Lines of dciodvfy that are left, see docs/inference.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """A slide of which everything is known, with two sets of objects."""

    folder: Path
    """Of everything; the compact ones are in `compact/`."""
    findings: Findings
    map: np.ndarray
    """`(rows, columns)` uint8: what the tile classifier saw."""
    reader: SlideReader


def full_findings(findings: Findings) -> Findings:
    """Add blood, a focus map, a tile classifier and a likeness to some findings."""
    classifier = ModelUse(
        name="metastasis",
        version="1.0",
        digest="ab" * 32,
        device="cpu",
        um_px=1.0,
        intended_use="A demonstration, not for diagnosis.",
    )
    result = TileResult(
        model="metastasis",
        name="tumour",
        code=("108369006", "SCT", "Neoplasm"),
        threshold=0.5,
        area_mm2=0.75,
        share_of_tissue=0.25,
        highest=0.984,
        map_file="tumour.png",
        map_um_px=TILE_UM,
    )
    blood = Region(
        name="blood", area_mm2=0.01, polygon_um=((0.0, 0.0), (100.0, 0.0), (100.0, 100.0))
    )
    return replace(
        findings,
        models=(*findings.models, classifier),
        tile_results=(result,),
        regions=(*findings.regions[:18], blood),
        focus_um_px=TILE_UM,
        unlikeness=0.4,
    )


@pytest.fixture(scope="module")
def full(analysed: Analysed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    folder = tmp_path_factory.mktemp("full")
    findings = full_findings(analysed.findings)
    size = [
        int(n * findings.base_um_px // TILE_UM) for n in (findings.base_rows, findings.base_columns)
    ]
    tiles = np.random.default_rng(1).integers(1, 256, size).astype(np.uint8)
    tiles[:2] = 0
    cv2.imwrite(str(folder / "tumour.png"), tiles)
    cv2.imwrite(str(folder / FOCUS_MAP_PNG), np.full((4, 4), 128, np.uint8))
    with open_folder(analysed.slide) as reader:
        full = Full(folder=folder, findings=findings, map=tiles, reader=reader)
        save(made(full, analysed, EVERYTHING), folder)
        save(made(full, analysed, COMPACT), folder / "compact")
        yield full


def made(full: Full, analysed: Analysed, settings: Report, **more: object) -> dict[str, bytes]:
    """Make the objects of one setting."""
    return written(
        full.findings,
        read_class_map(analysed.folder, full.findings),
        reader=full.reader,
        folder=full.folder,
        rules=VerdictRules(),
        settings=settings,
        progress=quiet,
        **more,  # type: ignore[arg-type]  # predecessors, in one test
    )


def save(files: dict[str, bytes], folder: Path) -> None:
    """Write files into a folder."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "iod"),
    [
        ("sr.dcm", "Comprehensive3DSR"),
        ("ann.dcm", "MicroscopyBulkSimpleAnnotations"),
        ("heat_map.dcm", "ParametricMap"),
        ("one_pager.dcm", "EncapsulatedPDF"),
        ("compact/heat_map.dcm", "Segmentation"),
    ],
)
def test_dciodvfy_finds_no_error(
    full: Full, name: str, iod: str, require_tool: Callable[[str], str]
) -> None:
    command = [require_tool("dciodvfy"), str(full.folder / name)]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
    assert [line for line in lines if not any(known in line for known in EXPLAINED)] == [iod]


def test_dciodvfy_is_older_than_label_maps(full: Full, require_tool: Callable[[str], str]) -> None:
    command = [require_tool("dciodvfy"), str(full.folder / "compact" / "seg.dcm")]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
    left = {line for line in lines if not any(known in line for known in EXPLAINED)}
    unknown, numbered = sorted(left)
    assert unknown == "Error - Information Object Not found"
    assert numbered.startswith("Error - SegmentNumber not monotonically increasing from one")


def test_dcmtk_reads_every_object(full: Full, require_tool: Callable[[str], str]) -> None:
    for path in sorted(full.folder.rglob("*.dcm")):
        command = [require_tool("dcm2xml"), str(path)]
        shown = subprocess.run(command, capture_output=True, text=True, check=True)
        assert pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID in shown.stdout
    page = subprocess.run(
        [require_tool("dsr2html"), str(full.folder / "sr.dcm")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Demonstration, not for diagnosis." in page
    assert full.findings.reason in page


def test_a_second_run_gives_the_same_bytes(full: Full, analysed: Analysed) -> None:
    for name, content in made(full, analysed, EVERYTHING).items():
        assert (full.folder / name).read_bytes() == content, name


def uids(files: dict[str, bytes]) -> dict[str, str]:
    """Give the SOP Instance UID of each object."""
    return {
        name: str(pydicom.dcmread(BytesIO(content)).SOPInstanceUID)
        for name, content in files.items()
        if name.endswith(".dcm")
    }


def test_objects_of_other_content_have_other_uids(full: Full, analysed: Analysed) -> None:
    settings = Report(one_pager=True)
    names = uids(made(full, analysed, settings))
    elsewhere = replace(full.findings.models[0], device="gpu")
    models = (elsewhere, *full.findings.models[1:])
    again = replace(full, findings=replace(full.findings, models=models))
    before = pydicom.dcmread(full.folder / "sr.dcm")
    others = [
        uids(made(again, analysed, settings)),
        uids(made(full, analysed, settings, predecessors=(before,))),
    ]
    for name, uid in names.items():
        # The report for outside names no predecessor, and has the same content with one.
        different = 2 if name == "outside_sr.dcm" else 3
        assert len({uid, *(other[name] for other in others)}) == different, name


def test_only_what_the_settings_ask_for_is_written(full: Full, analysed: Analysed) -> None:
    least = {"sr.dcm", "seg.dcm", "outside_sr.dcm", "slide_picture.png", "slide_plain.jpg"}
    assert made(full, analysed, Report()).keys() == least
    present = {path.name for path in full.folder.iterdir()}
    assert present >= least | {"ann.dcm", "heat_map.dcm", "one_pager.dcm"}


def test_all_objects_lie_in_one_study_and_frame_of_reference(full: Full) -> None:
    base = full.reader.header
    for path in full.folder.rglob("*.dcm"):
        if path.name != "outside_sr.dcm":
            one = pydicom.dcmread(path, stop_before_pixels=True)
            assert one.StudyInstanceUID == base.StudyInstanceUID
            assert (
                one.get("FrameOfReferenceUID", base.FrameOfReferenceUID) == base.FrameOfReferenceUID
            )
            assert (one.ContentDate, one.ContentTime) == (base.ContentDate, base.ContentTime)


def group(full: Full, tracking: str) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """Give a slide-level group of the SR."""
    report = hd.sr.srread(full.folder / "sr.dcm")
    found = report.content.get_image_measurement_groups()
    return next(one for one in found if one.tracking_identifier == tracking)


def test_the_sr_tells_what_the_classifier_saw(full: Full) -> None:
    said, result = group(full, "metastasis: tumour (demonstration)"), full.findings.tile_results[0]
    assert said.finding_type == hd.sr.CodedConcept(*result.code)
    numbers = {item.name.meaning: item.value for item in said.get_measurements()}
    assert numbers == {"Area": 0.75, "Share of tissue area": 25.0, "Probability": 0.984}
    texts = {str(item.value) for item in said[0].iterall() if item.keyword == "TextValue"}
    assert {
        "Demonstration, not for diagnosis.",
        "threshold=0.5",
        f"digest=sha256:{'ab' * 32}",
    } <= texts


def test_the_sr_gives_the_limits_of_its_verdict(full: Full) -> None:
    said = group(full, "slide quality")
    texts = {str(item.value) for item in said[0].iterall() if item.keyword == "TextValue"}
    assert {"rescan.fold=0.15", "review.blood=0.1", "minimum_tissue_mm2=0.05"} <= texts
    assert any("rescan from out of focus 15 %" in text for text in texts)


def test_the_sr_measures_sharpness_and_unlikeness(full: Full) -> None:
    numbers = {
        item.name.value: item.value for item in group(full, "slide quality").get_measurements()
    }
    assert numbers == {
        "focus": pytest.approx(0.25),
        "share-blurred": 0.0,
        "unlikeness": pytest.approx(0.4),
    }


def test_the_sr_and_the_segments_track_the_same_finding(full: Full) -> None:
    segments = pydicom.dcmread(full.folder / "seg.dcm", stop_before_pixels=True).SegmentSequence
    artifacts = [one for one in segments if one.SegmentLabel != "Clean tissue"]
    assert artifacts
    for segment in artifacts:
        assert group(full, segment.TrackingID).tracking_uid == segment.TrackingUID


def test_blood_is_a_body_substance_with_its_own_code(full: Full) -> None:
    said = group(full, "blood")
    assert said.finding_category == hd.sr.CodedConcept(*codes.BODY_SUBSTANCE[:3])
    assert said.finding_type == hd.sr.CodedConcept(*codes.BLOOD[:3])
    annotated = hd.ann.annread(full.folder / "ann.dcm").get_annotation_groups()
    blood = next(one for one in annotated if one.label == "Blood")
    assert blood.annotated_property_type == hd.sr.CodedConcept(*codes.BLOOD[:3])


def test_the_sr_refers_to_the_level_that_the_model_saw(full: Full) -> None:
    named = {
        words: group(full, words).source_images[0].referenced_sop_instance_uid
        for words in ("tissue", "pen mark")
    }
    seen = {
        words: next(h for h in full.reader.headers if h.SOPInstanceUID == uid)
        for words, uid in named.items()
    }
    um_px = {
        words: full.findings.base_um_px * full.findings.base_columns / h.TotalPixelMatrixColumns
        for words, h in seen.items()
    }
    tissue, artifact = full.findings.models[:2]
    assert um_px["pen mark"] <= artifact.um_px * 1.05
    assert um_px["pen mark"] < um_px["tissue"] <= tissue.um_px * 1.05


def test_the_annotations_read_back_with_equal_outlines(full: Full) -> None:
    read = hd.ann.annread(full.folder / "ann.dcm")
    base = full.reader.header
    origin = base.TotalPixelMatrixOriginSequence[0]
    corner_mm = np.array(
        [origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem], float
    )
    cosines = np.array(base.ImageOrientationSlide, float).reshape(2, 3)[:, :2]
    for one in read.get_annotation_groups():
        regions = [r for r in full.findings.regions if codes_label(r.name) == one.label]
        outlines = one.get_graphic_data(coordinate_type="3D")
        assert len(outlines) == len(regions)
        for outline, region in zip(outlines, regions, strict=True):
            seen_um = (outline[:, :2] - corner_mm) @ cosines.T * 1000 + full.findings.base_um_px / 2
            np.testing.assert_allclose(seen_um, region.polygon_um, atol=0.02)
        _, areas, _ = one.get_measurements(name=codes.AREA)
        np.testing.assert_allclose(areas[:, 0], [r.area_mm2 for r in regions], rtol=1e-6)


def test_the_height_of_a_plane_is_micrometres_in_images_and_millimetres_in_outlines(
    full: Full,
) -> None:
    """PS3.3 C.8.12.2.1.1: Z Offset is µm, where SCOORD3D is mm in all directions."""
    headers = completed(full.reader.headers)
    headers[0].TotalPixelMatrixOriginSequence[0].ZOffsetInSlideCoordinateSystem = "12.5"
    frame = slide_frame(headers[0], um_px=full.findings.base_um_px)
    assert frame.place([(0.0, 0.0)])[0, 2] == pytest.approx(0.0125)  # SR and ANN
    naming = Naming(slide_id="x", revision=1, sources=())
    class_map = np.ones((full.findings.rows, full.findings.columns), np.uint8)
    seg = segmentation(class_map, full.findings, headers, naming)
    heat = heat_map(full.findings, headers, naming, folder=full.folder, encoding="parametric")
    assert seg is not None
    assert heat is not None
    for one in (seg.dataset, heat.dataset):
        heights = {e.value for e in one.iterall() if e.keyword == "ZOffsetInSlideCoordinateSystem"}
        assert {float(height) for height in heights} == {12.5}


def test_the_level_that_was_seen_is_named_by_the_plane_that_is_shown(full: Full) -> None:
    headers = list(full.reader.headers)
    other = replace_uid(headers[0])
    assert level_seen([headers[0], other], full.findings, full.findings.base_um_px) is headers[0]


def replace_uid(header: pydicom.FileDataset) -> pydicom.FileDataset:
    """Give another plane of the same level."""
    other = deepcopy(header)
    other.SOPInstanceUID = "2.25.7"
    return other


def codes_label(name: str) -> str:
    """Give the label of a class in ANN and SEG."""
    return SlideClass[name.upper()].look.words.capitalize()


def test_the_parametric_map_holds_the_probabilities(full: Full) -> None:
    read = hd.imread(full.folder / "heat_map.dcm")
    assert read.FloatPixelPaddingValue == -1
    values = read.get_total_pixel_matrix(apply_real_world_transform=False)
    rows, columns = full.map.shape
    expected = np.where(full.map > 0, (full.map.astype(float) - 1) / 254, -1)
    np.testing.assert_allclose(values[:rows, :columns], expected, atol=1e-6)
    quantity = read.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert quantity.LUTExplanation == "metastasis: tumour (demonstration)"
    concept = quantity.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    assert concept.CodeValue == "130402"


def test_the_fractional_segmentation_holds_the_probabilities(full: Full) -> None:
    read = hd.seg.segread(full.folder / "compact" / "heat_map.dcm")
    values = read.get_total_pixel_matrix(segment_numbers=[1])[..., 0]
    expected = np.where(full.map > 0, (full.map.astype(float) - 1) / 254, 0)
    np.testing.assert_allclose(
        values[: full.map.shape[0], : full.map.shape[1]], expected, atol=0.004
    )


def test_the_label_map_holds_the_class_map(full: Full, analysed: Analysed) -> None:
    read = hd.seg.segread(full.folder / "compact" / "seg.dcm")
    assert read.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    class_map = read_class_map(analysed.folder, full.findings)
    labels = {
        item.SegmentLabel.lower(): item.SegmentNumber
        for item in read.SegmentSequence
        if item.SegmentNumber
    }
    matrix = read.get_total_pixel_matrix(combine_segments=True)
    for kind in SlideClass:
        if kind and (class_map == kind).any():
            np.testing.assert_array_equal(matrix == labels[kind.look.words], class_map == kind)


def test_a_damaged_tile_map_stops_the_report(
    full: Full, analysed: Analysed, tmp_path: Path
) -> None:
    (tmp_path / "tumour.png").write_bytes(b"no picture")
    (tmp_path / FOCUS_MAP_PNG).write_bytes((full.folder / FOCUS_MAP_PNG).read_bytes())
    damaged = replace(full, folder=tmp_path)
    with pytest.raises(RejectedError, match="tile map"):
        made(damaged, analysed, Report(heat_map="parametric"))


def test_dcm2pdf_gives_the_page_back_and_it_can_be_searched(
    full: Full, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    page = tmp_path / "page.pdf"
    source = full.folder / "one_pager.dcm"
    subprocess.run([require_tool("dcm2pdf"), str(source), str(page)], check=True)
    stored = pydicom.dcmread(source)
    assert (
        page.read_bytes()[: stored.EncapsulatedDocumentLength]
        == stored.EncapsulatedDocument[: stored.EncapsulatedDocumentLength]
    )
    command = [require_tool("pdftotext"), "-layout", str(page), "-"]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spoken = " ".join(words.split())
    for sentence in (
        "Technical quality control, not a diagnosis.",
        "The patient is named in the DICOM header of this document",
        "* Demonstration, not for diagnosis.",
        full.findings.reason,
        f"All tissue {full.findings.tissue_area_mm2:.2f} mm²",
        *(f"{model.name} {model.version}" for model in full.findings.models),
    ):
        assert sentence in spoken
    assert words.count("\f") == 1, "one page"


def test_no_identity_is_on_the_page(full: Full) -> None:
    document = bytes(pydicom.dcmread(full.folder / "one_pager.dcm").EncapsulatedDocument)
    assert CANARY.encode() not in document
    assert SLIDE_ID.encode() not in document


def test_the_page_stays_one_page_with_many_warnings(full: Full) -> None:
    talkative = replace(full.findings, warnings=("This slide is odd in some way. " * 6,) * 30)
    picture = np.full((300, 400, 3), 200, np.uint8)
    page = one_pager(talkative, VerdictRules(), picture, None)
    assert page.startswith(b"%PDF")
    assert page.count(b"/Type /Page\n") == 1
    assert page == one_pager(talkative, VerdictRules(), picture, None)


def test_orthanc_files_all_objects_in_one_study_and_renders_them(
    full: Full, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    wanted = {"sr.dcm", "seg.dcm", "ann.dcm", "heat_map.dcm", "one_pager.dcm", "label_map.dcm"}
    # The label map is the same slide's under another setting, so a series and UID of its own.
    (full.folder / "label_map.dcm").write_bytes((full.folder / "compact/seg.dcm").read_bytes())
    sent = {
        pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: path
        for path in full.folder.iterdir()
        if path.name in wanted
    }
    outgoing = [one for one in dicom_files(full.folder) if one.path in sent.values()]
    newer = {"UnknownSopClassAccepted": True}  # Debian's DCMTK does not know label maps yet
    with running_orthanc(require_tool("Orthanc"), tmp_path / "pacs", "PACS", newer) as orthanc:
        send(outgoing, endpoint_at(orthanc.dicom_port))
        (study,) = orthanc.get("/studies")
        filed = {
            sent[one["MainDicomTags"]["SOPInstanceUID"]].name: one["ID"]
            for one in orthanc.get(f"/studies/{study}/instances")
        }
        assert filed.keys() == wanted
        document = orthanc.content(f"/instances/{filed['one_pager.dcm']}/pdf")
        rendered = orthanc.content(f"/instances/{filed['seg.dcm']}/frames/0/rendered")
        for name, instance in filed.items():
            kept = pydicom.dcmread(BytesIO(orthanc.file(instance)))
            assert kept == pydicom.dcmread(full.folder / name), name
    assert document.startswith(b"%PDF")
    with Image.open(BytesIO(rendered)) as frame:
        assert np.asarray(frame.convert("L")).max() > 0


def test_the_outside_report_does_not_tell_which_classifier_was_chosen(full: Full) -> None:
    naming = Naming(slide_id="x", revision=1, sources=())
    content = outside_sr(full.findings, naming)
    assert b"metastasis" not in content
    assert full.findings.models[0].name.encode() in content


def test_classifiers_with_other_tiles_share_the_finest_raster() -> None:
    fine, coarse = np.arange(1, 13, dtype=np.uint8).reshape(3, 4), np.array([[100, 200]], np.uint8)
    one = TileResult(
        model="a",
        name="a",
        code=("1", "SCT", "A"),
        threshold=0.5,
        area_mm2=0,
        share_of_tissue=0,
        highest=0,
        map_file="a.png",
        map_um_px=50.0,
    )
    stacked = on_one_raster([fine, coarse], [one, replace(one, map_um_px=100.0)], 50.0)
    np.testing.assert_array_equal(stacked[..., 0], fine)
    expected = [[100, 100, 200, 200], [100, 100, 200, 200], [0, 0, 0, 0]]
    np.testing.assert_array_equal(stacked[..., 1], expected)


def test_a_later_report_names_its_predecessor(full: Full, analysed: Analysed) -> None:
    before = pydicom.dcmread(full.folder / "sr.dcm")
    later = replace(full, findings=replace(full.findings, revision=2))
    files = made(later, analysed, Report(), predecessors=(before,))
    (full.folder / "later.dcm").write_bytes(files["sr.dcm"])
    report = pydicom.dcmread(full.folder / "later.dcm")
    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (named,) = series.ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == before.SOPInstanceUID != report.SOPInstanceUID
    assert named.ReferencedSOPClassUID == before.SOPClassUID
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (
        before.StudyInstanceUID,
        before.SeriesInstanceUID,
    )
    assert report.SeriesInstanceUID != before.SeriesInstanceUID

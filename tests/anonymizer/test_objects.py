"""Objects beside the whole-slide image: which go on, under which name, and with which pixels."""

import re
import subprocess
from io import BytesIO

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom import pm
from pydicom.sr.codedict import codes
from pydicom.uid import JPEGLSLossless, RLELossless

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.images import Doubt
from anonymizer.deidentify.many import deidentify_folder
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.objects import choose
from anonymizer.part10 import reading
from anonymizer.part10.elements import Element
from anonymizer.part10.reading import read_header
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.quiet import quiet_pydicom
from appliance.errors import IncompleteSlide, InvalidInstance
from tests.anonymizer import planted, planted_iods
from tests.anonymizer.derived import annotations_of, objects_of, save_all
from tests.anonymizer.planted import Canaries, with_values
from tests.anonymizer.release_parts import original_slide, save

METHOD = Method(pseudonyms=Pseudonyms(bytes(range(32))))
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SR = "1.2.840.10008.5.1.4.1.1.88.34"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MICROSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.2"
WITHOUT_A_WORD = Element(0x00280301, "CS", b"")
BURNED_IN = Element(0x00280301, "CS", b"YES")


def slide_without_label(tiles_across=1):
    slide = original_slide(tiles_across=tiles_across)
    slide.SpecimenLabelInImage = slide.BurnedInAnnotation = "NO"
    return slide


def deidentified(files, folder):
    output = folder / "out"
    output.mkdir()
    with quiet_pydicom():
        report = deidentify_slide(files, output, METHOD)
    return report, {path.name: path for path in output.iterdir()}


def header(folder, sop_class, *values, name="one.dcm"):
    """Make the header of an object that differs from a plain one in some elements."""
    canaries = Canaries()
    elements = with_values(planted_iods.planted_object(sop_class, canaries), *values)
    return read_header(planted_iods.write_object(folder / name, elements, canaries))


def test_what_was_made_from_a_slide_comes_out_beside_it_with_a_name_of_its_kind(tmp_path):
    slide = slide_without_label()
    report, made = deidentified(save_all(slide, objects_of(slide), tmp_path), tmp_path)
    assert set(made) == {"volume-00.dcm", "ann-00.dcm", "seg-00.dcm", "sr-00.dcm"}
    assert [one.file for one in report.images] == [
        "volume-00.dcm",
        "ann-00.dcm",
        "seg-00.dcm",
        "sr-00.dcm",
    ]
    assert [one.frames for one in report.images] == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("sop_class", "values", "doubt"),
    [
        (SECONDARY_CAPTURE, (WITHOUT_A_WORD,), Doubt.ANNOTATION),
        (SECONDARY_CAPTURE, (BURNED_IN,), Doubt.ANNOTATION),
        (MICROSCOPIC, (BURNED_IN,), Doubt.ANNOTATION),
        (SEG, (BURNED_IN,), Doubt.ANNOTATION),
        (MICROSCOPIC, (Element(0x00080008, "CS", b"ORIGINAL\\PRIMARY\\LABEL"),), Doubt.FLAVOR),
        (MICROSCOPIC, (Element(0x00480010, "CS", b"YES"),), Doubt.LABEL),
        (MICROSCOPIC, (Element(0x00280302, "CS", b"YES"),), Doubt.FEATURES),
        (MICROSCOPIC, (Element(0x60000102, "US", b"\x0c\0"),), Doubt.OVERLAY),
        (MICROSCOPIC, (Element(0x00280004, "CS", b"PALETTE COLOR"),), Doubt.PALETTE),
    ],
)
def test_an_image_whose_pixels_nobody_vouches_for_is_left_out(tmp_path, sop_class, values, doubt):
    good = header(tmp_path, SR, name="good.dcm")
    objects = choose([good, header(tmp_path, sop_class, *values)])
    assert [one.name for one in objects.kept] == ["sr-00.dcm"]
    assert [why for _, why in objects.dropped] == [doubt]


def test_clean_pixel_data_is_not_claimed_for_an_image_that_nobody_looked_at(tmp_path):
    headers = [header(tmp_path, MICROSCOPIC), header(tmp_path, SEG, name="seg.dcm")]
    objects = choose(headers, clean_pixels=True)
    assert [one.name for one in objects.kept] == ["seg-00.dcm"]
    assert objects.dropped == (("image", Doubt.UNSEEN),)


@pytest.mark.parametrize(
    ("sop_class", "values", "name"),
    [
        (SECONDARY_CAPTURE, (), "image-00.dcm"),
        (MICROSCOPIC, (WITHOUT_A_WORD,), "image-00.dcm"),
        (SEG, (WITHOUT_A_WORD,), "seg-00.dcm"),
    ],
)
def test_an_image_that_shows_only_tissue_goes_on(tmp_path, sop_class, values, name):
    [one] = choose([header(tmp_path, sop_class, *values)]).kept
    assert one.name == name
    assert one.header.pixels is not None


def test_nothing_but_an_image_in_doubt_is_refused(tmp_path):
    with pytest.raises(IncompleteSlide):
        choose([header(tmp_path, SECONDARY_CAPTURE, BURNED_IN)])


def test_a_segmentation_of_an_image_that_is_left_out_is_left_out_too(tmp_path):
    canaries = Canaries()
    files = planted.planted_slide(tmp_path / "slide", canaries)
    headers = [read_header(file) for file in files]
    label = next(one for one in headers if b"LABEL" in one.value(0x00080008))
    source = (Element(0x00081155, "UI", label.value(0x00080018)),)
    named = Element(0x00082112, "SQ", items=(source,))
    objects = choose([*headers, header(tmp_path, SEG, named)])
    assert [one.name for one in objects.kept] == ["volume-00.dcm", "volume-01.dcm"]
    assert ("seg", Doubt.SOURCE) in objects.dropped


def test_pixels_in_an_object_that_has_none_are_not_carried_over(tmp_path):
    canaries = Canaries()
    elements = planted_iods.planted_object(SR, canaries)
    pixels = Element(0x7FE00010, "OB", b"Mrs. Doe")
    path = planted_iods.write_object(tmp_path / "in.dcm", [*elements, pixels], canaries)
    assert read_header(path).pixels is not None
    _, made = deidentified([path], tmp_path)
    assert b"Mrs. Doe" not in made["sr-00.dcm"].read_bytes()
    assert "PixelData" not in pydicom.dcmread(made["sr-00.dcm"])


def test_an_image_without_pixels_and_one_with_those_of_another_kind_are_refused(tmp_path):
    whole = header(tmp_path, SEG)
    content = whole.path.read_bytes()
    end = content.index(b"\xe0\x7f\x10\x00OB")
    (tmp_path / "without.dcm").write_bytes(content[:end])
    other = content[:end] + b"\xe0\x7f\x08\x00OF" + content[end + 6 :]
    (tmp_path / "other.dcm").write_bytes(other)
    for name, words in (("without", "no pixel data"), ("other", "other pixel data")):
        with pytest.raises(InvalidInstance, match=words):
            choose([read_header(tmp_path / f"{name}.dcm")])


def test_an_object_that_holds_more_than_any_has_is_refused(tmp_path, monkeypatch):
    slide = slide_without_label()
    save(annotations_of(slide), tmp_path / "ann.dcm")
    assert read_header(tmp_path / "ann.dcm").pixels is None
    monkeypatch.setattr(reading, "_MOST_HEADER_BYTES", 500)
    with pytest.raises(InvalidInstance, match="more beside its pixels"):
        read_header(tmp_path / "ann.dcm")


def parametric_map(slide, values):
    return pm.ParametricMap(
        source_images=[slide],
        pixel_array=values,
        series_instance_uid="1.2.826.0.1.9.20",
        series_number=5,
        sop_instance_uid="1.2.826.0.1.9.21",
        instance_number=1,
        manufacturer="Wombat Works",
        manufacturer_model_name="Mapper",
        software_versions="1.0",
        device_serial_number="W-4712",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            pm.RealWorldValueMapping(
                lut_label="probability",
                lut_explanation="made for Mrs. Doe",
                unit=codes.UCUM.NoUnits,
                value_range=(0.0, 1.0),
                slope=1.0,
                intercept=0.0,
            )
        ],
        window_center=0.5,
        window_width=1.0,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_numbers_of_a_parametric_map_come_out_as_they_were(tmp_path, dtype):
    slide = slide_without_label()
    values = np.random.default_rng(7).random((1, 256, 256)).astype(dtype)
    with quiet_pydicom():
        save(parametric_map(slide, values), tmp_path / "in.dcm")
    _, made = deidentified([tmp_path / "in.dcm"], tmp_path)
    content = made["map-00.dcm"].read_bytes()
    assert b"Doe" not in content
    data_set = pydicom.dcmread(BytesIO(content))
    assert np.array_equal(data_set.pixel_array, values[0])


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_label_maps_come_out_with_the_same_labels(tmp_path, syntax):
    slide = slide_without_label()
    labels = np.random.default_rng(5).integers(0, 2, (1, 256, 256), dtype=np.uint8)
    with quiet_pydicom():
        save(label_map(slide, labels, syntax), tmp_path / "in.dcm")
    _, made = deidentified([tmp_path / "in.dcm"], tmp_path)
    after = hd.seg.segread(made["seg-00.dcm"])
    assert after.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(after.pixel_array, labels[0])


def label_map(slide, labels, syntax):
    return hd.seg.Segmentation(
        source_images=[slide],
        pixel_array=labels,
        segmentation_type=hd.seg.SegmentationTypeValues.LABELMAP,
        segment_descriptions=[
            hd.seg.SegmentDescription(
                segment_number=1,
                segment_label="where Mrs. Doe is ill",
                segmented_property_category=codes.SCT.Tissue,
                segmented_property_type=codes.SCT.Tissue,
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
        ],
        series_instance_uid="1.2.826.0.1.9.30",
        series_number=6,
        sop_instance_uid="1.2.826.0.1.9.31",
        instance_number=1,
        manufacturer="Wombat Works",
        manufacturer_model_name="Mapper",
        software_versions="1.0",
        device_serial_number="W-4713",
        transfer_syntax_uid=syntax,
    )


def test_a_folder_is_sorted_into_slides_with_what_was_made_from_them(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    first, second = slide_without_label(), original_slide(2, tiles_across=1)
    second.SpecimenLabelInImage = "NO"
    save_all(first, objects_of(first), source)
    lonely = annotations_of(second)
    save(lonely, source / "lonely.dcm")
    with quiet_pydicom():
        results = deidentify_folder(source, tmp_path / "out", METHOD)
    found = sorted(sorted(path.name for path in one.folder.glob("*.dcm")) for one in results)
    assert found == [["ann-00.dcm"], ["ann-00.dcm", "seg-00.dcm", "sr-00.dcm", "volume-00.dcm"]]


def errors(dciodvfy, path):
    """Errors of dciodvfy without the values in them."""
    result = subprocess.run([dciodvfy, path], capture_output=True, text=True, check=False)
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    return {re.sub(r"[<\[][\d.]{9,}[>\]]", "", line) for line in lines}


SAMPLES = [
    *(f"deid/highdicom/seg_image_sm_{n}.dcm" for n in ("control", "control_labelmap", "dots")),
    "deid/highdicom/seg_image_sm_dots_tiled_full.dcm",
    "deid/highdicom/sm_annotations.dcm",
    "deid/highdicom/sm_image.dcm",
    "deid/highdicom/sr_document.dcm",
    "deid/highdicom/sr_document_with_multiple_groups.dcm",
    "dicom/highdicom_sm/seg_image_sm_numbers.dcm",
    "dicom/highdicom_sm/seg_image_sm_control_labelmap_palette_color.dcm",
    "dicom/highdicom_sm/sm_image_jpegls.dcm",
    "dicom/highdicom_sm/sm_image_grayscale.dcm",
    "deid/pydicom/liver_1frame.dcm",
]


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_real_object_gains_no_error_and_keeps_its_pixels(
    shared_data, require_tool, tmp_path, sample
):
    source = shared_data / sample
    _, made = deidentified([source], tmp_path)
    [target] = made.values()
    dciodvfy = require_tool("dciodvfy")
    assert errors(dciodvfy, target) <= errors(dciodvfy, source)
    before, after = pydicom.dcmread(source), pydicom.dcmread(target)
    assert str(after.PatientID) != str(before.PatientID)
    if "PixelData" in before:
        assert np.array_equal(before.pixel_array, after.pixel_array)


def test_labels_lose_their_palette_and_are_plain_numbers_then(shared_data, tmp_path):
    name = "dicom/highdicom_sm/seg_image_sm_control_labelmap_palette_color.dcm"
    _, made = deidentified([shared_data / name], tmp_path)
    before, after = hd.seg.segread(shared_data / name), hd.seg.segread(made["seg-00.dcm"])
    assert before.PhotometricInterpretation == "PALETTE COLOR"
    assert after.PhotometricInterpretation == "MONOCHROME2"
    assert np.array_equal(before.pixel_array, after.pixel_array)


READERS = {"seg": hd.seg.segread, "ann": hd.ann.annread, "sr": hd.sr.srread}


@pytest.mark.parametrize(
    "sample", [one for one in SAMPLES if "sm_image" not in one.split("/")[-1][:8]]
)
def test_highdicom_reads_a_real_object_that_was_de_identified(shared_data, tmp_path, sample):
    _, made = deidentified([shared_data / sample], tmp_path)
    [(name, path)] = made.items()
    read = READERS[name.split("-")[0]](path)
    assert str(read.PatientIdentityRemoved) == "YES"
    if name.startswith("seg"):
        before = hd.seg.segread(shared_data / sample)
        assert read.segment_numbers == before.segment_numbers
        assert read.number_of_segments == before.number_of_segments


def test_a_report_that_names_the_maker_of_its_device_passes_the_gate(tmp_path):
    slide = slide_without_label()
    slide.Manufacturer = "Leica Biosystems"
    objects = objects_of(slide)
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid="1.2.826.0.1.9.40",
        name="desk of Mrs. Doe",
        manufacturer_name="Leica Biosystems",
        model_name="Aperio GT 450 DX",
        serial_number="SN-8810",
    )
    observer = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device, observer_identifying_attributes=device
    )
    objects["sr"].ContentSequence = [*observer, *objects["sr"].ContentSequence]
    _, made = deidentified(save_all(slide, objects, tmp_path), tmp_path)
    content = made["sr-00.dcm"].read_bytes()
    assert b"Leica Biosystems" in content
    assert b"Aperio GT 450 DX" in content
    assert b"Doe" not in content
    assert b"SN-8810" not in content


@pytest.mark.parametrize(
    "text", [b"Mrs. Jane Doe", b"Mrs. Jane Doe of Ward 7, born on 2 January 1950"]
)
def test_a_text_in_the_place_of_coordinates_goes(tmp_path, text):
    slide = slide_without_label()
    annotations = annotations_of(slide)
    group = annotations.AnnotationGroupSequence[0]
    points = group.PointCoordinatesData
    padded = text + b"\0" * (-len(text) % 4)
    group.PointCoordinatesData = padded if len(text) < 32 else points + padded + points
    save(annotations, tmp_path / "ann.dcm")
    _, made = deidentified([tmp_path / "ann.dcm"], tmp_path)
    content = made["ann-00.dcm"].read_bytes()
    assert text not in content
    kept = pydicom.dcmread(BytesIO(content)).AnnotationGroupSequence[1]
    assert kept.PointCoordinatesData == points

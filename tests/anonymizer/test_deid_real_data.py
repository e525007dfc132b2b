"""Real and awkward slides: each is de-identified, or refused with one of our sentences."""

import io
import re
import subprocess

import cv2
import numpy as np
import pydicom
import pytest
import wsidicom
from PIL import Image
from pydicom.encaps import generate_frames

from anonymizer.deidentify.many import deidentify_folder
from anonymizer.deidentify.method import Method
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.quiet import quiet_pydicom
from appliance.errors import RejectedError

METHOD = Method(pseudonyms=Pseudonyms(bytes(range(32))))
WHOLE = (
    "cmu_half_j2k_lossless",
    "cmu_half_jpegls_lossless",
    "cmu_jpeg_concatenated3",
    "cmu_jpeg_native_bot",
    "cmu_jpeg_tiled_sparse",
    "cmu_jpeg_ybr422_512",
    "cmu_synthetic_phi",
    "quirk_j2k_frames_labelled_jpeg_baseline",
    "quirk_wsidicomizer_undersized_edge_frames",
    "tcga_cr_j2k_native",
    "tcga_xk_pen_synthetic_phi",
)
UNREADABLE_HERE = ("cmu_half_htj2k_lossless", "cmu_half_rle", "cmu_htj2k_lossy")
"""wsidicom opens neither the originals nor what comes out of them."""


def sorted_by_size(folder):
    """VOLUME files with their headers, by matrix, part and name of the frames' bytes."""
    found = []
    for path in folder.rglob("*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        if header.ImageType[2] == "VOLUME":
            part = header.get("InConcatenationNumber", 0)
            found.append((-header.TotalPixelMatrixColumns, part, path))
    return [path for _, _, path in sorted(found)]


def frames(path):
    """About six frames of an instance, encoded."""
    data_set = pydicom.dcmread(path)
    count = int(data_set.NumberOfFrames)
    return list(generate_frames(data_set.PixelData, number_of_frames=count))[:: 1 + count // 6]


def pixels(frame):
    """Decode in two decoders; None where one of them does not know the format."""
    first = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
    try:
        second = np.asarray(Image.open(io.BytesIO(frame)))
    except OSError:
        second = None
    return first, second


def errors(dciodvfy, folder):
    """Errors of dciodvfy without the values in them."""
    found = set()
    for path in folder.rglob("*.dcm"):
        result = subprocess.run([dciodvfy, path], capture_output=True, text=True, check=False)
        lines = [line for line in result.stderr.splitlines() if line.startswith("Error")]
        found |= {re.sub(r"[<\[][\d.]{9,}[>\]]", "", line) for line in lines}
    return found


@pytest.mark.parametrize("name", WHOLE + UNREADABLE_HERE)
def test_a_real_slide_keeps_its_pixels_and_gains_no_error(
    shared_data, require_tool, tmp_path, name
):
    source = shared_data / "dicom_converted" / name
    [result] = deidentify_folder(source, tmp_path, METHOD)
    assert result.report is not None, result.sentence
    before, after = sorted_by_size(source), sorted_by_size(tmp_path)
    assert len(before) == len(after) > 0
    for one, other in zip(before, after, strict=True):
        for old, new in zip(frames(one), frames(other), strict=True):
            for first, second in zip(pixels(old), pixels(new), strict=True):
                assert np.array_equal(first, second)
    dciodvfy = require_tool("dciodvfy")
    assert errors(dciodvfy, tmp_path) <= errors(dciodvfy, source)


@pytest.mark.parametrize("name", WHOLE)
def test_wsidicom_opens_what_comes_out(shared_data, tmp_path, name):
    [result] = deidentify_folder(shared_data / "dicom_converted" / name, tmp_path, METHOD)
    with wsidicom.WsiDicom.open(result.folder) as slide:
        level = slide.levels[-1].level
        assert slide.read_region((0, 0), level, (32, 32)).size == (32, 32)


@pytest.mark.parametrize("name", ["cmu_synthetic_phi", "tcga_xk_pen_synthetic_phi"])
def test_no_identifying_text_of_a_slide_with_invented_patients_is_left(shared_data, tmp_path, name):
    source = shared_data / "dicom_converted" / name
    deidentify_folder(source, tmp_path, METHOD)
    header = pydicom.dcmread(sorted_by_size(source)[0], stop_before_pixels=True)
    words = [str(header[key].value) for key in ("PatientID", "AccessionNumber")]
    words += [*str(header.PatientName).split("^"), str(header.StudyInstanceUID)]
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*.dcm"))
    assert len(words) > 4
    assert not [word for word in words if word.encode() in written]


@pytest.mark.parametrize("folder", ["dicom", "dicom_converted", "deid"])
def test_everything_else_is_de_identified_or_refused_with_our_sentence(
    shared_data, tmp_path, folder
):
    with quiet_pydicom():
        results = deidentify_folder(shared_data / folder, tmp_path, METHOD)
    assert any(result.report is not None for result in results)
    for result in results:
        assert result.report is not None or isinstance(result.error, RejectedError)

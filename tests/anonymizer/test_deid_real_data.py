"""Real and awkward slides: each is de-identified, or refused with one of our sentences."""

import io
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import highdicom as hd
import numpy as np
import openslide
import pydicom
import pytest
import wsidicom
from PIL import Image
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError

from anonymizer.deidentify.many import Result, deidentify_folder
from anonymizer.deidentify.method import Method
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.quiet import quiet_pydicom
from appliance.errors import RejectedError

METHOD = Method(pseudonyms=Pseudonyms(bytes(range(32))))
WHOLE = (
    "cmu_half_htj2k_lossless",
    "cmu_half_j2k_lossless",
    "cmu_half_jpegls_lossless",
    "cmu_half_rle",
    "cmu_htj2k_lossy",
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
BELIED = "quirk_j2k_frames_labelled_jpeg_baseline"
"""wsidicom believes the header and reads neither the original nor what comes out of it."""
UNKNOWN_TO_OPENSLIDE = ("htj2k", "jpegls", "rle", "quirk_j2k")
"""What OpenSlide opens neither before nor after."""
READERS = {"SEG": hd.seg.segread, "SR": hd.sr.srread, "ANN": hd.ann.annread}
"""highdicom's own, by modality; every other object is an image."""


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


@dataclass(frozen=True)
class Made:
    """What came out of one input set."""

    source: Path
    target: Path
    results: list[Result]

    def slide(self) -> Path:
        [result] = self.results
        assert result.folder is not None, result.sentence
        return result.folder


@pytest.fixture(scope="session")
def made(shared_data, tmp_path_factory):
    """De-identify an input set once, for every test that reads it."""

    @cache
    def make(name: str) -> Made:
        source, target = shared_data / name, tmp_path_factory.mktemp("deid")
        with quiet_pydicom():
            return Made(source, target, deidentify_folder(source, target, METHOD))

    return make


@pytest.mark.parametrize("name", WHOLE)
def test_a_real_slide_keeps_its_pixels_and_gains_no_error(made, require_tool, name):
    one = made(f"dicom_converted/{name}")
    source, target = one.source, one.slide()
    before, after = sorted_by_size(source), sorted_by_size(target)
    assert len(before) == len(after) > 0
    for one, other in zip(before, after, strict=True):
        for old, new in zip(frames(one), frames(other), strict=True):
            for first, second in zip(pixels(old), pixels(new), strict=True):
                assert np.array_equal(first, second)
    dciodvfy = require_tool("dciodvfy")
    assert errors(dciodvfy, target) <= errors(dciodvfy, source)


@pytest.mark.parametrize("name", [name for name in WHOLE if name != BELIED])
def test_wsidicom_opens_what_comes_out(made, name):
    with wsidicom.WsiDicom.open(made(f"dicom_converted/{name}").slide()) as slide:
        level = slide.levels[-1].level
        assert slide.read_region((0, 0), level, (32, 32)).size == (32, 32)


@pytest.mark.parametrize("name", ["cmu_synthetic_phi", "tcga_xk_pen_synthetic_phi"])
def test_no_identifying_text_of_a_slide_with_invented_patients_is_left(made, name):
    one = made(f"dicom_converted/{name}")
    header = pydicom.dcmread(sorted_by_size(one.source)[0], stop_before_pixels=True)
    words = [str(header[key].value) for key in ("PatientID", "AccessionNumber")]
    words += [*str(header.PatientName).split("^"), str(header.StudyInstanceUID)]
    written = b"".join(path.read_bytes() for path in one.target.rglob("*.dcm"))
    assert len(words) > 4
    assert not [word for word in words if word.encode() in written]


SETS = (*(f"dicom_converted/{name}" for name in WHOLE), "dicom", "deid")


@pytest.mark.parametrize("name", ["dicom", "deid"])
def test_everything_is_de_identified_or_refused_with_our_sentence(made, name):
    results = made(name).results
    assert any(result.report is not None for result in results)
    for result in results:
        assert result.report is not None or isinstance(result.error, RejectedError)


@pytest.mark.parametrize("name", SETS)
def test_pydicom_highdicom_and_dcmtk_read_what_comes_out(made, require_tool, name):
    one = made(name)
    files = sorted(one.target.rglob("*.dcm"))
    assert files
    for path in files:
        assert pydicom.dcmread(path).PatientIdentityRemoved == "YES"
    done = subprocess.run(
        [require_tool("dcmdump"), "-q", *files], stdout=subprocess.DEVNULL, stderr=-1, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    refused = [path for path in files if not opens_in_highdicom(path)]
    before = [path for path in one.source.rglob("*") if path.is_file()]
    assert refused == [] or len(refused) <= sum(not opens_in_highdicom(path) for path in before)


def opens_in_highdicom(path):
    """Whether highdicom takes an object; it wants attributes that some real inputs lack."""
    with quiet_pydicom():
        try:
            modality = pydicom.dcmread(path, stop_before_pixels=True).get("Modality")
            READERS.get(modality, hd.imread)(path)
        except (
            AttributeError,
            InvalidDicomError,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
        ):
            return False
    return True


@pytest.mark.parametrize("name", SETS[:-2])
def test_openslide_sees_the_same_slide_as_before_where_it_knows_the_syntax(made, name):
    one = made(name)
    before, after = (seen_by_openslide(one) for one in (one.source, one.slide()))
    assert before == after
    assert (before is None) == any(word in name for word in UNKNOWN_TO_OPENSLIDE)


def seen_by_openslide(folder):
    """Sizes of the levels, and pixels of the coarsest; None when it does not open the slide."""
    path = sorted_by_size(folder)[0]
    try:
        with openslide.OpenSlide(path) as slide:
            last = slide.level_count - 1
            region = slide.read_region((0, 0), last, slide.level_dimensions[last])
            return slide.level_dimensions, region.tobytes()
    except openslide.OpenSlideError:
        return None

"""Every way in which slides store their pixels comes out right, and nothing else with it."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.pixels import copying, pipe
from anonymizer.pixels.codestream import strip
from anonymizer.pseudonyms import Pseudonyms
from appliance.errors import InvalidInstance

SIDE_PX = 16
N_FRAMES = 4
NOTE = b"JANE^DOE"
PSEUDONYMS = Pseudonyms(bytes(range(32)))


def header(photometric="RGB"):
    made = pydicom.Dataset()
    made.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    made.SOPInstanceUID = "1.2.3.4"
    made.StudyInstanceUID = "1.2.3"
    made.PatientID = "4711-0815"
    made.SamplesPerPixel = 3
    made.PhotometricInterpretation = photometric
    made.PlanarConfiguration = 0
    made.NumberOfFrames = N_FRAMES
    made.Rows = made.Columns = SIDE_PX
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit = 7
    made.PixelRepresentation = 0
    made.SpecimenLabelInImage = "NO"
    made.TotalPixelMatrixRows = made.TotalPixelMatrixColumns = 2 * SIDE_PX
    return made


def write(path, data_set, syntax):
    data_set.file_meta = pydicom.dataset.FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    if syntax.is_encapsulated:
        data_set["PixelData"].is_undefined_length = True
        data_set["PixelData"].VR = "OB"
    data_set.save_as(path, enforce_file_format=True)
    return path


def deidentified(source, tmp_path):
    (tmp_path / "out").mkdir()
    deidentify_slide([source], tmp_path / "out", Method(pseudonyms=PSEUDONYMS))
    return pydicom.dcmread(tmp_path / "out" / "volume-00.dcm")


def noise(seed=1):
    shape = (N_FRAMES, SIDE_PX, SIDE_PX, 3)
    return np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def jpegs():
    """Frames of uneven length, each with a comment."""
    import cv2

    frames = []
    for picture in noise():
        encoded = cv2.imencode(".jpg", picture)[1].tobytes()
        frames.append(encoded[:2] + b"\xff\xfe\x00\x0a" + NOTE + encoded[2:])
    return frames


def frames_of(made):
    frames = list(generate_frames(made.PixelData, number_of_frames=N_FRAMES))
    return [frame.removesuffix(b"\0") for frame in frames]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_native_pixels_are_copied_without_what_is_hidden_behind_them(tmp_path, syntax):
    made = header()
    made.PixelData = noise().tobytes() + NOTE * 2
    made["PixelData"].VR = "OB"
    made.add_new(0xFFFCFFFC, "OB", NOTE)
    result = deidentified(write(tmp_path / "in.dcm", made, syntax), tmp_path)
    assert result.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert result.PixelData == noise().tobytes()
    assert NOTE not in (tmp_path / "out" / "volume-00.dcm").read_bytes()


def test_too_few_native_pixels_are_refused(tmp_path):
    made = header()
    made.PixelData = noise().tobytes()[:-2]
    made["PixelData"].VR = "OB"
    with pytest.raises(InvalidInstance, match="fewer pixels"):
        deidentified(write(tmp_path / "in.dcm", made, ExplicitVRLittleEndian), tmp_path)


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize("fragments", [1, 3])
def test_frames_in_several_fragments_come_out_in_one_with_a_table(
    tmp_path, jpegs, has_table, fragments
):
    made = header("YBR_FULL_422")
    made.PixelData = encapsulate(jpegs, fragments_per_frame=fragments, has_bot=has_table)
    result = deidentified(write(tmp_path / "in.dcm", made, JPEGBaseline8Bit), tmp_path)
    assert frames_of(result) == [strip(frame) for frame in jpegs]
    table = struct.unpack_from("<4I", result.PixelData, 8)
    assert table[0] == 0
    assert list(table) == sorted(set(table))
    assert NOTE not in result.PixelData


def test_an_extended_offset_table_is_made_anew(tmp_path, jpegs):
    made = header("YBR_FULL_422")
    made.PixelData, made.ExtendedOffsetTable, made.ExtendedOffsetTableLengths = (
        encapsulate_extended(jpegs)
    )
    result = deidentified(write(tmp_path / "in.dcm", made, JPEGBaseline8Bit), tmp_path)
    offsets = struct.unpack("<4Q", result.ExtendedOffsetTable)
    lengths = struct.unpack("<4Q", result.ExtendedOffsetTableLengths)
    first = 8 + 8  # the empty basic offset table, and the first item's own head
    for frame, offset, length in zip(jpegs, offsets, lengths, strict=True):
        start = first + offset
        assert result.PixelData[start : start + length] == strip(frame)


@pytest.mark.parametrize("behind", [b"", NOTE, b"\0\0", b"\xff\xd9"])
@pytest.mark.parametrize("stripped", [True, False])
def test_what_stands_behind_a_frame_goes_and_its_neighbours_stay(tmp_path, jpegs, behind, stripped):
    frames = [strip(frame) if stripped else frame for frame in jpegs]
    frames[1] += behind
    made = header("YBR_FULL_422")
    made.PixelData = encapsulate(frames)
    result = deidentified(write(tmp_path / "in.dcm", made, JPEGBaseline8Bit), tmp_path)
    assert frames_of(result) == [strip(frame) for frame in jpegs]
    assert NOTE not in result.PixelData


def test_clean_frames_come_out_byte_for_byte(tmp_path, jpegs):
    made = header("YBR_FULL_422")
    made.PixelData = encapsulate([strip(frame) for frame in jpegs])
    result = deidentified(write(tmp_path / "in.dcm", made, JPEGBaseline8Bit), tmp_path)
    assert result.PixelData == made.PixelData


@pytest.mark.parametrize("table", [(0, 0, 0, 0), (0, 5, 9, 99), (4, 8, 12, 16)])
def test_a_wrong_offset_table_is_not_believed_when_every_frame_has_a_fragment(
    tmp_path, jpegs, table
):
    made = header("YBR_FULL_422")
    good = encapsulate(jpegs)
    made.PixelData = good[:8] + struct.pack("<4I", *table) + good[24:]
    result = deidentified(write(tmp_path / "in.dcm", made, JPEGBaseline8Bit), tmp_path)
    assert frames_of(result) == [strip(frame) for frame in jpegs]


def test_bytes_between_the_fragments_are_refused(tmp_path, jpegs):
    made = header("YBR_FULL_422")
    good = encapsulate(jpegs)
    second = struct.unpack_from("<I", good, 12)[0] + 24
    made.PixelData = good[:second] + NOTE + good[second:]
    with pytest.raises(InvalidInstance, match="damaged"):
        deidentified(write(tmp_path / "in.dcm", made, JPEGBaseline8Bit), tmp_path)


def test_frames_larger_than_a_block_and_many_small_ones_come_out_right(
    tmp_path, jpegs, monkeypatch
):
    size = len(jpegs[0])
    for block_bytes in (64, size - 20, size + 8, 2 * size):
        monkeypatch.setattr(copying, "BLOCK_BYTES", block_bytes)
        monkeypatch.setattr(pipe, "BLOCK_BYTES", block_bytes)
        folder = tmp_path / str(block_bytes)
        folder.mkdir()
        made = header("YBR_FULL_422")
        made.PixelData = encapsulate(jpegs)
        result = deidentified(write(folder / "in.dcm", made, JPEGBaseline8Bit), folder)
        assert frames_of(result) == [strip(frame) for frame in jpegs]


_CHILD = """
import sys
from pathlib import Path
from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.pseudonyms import Pseudonyms
method = Method(pseudonyms=Pseudonyms(bytes(range(32))))
for name in sys.argv[1:]:
    out = Path(name).with_suffix("")
    out.mkdir()
    deidentify_slide([Path(name)], out, method)
    status = Path("/proc/self/status").read_text().splitlines()
    print(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
"""


def test_memory_does_not_grow_with_the_instance(tmp_path, jpegs):
    names = []
    for number, count in enumerate((100, 100_000)):
        made = header("YBR_FULL_422")
        made.NumberOfFrames = count
        made.TotalPixelMatrixColumns = SIDE_PX * count // 100
        made.TotalPixelMatrixRows = SIDE_PX * 100
        frames = [strip(frame) for frame in jpegs]
        padded = [frame[:2] + b"\xff\xfe\x03\xe8" + bytes(998) + frame[2:] for frame in frames]
        made.PixelData = encapsulate([padded[n % 4] for n in range(count)], has_bot=False)
        path = write(tmp_path / f"{number}.dcm", made, JPEGBaseline8Bit)
        names.append(str(path))
    assert Path(names[1]).stat().st_size > 150 << 20
    ended = subprocess.run(
        [sys.executable, "-c", _CHILD, *names], capture_output=True, text=True, check=True
    )
    small_kib, large_kib = map(int, ended.stdout.split())
    assert large_kib - small_kib < 40 << 10
    assert (tmp_path / "1" / "volume-00.dcm").stat().st_size < 150 << 20


def test_rle_frames_are_copied(tmp_path):
    made = header()
    made.PixelData = noise().tobytes()
    made["PixelData"].VR = "OB"
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.compress(RLELossless, generate_instance_uid=False)
    result = deidentified(write(tmp_path / "in.dcm", made, RLELossless), tmp_path)
    assert np.array_equal(result.pixel_array, noise())


def test_a_video_is_refused(tmp_path, jpegs):
    made = header("YBR_FULL_422")
    made.PixelData = encapsulate(jpegs)
    syntax = pydicom.uid.MPEG2MPML
    with pytest.raises(InvalidInstance, match="compressed"):
        deidentified(write(tmp_path / "in.dcm", made, syntax), tmp_path)

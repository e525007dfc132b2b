"""Bytes of the input are found wherever they stand in an output, and nothing else is."""

import struct

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from anonymizer.gate import frames_of_file
from anonymizer.gate.frames_of_file import check_pixels
from anonymizer.gate.search import Search
from anonymizer.gate.sought import Needles, Origin
from appliance.errors import IdentityDoubt

ORIGIN = Origin("PatientName", "E.1-1 Z")
BLOCK_BYTES = 64
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "latin-1")
JPEG_START = b"\xff\xd8\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"


def noise(size, seed=1):
    """Bytes of which none makes a marker, as if entropy-coded."""
    return np.random.default_rng(seed).bytes(size).replace(b"\xff", b"\x7f")


def described(syntax, **values):
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.6", "2.25.1"
    for name, value in values.items():
        setattr(made, name, value)
    return made


def write_frames(path, frames, table=None, behind=b""):
    """Write frames as the appliance does; give where Pixel Data starts."""
    padded = [one + b"\0" * (len(one) % 2) for one in frames]
    pydicom.dcmwrite(
        path, described(JPEGBaseline8Bit, NumberOfFrames=len(frames)), enforce_file_format=True
    )
    pixels = path.stat().st_size
    offsets = [sum(8 + len(one) for one in padded[:number]) for number in range(len(padded))]
    table = struct.pack(f"<{len(frames)}I", *offsets) if table is None else table
    with path.open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff")
        for item in (table, *padded):
            file.write(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item)
        file.write(b"\xfe\xff\xdd\xe0\x00\x00\x00\x00" + behind)
    return pixels


def write_native(path, pixel_bytes):
    rows = len(pixel_bytes) // 2
    values = {"Rows": rows, "Columns": 2, "SamplesPerPixel": 1, "BitsAllocated": 8}
    made = described(ExplicitVRLittleEndian, PhotometricInterpretation="MONOCHROME2", **values)
    pydicom.dcmwrite(path, made, enforce_file_format=True)
    pixels = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OB\x00\x00" + struct.pack("<I", len(pixel_bytes)))
        file.write(pixel_bytes)
    return pixels


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    """Blocks so small that every file has many borders."""
    before, frames_of_file._BLOCK_BYTES = frames_of_file._BLOCK_BYTES, BLOCK_BYTES
    yield
    frames_of_file._BLOCK_BYTES = before


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_value_is_found_at_every_offset_across_every_border(tmp_path, encoding):
    needle = "Müllerstraße".encode(encoding)
    needles = Needles(patterns={needle: ORIGIN})
    clean = noise(3 * BLOCK_BYTES)
    for offset in range(0, len(clean) - len(needle), 3):
        planted = clean[:offset] + needle + clean[offset + len(needle) :]
        pixels = write_native(tmp_path / "out.dcm", planted)
        with pytest.raises(IdentityDoubt, match="PatientName"):
            check_pixels(tmp_path / "out.dcm", pixels, needles)
    pixels = write_native(tmp_path / "out.dcm", clean)
    check_pixels(tmp_path / "out.dcm", pixels, needles)


@given(offset=st.integers(0, 150), sizes=st.lists(st.integers(0, 120), min_size=1, max_size=6))
def test_a_value_is_found_in_any_frame_and_never_named(tmp_path_factory, offset, sizes):
    path = tmp_path_factory.mktemp("frames") / "out.dcm"
    frames = [JPEG_START + noise(size, seed) + b"\xff\xd9" for seed, size in enumerate(sizes)]
    needles = Needles(patterns={b"4711-0815": ORIGIN, b"Doe-John": ORIGIN})
    check_pixels(path, write_frames(path, frames), needles)
    for number, frame in enumerate(frames):
        place = len(JPEG_START) + offset % (len(frame) - len(JPEG_START) - 1)
        planted = list(frames)
        planted[number] = frame[:place] + b"dOE-jOHN" + frame[place:]
        with pytest.raises(IdentityDoubt, match="PatientName") as caught:
            check_pixels(path, write_frames(path, planted), needles)
        assert "doe" not in str(caught.value).lower()


def test_random_bytes_hold_none_of_many_values():
    chars = "abcdefghijklmnopqrstuvwxyz0123456789"
    chosen = np.random.default_rng(2)
    patterns = {
        "".join(chosen.choice(list(chars), chosen.integers(6, 20))).encode() for _ in range(2000)
    }
    scanner = Search(patterns).in_pixels(is_native=False)
    assert not scanner.first(chosen.bytes(16 << 20))


def test_short_values_count_as_spelled_and_longer_ones_in_any_case():
    scanner = Search([b"Miller", b"Millerson", b"Doe"]).in_pixels(is_native=False)
    assert scanner.first(b"..MILLER..Miller..") == b"Miller"
    assert scanner.first(b"..MILLER..") is None
    assert scanner.first(b"..MILLERSON..") == b"Millerson"
    assert scanner.first(b"..Doe..") is None


def test_what_flat_areas_are_made_of_counts_in_headers_only():
    flat = (b"0000000000000", b"121212121212", b"\0J" * 6)
    area = b"0" * 100 + b"12" * 100 + b"\0J" * 99
    search = Search(flat)
    assert search.in_pixels(is_native=True).first(area) is None
    assert search.in_pixels(is_native=False).first(area) is None
    assert {pattern for pattern, _ in search.in_header(area)} == set(flat)


def test_pixels_that_are_not_compressed_are_searched_for_longer_values():
    search = Search([b"4711-0815", b"4711-08155"])
    assert search.in_pixels(is_native=True).first(b"..4711-0815..") is None
    assert search.in_pixels(is_native=True).first(b"..4711-08155..") == b"4711-08155"
    assert search.in_pixels(is_native=False).first(b"..4711-0815..") == b"4711-0815"


@given(
    st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20, unique=True),
    st.binary(max_size=50),
    st.data(),
)
def test_a_search_finds_what_find_finds(patterns, before, data):
    chosen = data.draw(st.sampled_from(patterns))
    text = before + chosen + before
    found = {(pattern[:200], start) for pattern, start in Search(patterns).in_header(text)}
    assert any(start == len(before) for _, start in found)
    for pattern, start in found:
        assert text[start : start + len(pattern)].lower() == pattern.lower()


def test_no_patterns_find_nothing():
    search = Search([])
    assert list(search.in_header(b"anything")) == []
    assert search.in_pixels(is_native=False).first(b"anything") is None


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"\xff\xd8\xff\xfe\x00\x06note" + JPEG_START[2:] + b"abc\xff\xd9", "comment"),
        (b"\xff\xd8\xff\xe1\x00\x06note" + JPEG_START[2:] + b"abc\xff\xd9", "comment"),
        (b"\xff\xd8\xff\xe0\x00\x0bJFIF\0note" + JPEG_START[2:] + b"abc\xff\xd9", "comment"),
        (JPEG_START + b"abc\xff\xfe\x00\x06note\xff\xd9", "comment"),
        (JPEG_START + b"abc\xff\xd9note", "end where"),
        (JPEG_START + b"abc\xff\xd9\xff\xd9\0\0", "end where"),
        (JPEG_START + b"abc", "end where"),
        (b"note", "cannot be read"),
        (b"\xff\x4f\xff\x51\x00\x04ab\xff\x64\x00\x06note\xff\x90\x00\x0a" + bytes(8), "comment"),
    ],
)
def test_a_frame_that_holds_more_than_pixels_is_doubted(tmp_path, frame, words):
    good = JPEG_START + b"abc\xff\xd9"
    pixels = write_frames(tmp_path / "out.dcm", [good, frame, good])
    with pytest.raises(IdentityDoubt, match=words):
        check_pixels(tmp_path / "out.dcm", pixels, Needles())


@pytest.mark.parametrize(
    "table", [b"", bytes(12), struct.pack("<3I", 0, 30, 52), struct.pack("<3I", 0, 24, 44)]
)
def test_a_wrong_offset_table_is_doubted(tmp_path, table):
    frames = [JPEG_START + b"abc" * number + b"\xff\xd9" for number in range(3)]
    check_pixels(tmp_path / "out.dcm", write_frames(tmp_path / "out.dcm", frames), Needles())
    pixels = write_frames(tmp_path / "out.dcm", frames, table)
    with pytest.raises(IdentityDoubt, match="offset table"):
        check_pixels(tmp_path / "out.dcm", pixels, Needles())


def test_bytes_behind_the_pixels_are_doubted(tmp_path):
    frames = [JPEG_START + b"abcd\xff\xd9"]
    pixels = write_frames(tmp_path / "out.dcm", frames, behind=b"note")
    with pytest.raises(IdentityDoubt):
        check_pixels(tmp_path / "out.dcm", pixels, Needles())
    pixels = write_native(tmp_path / "out.dcm", noise(100))
    with (tmp_path / "out.dcm").open("ab") as file:
        file.write(b"note")
    with pytest.raises(IdentityDoubt, match="behind"):
        check_pixels(tmp_path / "out.dcm", pixels, Needles())

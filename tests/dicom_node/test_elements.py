"""The pixel data is found where pydicom finds it, whatever nests before it."""

import struct
import warnings
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_partial
from pydicom.filewriter import write_dataset

from appliance.errors import InvalidInstance
from dicom_node.elements import find
from dicom_node.headers import read_header

PIXELS = frozenset({0x7FE00010})


def test_the_pixels_of_every_real_file_are_found_where_pydicom_finds_them(
    shared_data: Path,
) -> None:
    n_files = 0
    for path in sorted((shared_data / "dicom_converted").rglob("*.dcm")):
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_partial(file, stop_when=lambda tag, _vr, _length: tag in PIXELS)
            assert read_header(path).pixels_at_bytes == file.tell(), path.name
        n_files += 1
    assert n_files > 50


def nested(depth: int) -> st.SearchStrategy[Dataset]:
    values = st.fixed_dictionaries(
        {"PatientID": st.text("AB", max_size=9), "Rows": st.integers(0, 65_535)}
    )
    if depth == 0:
        return values.map(_dataset)
    below = st.lists(nested(depth - 1), max_size=3)
    return st.tuples(values, below, st.booleans(), st.booleans()).map(_sequence)


def _dataset(values: dict[str, object]) -> Dataset:
    one = Dataset()
    for keyword, value in values.items():
        setattr(one, keyword, value)
    return one


def _sequence(drawn: tuple[dict[str, object], list[Dataset], bool, bool]) -> Dataset:
    values, items, endless_sequence, endless_items = drawn
    one = _dataset(values)
    for item in items:
        item.is_undefined_length_sequence_item = endless_items
    one.ReferencedSeriesSequence = items
    one["ReferencedSeriesSequence"].is_undefined_length = endless_sequence
    return one


@settings(max_examples=150, deadline=None)
@given(dataset=nested(4), is_implicit=st.booleans())
def test_sequences_with_and_without_lengths_are_walked_through(
    *, dataset: Dataset, is_implicit: bool
) -> None:
    content = DicomBytesIO()
    content.is_little_endian, content.is_implicit_VR = True, is_implicit
    write_dataset(content, dataset)
    before = content.getvalue()
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0)
    assert find(BytesIO(before + pixels), PIXELS, is_implicit=is_implicit) == len(before)
    assert find(BytesIO(before), PIXELS, is_implicit=is_implicit) is None


def test_an_unknown_sequence_is_implicit_inside() -> None:
    inside = struct.pack("<HHI", 0x0008, 0x0018, 6) + b"1.2.3\0"
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inside + _end(0xE00D)
    unknown = struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF) + item + _end(0xE0DD)
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0)
    assert find(BytesIO(unknown + pixels), PIXELS, is_implicit=False) == len(unknown)


def test_an_end_without_a_beginning_is_no_data_set() -> None:
    with pytest.raises(InvalidInstance, match="did not begin"):
        find(BytesIO(_end(0xE0DD)), PIXELS, is_implicit=False)


def _end(number: int) -> bytes:
    return struct.pack("<HHI", 0xFFFE, number, 0)

"""The one door to pydicom for received files: what the node needs to know of an instance.

pydicom's messages contain attribute values, so none of them gets past this module.
"""

import math
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import UID

from appliance.errors import InvalidInstance
from dicom_node.elements import find

_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_FRAME_GROUPS: Final = 0x52009230
"""Per-frame Functional Groups Sequence: nothing that is needed here follows it but the pixels."""
_LARGEST_ELEMENT_BYTES: Final = 512 << 20
"""No element of the header is larger."""
_LARGEST_READ_BYTES: Final = 1 << 20
"""Larger values, which nothing here needs, stay in the file."""
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = b"\xfe\xff\x00\xe0"
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0"
_ELEMENT_HEADER_BYTES: Final = 8
_LONG_VRS: Final = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV"})
_FOREIGN: Final = (
    InvalidDicomError, BytesLengthException, AttributeError, EOFError, KeyError, IndexError,
    NotImplementedError, OverflowError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip
"""What pydicom raises on damaged input."""

_TILED_FULL: Final = "TILED_FULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """What grouping and completeness need to know of one instance. It holds identity."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str | None = None
    container_identifier: str | None = None
    container_issuer: str | None = None
    flavour: str = "OTHER"
    """Image Type value 3: VOLUME, LABEL, OVERVIEW, THUMBNAIL, LOCALIZER; else OTHER."""
    is_resampled: bool = False
    """Image Type value 4 is RESAMPLED: made from a finer level."""
    acquired: str | None = None
    """Acquisition DateTime as it is written, for telling scans of one container apart."""
    concatenation_uid: str | None = None
    part: int | None = None
    """In-concatenation Number, from 1."""
    parts: int | None = None
    """In-concatenation Total Number; None when the scanner does not say."""
    n_frames: int = 1
    n_frames_expected: int | None = None
    """Frames that the whole (concatenated) matrix has; None where the header cannot tell."""
    rows_px: int = 0
    columns_px: int = 0
    """Total pixel matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """An instance's header, and where in its file the pixel data element starts."""

    instance: Instance
    dataset: Dataset
    pixels_at_bytes: int | None


def read_header(path: Path) -> Header:
    """Read everything before the pixel data.

    Raises
    ------
    InvalidInstance
        It is no DICOM file, or lacks what every instance must have.
    """
    stopped_at: int | None = None
    is_implicit: bool | None = None

    def at_bulk(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal stopped_at, is_implicit
        is_implicit = vr is None
        if tag in _PIXELS or tag == _FRAME_GROUPS:
            stopped_at = tag
            return True
        if _LARGEST_ELEMENT_BYTES < length < _UNDEFINED:
            raise InvalidInstance("The object's header announces an element of impossible length.")
        return False

    with path.open("rb") as file, pydicom_door():
        dataset = read_partial(file, stop_when=at_bulk, defer_size=_LARGEST_READ_BYTES)
        instance = _instance(dataset, has_frame_groups=stopped_at == _FRAME_GROUPS)
        pixels_at_bytes = find(file, _PIXELS, is_implicit=bool(is_implicit)) if stopped_at else None
        if is_implicit != UID(instance.transfer_syntax_uid).is_implicit_VR:  # pydicom would guess
            raise InvalidInstance("The object is not encoded as its transfer syntax says.")
    return Header(instance=instance, dataset=dataset, pixels_at_bytes=pixels_at_bytes)


def peek(path: Path) -> Instance | None:
    """Read a file that is still being received; None until its header is there whole."""
    try:
        header = read_header(path)
    except (InvalidInstance, FileNotFoundError):
        return None
    return header.instance if header.pixels_at_bytes is not None else None


def check_content(path: Path, header: Header) -> None:
    """Check that the file holds all the pixel data that its header announces.

    Encapsulated pixel data must close with its delimiter and hold at least one fragment a frame;
    native pixel data must have the length that rows, columns, samples and frames give
    (PS3.5 A.4, PS3.3 C.7.6.3).

    Raises
    ------
    InvalidInstance
        It was cut off, or does not hold what it says.
    """
    if header.pixels_at_bytes is None:
        raise InvalidInstance("The object holds no pixel data.")
    with path.open("rb") as file, pydicom_door():
        size_bytes = os.fstat(file.fileno()).st_size
        file.seek(header.pixels_at_bytes)
        length = _pixels_length(file)
        if length == _UNDEFINED:
            if _count_fragments(file, size_bytes) < header.instance.n_frames:
                raise InvalidInstance("The object holds fewer frames than its header says.")
        elif file.tell() + length > size_bytes or length < _native_bytes(header):
            raise InvalidInstance("The object was cut off before the end of its pixel data.")


def read_datasets(paths: Sequence[Path]) -> list[Dataset]:
    """Read the headers of several files.

    Raises
    ------
    InvalidInstance
        One of them cannot be read.
    """
    with pydicom_door():
        return [dcmread(path, stop_before_pixels=True) for path in paths]


@contextmanager
def pydicom_door() -> Iterator[None]:
    """Run pydicom code; nothing that it says about the content goes out."""
    try:
        yield
    except _FOREIGN as error:
        raise InvalidInstance("The object cannot be read as DICOM.") from error
    except OSError as error:
        if error.errno is not None:  # of the disk; pydicom's own have no number
            raise
        raise InvalidInstance("The object cannot be read as DICOM.") from error


def _instance(dataset: Dataset, *, has_frame_groups: bool) -> Instance:
    rows_px, columns_px = (
        _number(dataset, "TotalPixelMatrixRows"),
        _number(dataset, "TotalPixelMatrixColumns"),
    )
    image_type = dataset.get("ImageType")
    values = list(image_type) if isinstance(image_type, MultiValue) else [image_type]
    return Instance(
        sop_instance_uid=_needed(dataset, "SOPInstanceUID"),
        sop_class_uid=_needed(dataset, "SOPClassUID"),
        transfer_syntax_uid=_needed(dataset.file_meta, "TransferSyntaxUID"),
        study_instance_uid=_needed(dataset, "StudyInstanceUID"),
        series_instance_uid=_needed(dataset, "SeriesInstanceUID"),
        frame_of_reference_uid=_text(dataset, "FrameOfReferenceUID"),
        container_identifier=_text(dataset, "ContainerIdentifier"),
        container_issuer=_issuer(dataset),
        flavour=str(values[2]).strip() if len(values) > 2 else "OTHER",  # noqa: PLR2004
        is_resampled=len(values) > 3 and str(values[3]).strip() == "RESAMPLED",  # noqa: PLR2004
        acquired=_text(dataset, "AcquisitionDateTime"),
        concatenation_uid=_text(dataset, "ConcatenationUID"),
        part=_number(dataset, "InConcatenationNumber") or None,
        parts=_number(dataset, "InConcatenationTotalNumber") or None,
        n_frames=_number(dataset, "NumberOfFrames") or 1,
        n_frames_expected=_frames_expected(
            dataset, rows_px, columns_px, has_groups=has_frame_groups
        ),
        rows_px=rows_px,
        columns_px=columns_px,
    )


def _frames_expected(
    dataset: Dataset, rows_px: int, columns_px: int, *, has_groups: bool
) -> int | None:
    """Frames of the whole matrix (PS3.3 C.7.6.17.3): only TILED_FULL promises every tile.

    Some scanners leave Dimension Organization Type out; without per-frame groups their tiles
    can only be in TILED_FULL order.
    """
    organisation = _text(dataset, "DimensionOrganizationType")
    if organisation is None and not has_groups:
        organisation = _TILED_FULL
    tile_rows_px, tile_columns_px = _number(dataset, "Rows"), _number(dataset, "Columns")
    if organisation != _TILED_FULL or not (rows_px and columns_px):
        return None
    if not (tile_rows_px and tile_columns_px):
        return None
    planes = _number(dataset, "TotalPixelMatrixFocalPlanes") or 1
    paths = _number(dataset, "NumberOfOpticalPaths") or 1
    tiles = math.ceil(rows_px / tile_rows_px) * math.ceil(columns_px / tile_columns_px)
    return tiles * planes * paths


def _issuer(dataset: Dataset) -> str | None:
    items = dataset.get("IssuerOfTheContainerIdentifierSequence")
    if not items:
        return None
    return _text(items[0], "UniversalEntityID") or _text(items[0], "LocalNamespaceEntityID")


def _text(dataset: Dataset, keyword: str) -> str | None:
    value = str(dataset.get(keyword) or "").strip(" \0")
    return value or None


def _needed(dataset: Dataset, keyword: str) -> str:
    value = _text(dataset, keyword)
    if value is None:
        raise InvalidInstance(f"The object has no {keyword}.")
    return value


def _number(dataset: Dataset, keyword: str) -> int:
    value = dataset.get(keyword)
    return max(0, int(value)) if value else 0


def _pixels_length(file: BinaryIO) -> int:
    """Length field of the element at the file's position; the file is then at its value."""
    start = file.read(_ELEMENT_HEADER_BYTES)
    if start[4:6] in _LONG_VRS:
        return int.from_bytes(file.read(4), "little")
    return int.from_bytes(start[4:], "little")


def _count_fragments(file: BinaryIO, size_bytes: int) -> int:
    """Count the fragments after the Basic Offset Table, walking from item to item."""
    items = 0
    while True:
        start = file.read(_ELEMENT_HEADER_BYTES)
        length = int.from_bytes(start[4:], "little")
        if start[:4] == _SEQUENCE_END and len(start) == _ELEMENT_HEADER_BYTES:
            return items - 1
        if start[:4] != _ITEM or file.tell() + length > size_bytes:
            raise InvalidInstance("The object was cut off before the end of its pixel data.")
        items += 1
        file.seek(length, os.SEEK_CUR)


def _native_bytes(header: Header) -> int:
    """Least length of native pixel data, without padding (PS3.5 8.1.1)."""
    one = header.dataset
    bits = _number(one, "Rows") * _number(one, "Columns") * _number(one, "BitsAllocated")
    return bits * (_number(one, "SamplesPerPixel") or 1) * header.instance.n_frames // 8

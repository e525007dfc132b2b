"""A sparse slide of any number of frames, written raw in a second: what real ones look like."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import pydicom
import simplejpeg
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

TILE_PX = 16
_UNDEFINED = 0xFFFFFFFF
_LONG = (b"OB", b"SQ", b"OW")

Position = tuple[int, int, float, str]
"""Row and column from 1, z in µm, Optical Path Identifier."""


def element(tag: int, vr: bytes, value: bytes, *, explicit: bool = True) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + struct.pack("<I", len(value)) + value
    if vr in _LONG:
        return head + vr + struct.pack("<HI", 0, len(value)) + value
    return head + vr + struct.pack("<H", len(value)) + value


def sequence(
    tag: int, items: Sequence[bytes], *, explicit: bool = True, sized: bool = True
) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + (b"SQ\0\0" if explicit else b"")
    if sized:
        value = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(one)) + one for one in items)
        return head + struct.pack("<I", len(value)) + value
    start, stop = (struct.pack("<HHI", 0xFFFE, 0xE000, _UNDEFINED), b"\xfe\xff\x0d\xe0" + bytes(4))
    value = b"".join(start + one + stop for one in items)
    return head + struct.pack("<I", _UNDEFINED) + value + b"\xfe\xff\xdd\xe0" + bytes(4)


def group_item(
    position: Position, number: int, *, explicit: bool = True, sized: bool = True
) -> bytes:
    """The functional groups of one frame; the decimal strings differ in length."""
    row, column, z_um, path = position

    def text(value: object) -> bytes:
        written = str(value).encode()
        return written + b" " * (len(written) % 2)

    def leaf(tag: int, vr: bytes, value: bytes) -> bytes:
        return element(tag, vr, value, explicit=explicit)

    def nested(tag: int, content: bytes) -> bytes:
        return sequence(tag, [content], explicit=explicit, sized=sized)

    place = b"".join(
        (
            leaf(0x0040072A, b"DS", text(round(column * 0.0005, 6))),
            leaf(0x0040073A, b"DS", text(round(row * 0.0005, 6))),
            leaf(0x0040074A, b"DS", text(z_um)),
            leaf(0x0048021E, b"SL", struct.pack("<i", column)),
            leaf(0x0048021F, b"SL", struct.pack("<i", row)),
        )
    )
    return b"".join(
        (
            nested(0x00209111, leaf(0x00209157, b"UL", struct.pack("<2I", number, number))),
            nested(0x00480207, leaf(0x00480106, b"SH", text(path))),
            nested(0x0048021A, place),
        )
    )


def header(rows: int, columns: int, n_frames: int, paths: Sequence[str]) -> Dataset:
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing = [0.0005, 0.0005]
    shared.PixelMeasuresSequence = DicomSequence([measures])
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    dataset.SOPInstanceUID = generate_uid()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.DimensionOrganizationType = "TILED_SPARSE"
    dataset.TotalPixelMatrixRows, dataset.TotalPixelMatrixColumns = rows, columns
    dataset.Rows = dataset.Columns = TILE_PX
    dataset.NumberOfFrames = n_frames
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.BitsStored = 3, 8, 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.PlanarConfiguration = 7, 0, 0
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared])
    dataset.OpticalPathSequence = DicomSequence([Dataset() for _ in paths])
    for item, path in zip(dataset.OpticalPathSequence, paths, strict=True):
        item.OpticalPathIdentifier = path
    return dataset


def write_sparse(
    path: Path,
    positions: Sequence[Position],
    frames: Iterator[bytes],
    *,
    rows: int,
    columns: int,
    paths: Sequence[str] = ("1",),
    sized: bool = True,
) -> None:
    """Write a TILED_SPARSE file in Explicit VR with an empty offset table."""
    items = [group_item(one, number, sized=sized) for number, one in enumerate(positions, 1)]
    write_items(path, items, frames, rows=rows, columns=columns, paths=paths, sized=sized)


def many_items(places: Iterable[tuple[int, int]]) -> list[bytes]:
    """The functional groups of very many frames: a few layouts, with other numbers in them."""
    some = [group_item((n, 10**n, n / 7, "1"), 1) for n in range(1, 6)]
    return [
        b"".join((one[:-16], struct.pack("<i", column), one[-12:-4], struct.pack("<i", row)))
        for one, (row, column) in zip(cycle(some), places, strict=False)
    ]


def write_items(
    path: Path,
    items: Sequence[bytes],
    frames: Iterator[bytes],
    *,
    rows: int,
    columns: int,
    paths: Sequence[str] = ("1",),
    sized: bool = True,
) -> None:
    """Write such a file from encoded functional groups."""
    dataset = header(rows, columns, len(items), paths)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    content = path.read_bytes().replace(
        element(0x00020010, b"UI", ExplicitVRLittleEndian.encode() + b"\0"),
        element(0x00020010, b"UI", JPEGBaseline8Bit.encode()),
    )
    with path.open("wb") as file:
        file.write(_relength(content) + sequence(0x52009230, items, sized=sized))
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, _UNDEFINED))
        file.write(struct.pack("<HHI", 0xFFFE, 0xE000, 0))
        for frame in frames:
            padded = frame + b"\0" * (len(frame) % 2)
            file.write(struct.pack("<HHI", 0xFFFE, 0xE000, len(padded)) + padded)
        file.write(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))


def flat_tile(value: int) -> bytes:
    """A tile of one grey."""
    pixels = np.full((TILE_PX, TILE_PX, 3), value, np.uint8)
    return bytes(simplejpeg.encode_jpeg(pixels, quality=95, colorsubsampling="444"))


def _relength(content: bytes) -> bytes:
    """Correct the File Meta Information Group Length (0002,0000) after the exchange."""
    difference = len(JPEGBaseline8Bit) - len(ExplicitVRLittleEndian) - 1
    (length,) = struct.unpack_from("<I", content, 140)
    return content[:140] + struct.pack("<I", length + difference) + content[144:]

"""What is sent: one instance of a slide of 1 GiB, and a thousand small ones, made once a run.

The frames are random bytes between JPEG markers: no receiver here looks at pixels, and random bytes
cannot be compressed on the way.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import JPEGBaseline8Bit, generate_uid

VL_WHOLE_SLIDE_MICROSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.6"
_TILE_PX = 512
_LARGE_FRAME_BYTES = 96 * 1024
_SMALL_FRAME_BYTES = 56 * 1024
_SMALL_FRAMES = 12
_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


@dataclass(frozen=True, slots=True)
class Slides:
    """The files of a run."""

    large: Sequence[Path]
    """One for each sender."""
    small: Sequence[Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Concatenation:
    """What the small instances have in common: they are the parts of one level of a slide."""

    uid: str
    series: str
    frame_of_reference: str
    parts: int


def make(folder: Path, *, large_bytes: int, n_large: int, n_small: int) -> Slides:
    """Write the files.

    Parameters
    ----------
    folder
        In memory, best.
    large_bytes
        Of each large instance.
    n_large, n_small
        How many.
    """
    study = generate_uid()
    folder.mkdir(parents=True, exist_ok=True)
    large = [folder / f"large-{number}.dcm" for number in range(n_large)]
    n_frames = large_bytes // _LARGE_FRAME_BYTES
    for path in large:
        _write(path, _header(study, n_frames), _LARGE_FRAME_BYTES)
    small = [folder / f"small-{number:04}.dcm" for number in range(n_small)]
    concatenation = _Concatenation(
        uid=generate_uid(), series=generate_uid(), frame_of_reference=generate_uid(), parts=n_small
    )
    for number, path in enumerate(small, start=1):
        dataset = _header(study, _SMALL_FRAMES)
        _join(dataset, concatenation, number)
        _write(path, dataset, _SMALL_FRAME_BYTES)
    return Slides(large=large, small=small)


def _write(path: Path, dataset: Dataset, frame_bytes: int) -> None:
    with path.open("wb") as file:
        dcmwrite(file, dataset, enforce_file_format=True)
        file.write(b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff" + _ITEM + bytes(4))
        for frame in _frames(int(dataset.NumberOfFrames), frame_bytes):
            file.write(_ITEM + len(frame).to_bytes(4, "little") + frame)
        file.write(_END)


def _frames(n_frames: int, frame_bytes: int) -> Iterator[bytes]:
    noise = random.Random(n_frames).randbytes(frame_bytes - 8)  # noqa: S311  no secret
    for number in range(n_frames):
        yield b"\xff\xd8" + number.to_bytes(4, "big") + noise + b"\xff\xd9"


def _join(one: Dataset, concatenation: _Concatenation, number: int) -> None:
    """Make an instance one part of a concatenation (PS3.3 C.7.6.16.2.2.4)."""
    one.SeriesInstanceUID = concatenation.series
    one.FrameOfReferenceUID = concatenation.frame_of_reference
    one.ConcatenationUID = concatenation.uid
    one.InConcatenationNumber = number
    one.InConcatenationTotalNumber = concatenation.parts
    one.ConcatenationFrameOffsetNumber = (number - 1) * _SMALL_FRAMES
    one.TotalPixelMatrixColumns = _TILE_PX * _SMALL_FRAMES * concatenation.parts


def _header(study: str, n_frames: int) -> Dataset:
    one = Dataset()
    one.SOPClassUID = VL_WHOLE_SLIDE_MICROSCOPY
    one.SOPInstanceUID = generate_uid()
    one.StudyInstanceUID = study
    one.SeriesInstanceUID = generate_uid()
    one.FrameOfReferenceUID = generate_uid()
    one.PatientName, one.PatientID = "Bench^Mark", "BENCH"
    one.Modality = "SM"
    one.ContainerIdentifier = "BENCH-1"
    one.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    one.AcquisitionDateTime = "20260101120000"
    one.DimensionOrganizationType = "TILED_FULL"
    one.TotalPixelMatrixRows = _TILE_PX
    one.TotalPixelMatrixColumns = _TILE_PX * n_frames
    one.Rows = one.Columns = _TILE_PX
    one.NumberOfFrames = n_frames
    one.SamplesPerPixel, one.BitsAllocated, one.BitsStored, one.HighBit = 3, 8, 8, 7
    one.PixelRepresentation = 0
    one.PhotometricInterpretation = "YBR_FULL_422"
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return one

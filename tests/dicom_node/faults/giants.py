"""Objects of any size that are never in memory: a real header, then zeros in real elements."""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from tests.dicom_node.faults.speaker import EXPLICIT, JPEG_BASELINE, LAST, VL_WSI, Speaker
from tests.dicom_node.objects import Image, dataset_of

_ZEROS: Final = memoryview(bytes(1 << 20))
_UNDEFINED: Final = 0xFFFFFFFF
_PIXEL_DATA: Final = struct.pack("<HH2sH", 0x7FE0, 0x0010, b"OB", 0)
_ITEM: Final = struct.pack("<HH", 0xFFFE, 0xE000)
_END: Final = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@dataclass(frozen=True, kw_only=True)
class Giant:
    """An object: bytes, and zeros between them."""

    uid: str
    study: str
    transfer_syntax: str
    parts: tuple[tuple[bytes, int], ...]
    """Bytes, and how many zeros follow them."""

    @property
    def size_bytes(self) -> int:
        """Length of the data set."""
        return sum(len(content) + n_zeros for content, n_zeros in self.parts)

    @cached_property
    def sha256(self) -> str:
        """Hash of the data set."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()

    def pieces(self) -> Iterator[memoryview]:
        """Give the data set in pieces."""
        for content, n_zeros in self.parts:
            yield memoryview(content)
            for at in range(0, n_zeros, len(_ZEROS)):
                yield _ZEROS[: min(len(_ZEROS), n_zeros - at)]


def encapsulated(image: Image, *, frames: int, frame_bytes: int) -> Giant:
    """Give an object with one fragment a frame (PS3.5 A.4)."""
    header = _header(replace(image, rows=8, columns=8 * frames))
    start = _PIXEL_DATA + struct.pack("<I", _UNDEFINED) + _ITEM + struct.pack("<I", 0)
    item = _ITEM + struct.pack("<I", frame_bytes)
    middle = tuple((item, frame_bytes) for _ in range(frames - 1))
    parts = ((header + start + item, frame_bytes), *middle, (_END, 0))
    return _giant(image, JPEG_BASELINE, parts)


def native(image: Image, *, frames: int, side_px: int) -> Giant:
    """Give an object with RGB frames that are not compressed (PS3.5 8.1.1)."""
    n_bytes = frames * side_px * side_px * 3
    wide = replace(image, rows=side_px, columns=side_px * frames, n_frames=frames)
    header = _header(wide, side_px=side_px)
    start = _PIXEL_DATA + struct.pack("<I", n_bytes)
    return _giant(image, EXPLICIT, ((header + start, n_bytes),))


def send(giant: Giant, speaker: Speaker) -> int | None:
    """Store a giant; give the status."""
    speaker.start_store(giant.uid, sop_class=VL_WSI)
    room = speaker.maximum_bytes - 6
    left = giant.size_bytes
    for piece in giant.pieces():
        for at in range(0, len(piece), room):
            part = piece[at : at + room]
            left -= len(part)
            _say(speaker, part, LAST if left == 0 else 0)
    return speaker.status()


def _say(speaker: Speaker, part: memoryview, control: int) -> None:
    head = struct.pack(">BBIIBB", 4, 0, len(part) + 6, len(part) + 2, 1, control)
    n_sent = speaker.wire.sendmsg([head, part])
    if n_sent < len(head) + len(part):
        speaker.wire.sendall((head + bytes(part))[n_sent:])


def _giant(image: Image, syntax: str, parts: tuple[tuple[bytes, int], ...]) -> Giant:
    return Giant(uid=image.uid, study=image.study, transfer_syntax=syntax, parts=parts)


def _header(image: Image, *, side_px: int = 8) -> bytes:
    one: Dataset = dataset_of(replace(image, n_frames=1))
    del one.PixelData
    one.Rows = one.Columns = side_px
    one.NumberOfFrames = image.columns // side_px
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = False
    write_dataset(buffer, one)
    return buffer.getvalue()

"""A DICOM file whose compressed frames are written as they come (PS3.5 A.4)."""

import struct
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from appliance.synthetic.headers import UNKNOWN_RATIO

_ITEM = b"\xfe\xff\x00\xe0"
_DELIMITER = b"\xfe\xff\xdd\xe0" + bytes(4)
_PIXEL_DATA = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
_EXTENDED = (b"\xe0\x7f\x01\x00OV\x00\x00", b"\xe0\x7f\x02\x00OV\x00\x00")
_COMMENT = b"\xff\xfe"


def commented(jpeg: bytes, comment: str) -> bytes:
    """Return a JPEG codestream with a COM segment after its first marker."""
    if not comment:
        return jpeg
    text = comment.encode()
    return jpeg[:2] + _COMMENT + struct.pack(">H", len(text) + 2) + text + jpeg[2:]


class FrameFile:
    """Writes the header, then frames one by one; offsets and compression ratio on leaving.

    The number of frames is that of the header, so room for the offset table is kept in front;
    memory does not grow with the frames.
    """

    def __init__(self, path: Path, header: Dataset, *, extended: bool) -> None:
        buffer = BytesIO()
        dcmwrite(buffer, header, enforce_file_format=True)
        self._header = buffer.getvalue()
        self._extended = extended
        self._n_frames = int(header.NumberOfFrames)
        self._frame_bytes = 3 * int(header.Rows) * int(header.Columns)
        self._offsets: list[int] = []
        self._lengths: list[int] = []
        self._next = 0
        self._file = path.open("wb")
        self._file.write(self._header + self._tables())

    def _tables(self) -> bytes:
        """Return all between header and first frame; always of the same length."""
        missing = [0] * (self._n_frames - len(self._offsets))
        offsets, lengths = self._offsets + missing, self._lengths + missing
        if not self._extended:
            table = struct.pack(f"<{self._n_frames}I", *offsets)
            return _PIXEL_DATA + _ITEM + struct.pack("<I", len(table)) + table
        found = b""
        for tag, values in zip(_EXTENDED, (offsets, lengths), strict=True):
            table = struct.pack(f"<{self._n_frames}Q", *values)
            found += tag + struct.pack("<I", len(table)) + table
        return found + _PIXEL_DATA + _ITEM + bytes(4)

    def append(self, frame: bytes) -> None:
        """Write the next frame, padded to an even length."""
        self._offsets.append(self._next)
        frame += b"\x00" * (len(frame) % 2)
        self._lengths.append(len(frame))
        self._file.write(_ITEM + struct.pack("<I", len(frame)) + frame)
        self._next += 8 + len(frame)

    def _fill_in(self) -> None:
        ratio = self._frame_bytes * len(self._offsets) / sum(self._lengths)
        known = f"{ratio:08.3f}".encode()
        header = self._header.replace(UNKNOWN_RATIO.encode(), known, 1)
        self._file.write(_DELIMITER)
        self._file.seek(0)
        self._file.write(header + self._tables())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if error is None:
                self._fill_in()

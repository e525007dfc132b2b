"""Where the encoded frames lie in a DICOM file: offset tables first, a walk over the items else.

Encapsulated pixel data is a sequence of items: a Basic Offset Table, then the fragments
(PS3.5 A.4). The file is memory mapped and only the bytes of frames that are asked for are read.
"""

import mmap
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from appliance.errors import DamagedImage

_ITEM = struct.Struct("<HHI")
_PIXEL_DATA = (0x7FE0, 0x0010)
_ITEM_TAG = (0xFFFE, 0xE000)
_DELIMITER_TAG = (0xFFFE, 0xE0DD)
_UNDEFINED_LENGTH = 0xFFFFFFFF
_BROKEN = "The frames of one image file cannot be located; the file is damaged."

_KEPT_BYTES = 32 << 20
_FAULT_BYTES = 64 << 10
"""How much Linux maps around one byte that is read (fault_around_bytes)."""
_MOST_FRAME_BYTES = 256 << 20
"""More than the largest frame takes without compression, in 16 bits."""

_CODESTREAM_STARTS = (b"\xff\xd8", b"\xff\x4f", b"\xff\x0a")
"""JPEG and JPEG-LS, JPEG 2000, JPEG XL."""

Offsets = npt.NDArray[np.uint64]


class MappedFile:
    """A file mapped for reading, of which only a little stays in our memory.

    The pages of a mapped file count as ours once they were read, and a slide is larger than what
    a machine has. So they are given back now and then; the system keeps them in its cache.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._touched_bytes = 0

    def __len__(self) -> int:
        return len(self._map)

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()

    def take(self, start: int, end: int) -> bytes:
        """Copy some bytes; fewer where the file ends."""
        self._touch(end - start)
        return self._map[start:end]

    def item(self, at: int) -> tuple[int, int, int]:
        """Group, element and length of the item head at a position.

        Raises
        ------
        struct.error
            The file ends there.
        """
        self._touch(_FAULT_BYTES)
        return _ITEM.unpack_from(self._map, at)

    def _touch(self, n_bytes: int) -> None:
        self._touched_bytes += n_bytes
        if self._touched_bytes > _KEPT_BYTES:
            self._touched_bytes = 0
            self._map.madvise(mmap.MADV_DONTNEED)


class Frames(Protocol):
    """The frames of one file; thread-safe."""

    def __len__(self) -> int: ...

    def frame(self, number: int) -> bytes:
        """Give the bytes of one frame, counted from 0."""

    def close(self) -> None:
        """Unmap the file."""


class NativeFrames:
    """The frames of a file without compression, memory mapped: one after the other.

    Parameters
    ----------
    path
        File, little endian.
    value_at
        Position of the value of Pixel Data.
    value_bytes
        Its length.
    n_frames
        Number of Frames (0028,0008).
    frame_bytes
        Size of one.

    Raises
    ------
    DamagedImage
        The file holds fewer.
    """

    def __init__(
        self, path: Path, *, value_at: int, value_bytes: int, n_frames: int, frame_bytes: int
    ) -> None:
        self._file = MappedFile(path)
        self._n_frames, self._at, self._frame_bytes = n_frames, value_at, frame_bytes
        held_bytes = min(value_bytes, len(self._file) - value_at)
        if n_frames < 1 or n_frames * frame_bytes > held_bytes:
            self._file.close()
            raise DamagedImage(_BROKEN)

    def __len__(self) -> int:
        return self._n_frames

    def frame(self, number: int) -> bytes:
        """Give the bytes of one frame, counted from 0."""
        start = self._at + number * self._frame_bytes
        return self._file.take(start, start + self._frame_bytes)

    def close(self) -> None:
        """Unmap the file."""
        self._file.close()


class EncodedFrames:
    """The encoded frames of one DICOM file, memory mapped.

    Parameters
    ----------
    path
        File with encapsulated pixel data in explicit VR little endian.
    pixel_data_at
        Position of the Pixel Data element (7FE0,0010) in the file.
    n_frames
        Number of Frames (0028,0008).
    extended_offsets
        Extended Offset Table (7FE0,0001) as stored, or empty.

    Raises
    ------
    DamagedImage
        The file is damaged, or its fragments cannot be told apart.
    """

    def __init__(
        self, path: Path, *, pixel_data_at: int, n_frames: int, extended_offsets: bytes = b""
    ) -> None:
        self._file = MappedFile(path)
        self._n_frames = n_frames
        self._walking = threading.Lock()
        try:
            self._first, tables = self._tables(pixel_data_at, extended_offsets)
            believed = [table for table in tables if self._is_believable(table)]
            self._walked = None if believed else self._walk()
            self._starts = believed[0] if self._walked is None else self._walked
        except (struct.error, ValueError, DamagedImage) as error:
            self._file.close()
            raise DamagedImage(_BROKEN) from error

    def __len__(self) -> int:
        return len(self._starts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the file."""
        self._file.close()

    def frame(self, number: int) -> bytes:
        """Give the codestream of one frame, counted from 0; its fragments are joined.

        Raises
        ------
        DamagedImage
            The file ends early, or its items make no frames.
        """
        starts = self._starts
        try:
            return self._joined(starts, number)
        except (struct.error, DamagedImage) as error:
            if starts is self._walked:
                raise DamagedImage(_BROKEN) from error
        with self._walking:  # the offset table lies; another thread may have found out before
            if self._starts is starts:
                self._starts = self._walked = self._walk()
        return self.frame(number)

    def _joined(self, starts: Offsets, number: int) -> bytes:
        position, following = int(starts[number]), number + 1
        is_last = following == len(starts)
        end = len(self._file) if is_last else int(starts[following])
        fragments: list[bytes] = []
        left_bytes = _MOST_FRAME_BYTES
        while position < end:
            group, element, length = self._file.item(position)
            if (group, element) != _ITEM_TAG:
                break
            position += _ITEM.size
            left_bytes -= length
            if position + length > end or left_bytes < 0:
                raise DamagedImage(_BROKEN)
            fragments.append(self._file.take(position, position + length))
            position += length
        if not fragments or (position != end and not is_last):
            raise DamagedImage(_BROKEN)
        return fragments[0] if len(fragments) == 1 else b"".join(fragments)

    def _tables(self, pixel_data_at: int, extended_offsets: bytes) -> tuple[int, list[Offsets]]:
        """Give the position of the first fragment, and both offset tables as positions."""
        group, element = struct.unpack("<HH", self._file.take(pixel_data_at, pixel_data_at + 4))
        (length,) = struct.unpack("<I", self._file.take(pixel_data_at + 8, pixel_data_at + 12))
        if (group, element) != _PIXEL_DATA or length != _UNDEFINED_LENGTH:
            raise DamagedImage(_BROKEN)
        table_at = pixel_data_at + 12 + _ITEM.size
        *_, table_bytes = self._file.item(pixel_data_at + 12)
        first = table_at + table_bytes
        stored = ((extended_offsets, "<u8"), (self._file.take(table_at, first), "<u4"))
        return first, [
            np.frombuffer(table, dtype=dtype).astype(np.uint64) + np.uint64(first)
            for table, dtype in stored
            if table and len(table) % np.dtype(dtype).itemsize == 0
        ]

    def _is_believable(self, starts: Offsets) -> bool:
        """Whether a table has all frames, rises, begins at the first fragment, ends at an item."""
        if len(starts) != self._n_frames or int(starts[0]) != self._first:
            return False
        if np.any(starts[1:] <= starts[:-1]) or int(starts[-1]) + _ITEM.size > len(self._file):
            return False
        group, element, _ = self._file.item(int(starts[-1]))
        return (group, element) == _ITEM_TAG

    def _walk(self) -> Offsets:
        """Walk all items; a frame of several fragments starts where a codestream starts."""
        items: list[int] = []
        position = self._first
        while position + _ITEM.size <= len(self._file):
            group, element, length = self._file.item(position)
            if (group, element) != _ITEM_TAG:
                break
            items.append(position)
            position += _ITEM.size + length
        if len(items) != self._n_frames:
            items = [item for item in items if self._starts_codestream(item + _ITEM.size)]
        if len(items) != self._n_frames:
            raise DamagedImage(_BROKEN)
        return np.array(items, dtype=np.uint64)

    def _starts_codestream(self, at: int) -> bool:
        return self._file.take(at, at + 2) in _CODESTREAM_STARTS

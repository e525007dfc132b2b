"""Where the encoded frames lie in a DICOM file: offset tables first, a walk over the items else.

Encapsulated pixel data is a sequence of items: a Basic Offset Table, then the fragments
(PS3.5 A.4). The file is memory mapped and only the bytes of frames that are asked for are read.
"""

import mmap
import struct
from collections.abc import Sequence
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

_MOST_FRAME_BYTES = 512 << 20

Offsets = npt.NDArray[np.uint64]


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
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._n_frames, self._at, self._frame_bytes = n_frames, value_at, frame_bytes
        held_bytes = min(value_bytes, len(self._map) - value_at)
        if n_frames < 1 or n_frames * frame_bytes > held_bytes:
            self._map.close()
            raise DamagedImage(_BROKEN)

    def __len__(self) -> int:
        return self._n_frames

    def frame(self, number: int) -> bytes:
        """Give the bytes of one frame, counted from 0."""
        start = self._at + number * self._frame_bytes
        return self._map[start : start + self._frame_bytes]

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()


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
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self._starts = self._find(pixel_data_at, n_frames, extended_offsets)
        except (struct.error, ValueError, DamagedImage) as error:
            self._map.close()
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
        self._map.close()

    def frame(self, number: int) -> bytes:
        """Give the codestream of one frame, counted from 0; its fragments are joined.

        Raises
        ------
        DamagedImage
            The file ends early or the offset table lies.
        """
        position = int(self._starts[number])
        following = number + 1
        end = int(self._starts[following]) if following < len(self._starts) else len(self._map)
        fragments: list[bytes] = []
        try:
            while position < end:
                group, element, length = _ITEM.unpack_from(self._map, position)
                if (group, element) != _ITEM_TAG:
                    break
                position += _ITEM.size
                if position + length > min(end, position + _MOST_FRAME_BYTES):
                    raise DamagedImage(_BROKEN)
                fragments.append(self._map[position : position + length])
                position += length
        except struct.error as error:
            raise DamagedImage(_BROKEN) from error
        if not fragments or position > end or (position < end and following < len(self._starts)):
            raise DamagedImage(_BROKEN)
        return fragments[0] if len(fragments) == 1 else b"".join(fragments)

    def _find(self, pixel_data_at: int, n_frames: int, extended_offsets: bytes) -> Offsets:
        group, element = struct.unpack_from("<HH", self._map, pixel_data_at)
        (length,) = struct.unpack_from("<I", self._map, pixel_data_at + 8)
        if (group, element) != _PIXEL_DATA or length != _UNDEFINED_LENGTH:
            raise DamagedImage(_BROKEN)
        table_at = pixel_data_at + 12
        _, _, table_bytes = _ITEM.unpack_from(self._map, table_at)
        first = table_at + _ITEM.size + table_bytes
        basic = self._map[table_at + _ITEM.size : first]
        for table, dtype in ((extended_offsets, "<u8"), (basic, "<u4")):
            starts = np.frombuffer(table, dtype=dtype).astype(np.uint64) + np.uint64(first)
            if len(starts) == n_frames and self._believable(starts, first):
                return starts
        return self._walk(first, n_frames)

    def _believable(self, starts: Offsets, first: int) -> bool:
        """Whether a table rises, begins at the first fragment and ends at an item."""
        if (
            not len(starts)
            or int(starts[0]) != first
            or int(starts[-1]) + _ITEM.size > len(self._map)
        ):
            return False
        if np.any(np.diff(starts.astype(np.int64)) <= 0):
            return False
        group, element, _ = _ITEM.unpack_from(self._map, int(starts[-1]))
        return (group, element) == _ITEM_TAG

    def _walk(self, first: int, n_frames: int) -> Offsets:
        """Walk all items; a frame of several fragments starts where a codestream starts."""
        items: list[int] = []
        heads: list[bytes] = []
        position = first
        while position + _ITEM.size <= len(self._map):
            group, element, length = _ITEM.unpack_from(self._map, position)
            if (group, element) != _ITEM_TAG:
                break
            items.append(position)
            heads.append(self._map[position + _ITEM.size : position + _ITEM.size + 2])
            position += _ITEM.size + length
        if len(items) != n_frames:
            items = _codestream_starts(items, heads)
        if len(items) != n_frames:
            raise DamagedImage(_BROKEN)
        return np.array(items, dtype=np.uint64)


def _codestream_starts(items: Sequence[int], heads: Sequence[bytes]) -> list[int]:
    starts = (b"\xff\xd8", b"\xff\x4f", b"\xff\x0a")  # JPEG, JPEG 2000, JPEG XL
    return [item for item, head in zip(items, heads, strict=True) if head in starts]

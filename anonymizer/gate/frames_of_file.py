"""The pixels of an output file, read by the gate's own reader.

Every item must lie where the offset table says, one behind the other to the end of the file; every
frame must be one codestream without a note; and no value of the input may stand among the bytes.
Two threads share a file, since what looks at the bytes does not hold the interpreter.
"""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import FileDataset
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import RLELossless

from anonymizer.gate.codestream_check import CodestreamCheck, Frames, RleCheck
from anonymizer.gate.findings import Check, leftover
from anonymizer.gate.search import Search
from anonymizer.gate.sought import Needles
from anonymizer.quiet import FOREIGN, quiet_pydicom
from appliance.errors import IdentityDoubt

_BLOCK_BYTES = 1 << 19
_THREADS = 2
_ELEMENT_HEAD_BYTES, _ITEM_HEAD_BYTES = 12, 8
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0" + bytes(4)
_NEEDED = (
    *("NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated"),
    *("PhotometricInterpretation", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)

_Places = npt.NDArray[np.integer[Any]]
"""Offsets in the file, or lengths."""

_UNREADABLE = "The pixels of the de-identified object cannot be read back."
_ODD_END = "A frame of the de-identified object does not end where it should."
_TABLE = "The offset table of the de-identified object is not right."
_BEHIND = "There are bytes behind the pixels of the de-identified object."


def check_pixels(path: Path, pixels: int, needles: Needles) -> None:
    """Check the pixels of a file, and that nothing follows them.

    Parameters
    ----------
    path
        A de-identified file.
    pixels
        Where its Pixel Data element starts.
    needles
        What must not be found among the bytes.

    Raises
    ------
    IdentityDoubt
        A value was found, a frame has a comment or application segment or does not end where it
        should, or there is something between, behind or instead of frames.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if pixels == size:
            return
        data_set = _described(path)
        pixel_bytes = _PixelBytes(file.fileno(), pixels, size, needles, needles.search())
        if data_set.file_meta.TransferSyntaxUID.is_encapsulated:
            pixel_bytes.check_items(data_set)
        else:
            pixel_bytes.check_native(data_set)


def _described(path: Path) -> FileDataset:
    try:
        with quiet_pydicom():
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_NEEDED))
    except FOREIGN as error:
        raise IdentityDoubt(_UNREADABLE) from error


@dataclass(frozen=True, slots=True)
class _PixelBytes:
    """Pixel Data in a file."""

    descriptor: int
    start: int
    size: int
    """Of the file, whose last bytes they are."""
    needles: Needles
    search: Search

    def check_native(self, data_set: FileDataset) -> None:
        """Check pixels that are stored as they are."""
        first = self.start + _ELEMENT_HEAD_BYTES
        try:
            expected = get_expected_length(data_set)
        except (AttributeError, TypeError, ValueError) as error:
            raise IdentityDoubt(_UNREADABLE) from error
        padding = os.pread(self.descriptor, 1, first + expected) if expected % 2 else b""
        if first + expected + len(padding) != self.size or padding.strip(b"\0"):
            raise IdentityDoubt(_BEHIND)
        cuts = np.append(np.arange(first, self.size, _BLOCK_BYTES), self.size)

        def check(cuts: _Places, _first: int) -> None:
            for _block in self._searched(cuts, is_native=True):
                pass

        _in_threads(check, cuts)

    def check_items(self, data_set: FileDataset) -> None:
        """Check pixels that are frames, each in an item (PS3.5 A.4)."""
        is_rle = data_set.file_meta.TransferSyntaxUID == RLELossless
        cuts, lengths = self._table(data_set)

        def check(cuts: _Places, number: int) -> None:
            check = RleCheck() if is_rle else CodestreamCheck()
            for frames, bounds in self._searched(cuts, is_native=is_rle):
                for start, end in pairwise(bounds):
                    length = _checked_item(frames, start, end, check)
                    if len(lengths) and lengths[number] != length:
                        raise IdentityDoubt(_TABLE)
                    number += 1

        _in_threads(check, cuts)

    def _table(self, data_set: FileDataset) -> tuple[_Places, _Places]:
        """Give where the items start and the last ends; and codestream lengths, if listed."""
        place = self.start + _ELEMENT_HEAD_BYTES
        head = os.pread(self.descriptor, _ITEM_HEAD_BYTES, place)
        end = self.size - len(_SEQUENCE_END)
        if head[:4] != _ITEM or os.pread(self.descriptor, 9, end) != _SEQUENCE_END:
            raise IdentityDoubt(_UNREADABLE)
        count = int(data_set.get("NumberOfFrames") or 1)
        basic = os.pread(
            self.descriptor, int.from_bytes(head[4:], "little"), place + _ITEM_HEAD_BYTES
        )
        extended = bytes(data_set.get("ExtendedOffsetTable") or b"")
        lengths = bytes(data_set.get("ExtendedOffsetTableLengths") or b"")
        if extended:
            sound = not basic and len(extended) == len(lengths) == 8 * count
        else:
            sound = len(basic) == 4 * count and not lengths
        if not sound:
            raise IdentityDoubt(_TABLE)
        offsets = np.frombuffer(extended or basic, "<u8" if extended else "<u4")
        first = place + _ITEM_HEAD_BYTES + len(basic)
        cuts = np.append(first + offsets.astype(np.int64), end)
        if cuts[0] != first or np.any(np.diff(cuts) < _ITEM_HEAD_BYTES):
            raise IdentityDoubt(_TABLE)
        return cuts, np.frombuffer(lengths, "<u8")

    def _searched(
        self, cuts: _Places, *, is_native: bool
    ) -> Iterator[tuple[Frames, Sequence[int]]]:
        """Read and search what lies between cuts, in blocks that overlap, so that none hides."""
        scanner, overlap = self.search.in_pixels(is_native=is_native), self.search.longest - 1
        frames = Frames(overlap + _BLOCK_BYTES)
        for first, last in _runs(cuts):
            base = max(self.start, cuts[first] - overlap)  # what is before has its own check
            block = frames.room(int(cuts[last]) - base)
            if os.preadv(self.descriptor, [block], base) != len(block):
                raise IdentityDoubt(_UNREADABLE)
            found = scanner.first(block)
            if found is not None:
                raise leftover(Check.BYTES, "the pixel data", self.needles.patterns[found])
            yield frames, (cuts[first : last + 1] - base).tolist()


def _checked_item(frames: Frames, start: int, end: int, check: CodestreamCheck | RleCheck) -> int:
    """Check an item and its frame, and give the length of its codestream."""
    first = start + _ITEM_HEAD_BYTES
    if frames.data[start:first] != _ITEM + struct.pack("<I", end - first):
        raise IdentityDoubt(_TABLE)
    codestream_end = check.end_of(frames, first, end)
    if frames.data[codestream_end:end] != b"\0" * ((codestream_end - first) % 2):
        raise IdentityDoubt(_ODD_END)
    return codestream_end - first


def _runs(cuts: _Places) -> Iterator[tuple[int, int]]:
    """Group what lies between cuts into runs that fit a block; the longest alone may not."""
    first = 0
    while first < len(cuts) - 1:
        last = int(np.searchsorted(cuts, cuts[first] + _BLOCK_BYTES, side="right")) - 1
        last = max(first + 1, last)
        yield first, last
        first = last


def _in_threads(check: Callable[[_Places, int], None], cuts: _Places) -> None:
    """Check what lies between cuts in two halves; told the cuts and the first one's number."""
    middle = int(np.searchsorted(cuts, (cuts[0] + cuts[-1]) // 2))
    halves = [(cuts[: middle + 1], 0), (cuts[middle:], middle)]
    with ThreadPoolExecutor(_THREADS, "check") as threads:
        for checked in [threads.submit(check, *half) for half in halves]:
            checked.result()

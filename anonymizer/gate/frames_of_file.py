"""The pixels of an output file, read by the gate's own reader.

Every item must lie where the offset table says, one behind the other to the end of the file; every
frame must be one codestream without a note; and no value of the input may stand among the bytes.
Two threads share a file, since what looks at the bytes does not hold the interpreter.
"""

import os
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import RLELossless

from anonymizer.gate.codestream_check import CodestreamCheck, Frames, RleCheck
from anonymizer.gate.needles import Origin
from anonymizer.gate.search import Search, in_codestreams, in_native_pixels
from anonymizer.quiet import quiet_pydicom
from appliance.errors import IdentityDoubt

_BLOCK_BYTES = 1 << 19
_THREADS = 2
_ELEMENT_HEAD_BYTES, _ITEM_HEAD_BYTES = 12, 8
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0" + bytes(4)
_NEEDED = (
    *("NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated"),
    *("PhotometricInterpretation", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)

_UNREADABLE = "The pixels of the de-identified object cannot be read back."
_ODD_END = "A frame of the de-identified object does not end where it should."
_TABLE = "The offset table of the de-identified object is not right."
_BEHIND = "There are bytes behind the pixels of the de-identified object."


def check_pixels(path: Path, pixels: int, patterns: Mapping[bytes, Origin]) -> None:
    """Check the pixels of a file, and that nothing follows them.

    Parameters
    ----------
    path
        A de-identified file.
    pixels
        Where its Pixel Data element starts.
    patterns
        What must not be found among the bytes, and where it comes from.

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
        pixel_bytes = _PixelBytes(file.fileno(), pixels, size, patterns)
        if data_set.file_meta.TransferSyntaxUID.is_encapsulated:
            pixel_bytes.check_items(data_set)
        else:
            pixel_bytes.check_native(data_set)


def _described(path: Path) -> FileDataset:
    try:
        with quiet_pydicom():
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_NEEDED))
    except (InvalidDicomError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise IdentityDoubt(_UNREADABLE) from error


@dataclass(frozen=True, slots=True)
class _PixelBytes:
    """Pixel Data in a file."""

    descriptor: int
    start: int
    size: int
    """Of the file, whose last bytes they are."""
    patterns: Mapping[bytes, Origin]

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
        search = in_native_pixels(self.patterns)
        cuts = [*range(first, self.size, _BLOCK_BYTES), self.size]

        def check(cuts: Sequence[int], _first: int) -> None:
            for _block in self._searched(search, cuts):
                pass

        _in_threads(check, cuts)

    def check_items(self, data_set: FileDataset) -> None:
        """Check pixels that are frames, each in an item (PS3.5 A.4)."""
        is_rle = data_set.file_meta.TransferSyntaxUID == RLELossless
        search = in_native_pixels(self.patterns) if is_rle else in_codestreams(self.patterns)
        cuts, lengths = self._table(data_set)

        def check(cuts: Sequence[int], number: int) -> None:
            check = RleCheck() if is_rle else CodestreamCheck()
            for frames, bounds in self._searched(search, cuts):
                for start, end in pairwise(bounds):
                    length = _checked_item(frames, start, end, check)
                    if lengths and lengths[number] != length:
                        raise IdentityDoubt(_TABLE)
                    number += 1

        _in_threads(check, cuts)

    def _table(self, data_set: FileDataset) -> tuple[Sequence[int], Sequence[int]]:
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
        offsets = struct.unpack(f"<{count}{'Q' if extended else 'I'}", extended or basic)
        first = place + _ITEM_HEAD_BYTES + len(basic)
        cuts = [*(first + offset for offset in offsets), end]
        if offsets[0] != 0 or any(two - one < _ITEM_HEAD_BYTES for one, two in pairwise(cuts)):
            raise IdentityDoubt(_TABLE)
        return cuts, struct.unpack(f"<{len(lengths) // 8}Q", lengths)

    def _searched(
        self, search: Search, cuts: Sequence[int]
    ) -> Iterator[tuple[Frames, Sequence[int]]]:
        """Read and search what lies between cuts, in blocks that overlap, so that none hides."""
        scanner, overlap = search.scanner(), search.longest - 1
        frames = Frames(overlap + _BLOCK_BYTES)
        for first, last in _runs(cuts):
            base = max(self.start, cuts[first] - overlap)  # what is before has its own check
            block = frames.room(cuts[last] - base)
            if os.preadv(self.descriptor, [block], base) != len(block):
                raise IdentityDoubt(_UNREADABLE)
            for pattern, _ in scanner.matches(block):
                raise IdentityDoubt(self.patterns[pattern].sentence("the pixel data"))
            yield frames, [cut - base for cut in cuts[first : last + 1]]


def _checked_item(frames: Frames, start: int, end: int, check: CodestreamCheck | RleCheck) -> int:
    """Check an item and its frame, and give the length of its codestream."""
    first = start + _ITEM_HEAD_BYTES
    if frames.data[start:first] != _ITEM + struct.pack("<I", end - first):
        raise IdentityDoubt(_TABLE)
    codestream_end = check.end_of(frames, first, end)
    if frames.data[codestream_end:end] != b"\0" * ((codestream_end - first) % 2):
        raise IdentityDoubt(_ODD_END)
    return codestream_end - first


def _runs(cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Group what lies between cuts into runs that fit a block; the longest alone may not."""
    first = 0
    while first < len(cuts) - 1:
        last = bisect_left(cuts, cuts[first] + _BLOCK_BYTES + 1) - 1
        last = max(first + 1, last)
        yield first, last
        first = last


def _in_threads(check: Callable[[Sequence[int], int], None], cuts: Sequence[int]) -> None:
    """Check what lies between cuts in two halves; told the cuts and the first one's number."""
    middle = bisect_left(cuts, (cuts[0] + cuts[-1]) // 2)
    halves = [(cuts[: middle + 1], 0), (cuts[middle:], middle)]
    with ThreadPoolExecutor(_THREADS, "check") as threads:
        for checked in [threads.submit(check, *half) for half in halves]:
            checked.result()

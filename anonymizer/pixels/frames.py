"""Pixel data from file to file, frame by frame: never decoded, never a whole instance in memory.

Encapsulated frames come out as one fragment each with offset tables that are right (PS3.5 A.4);
native pixels come out in the length that the header says, without what was hidden behind them.
"""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from anonymizer.part10.elements import (
    PIXEL_DATA,
    UNDEFINED,
    Element,
    Header,
    element_header,
    find,
    integer,
    text,
)
from anonymizer.pixels.codestream import Stripper, check_rle
from appliance.errors import InvalidInstance

Progress = Callable[[int], None]
"""Told how many bytes of the source were done since it was last told."""

NUMBER_OF_FRAMES = 0x00280008
EXTENDED_OFFSETS, EXTENDED_LENGTHS = 0x7FE00001, 0x7FE00002

_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_BITS_OF_A_BYTE = 8
_BLOCK_BYTES = 4 << 20
_LAST_BASIC_OFFSET = 0xFFFFFFFE
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")
_JPEG_2000 = (HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL, JPEG2000, JPEG2000Lossless)
_JPEG_LS = (JPEGLSLossless, JPEGLSNearLossless)
_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
_CODESTREAMS = frozenset((*_JPEG, *_JPEG_LS, *_JPEG_2000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """Where one fragment lies in its file, without its item header."""

    offset: int
    length: int


def write_pixel_data(
    header: Header, elements: Sequence[Element], file: BinaryIO, done: Progress
) -> None:
    """Append the pixel data of a source to a file that ends before them.

    Parameters
    ----------
    header
        The source.
    elements
        The new data set; says how many frames of which size there are.
    file
        Open for writing and seeking, positioned behind the attributes before (7FE0,0001).
    done
        Told about progress.

    Raises
    ------
    InvalidInstance
        Frames are missing, damaged or in a format that slides do not have.
    """
    with header.path.open("rb", buffering=0) as source:
        if header.pixels.length is None:
            _write_encapsulated(header, elements, source, file, done)
        else:
            _write_native(header, elements, source, file, done)


def number_of_frames(elements: Sequence[Element]) -> int:
    """Count the frames that the header promises; 1 when it says nothing."""
    return integer(elements, NUMBER_OF_FRAMES) or 1


def fragments_of(descriptor: int, offset: int) -> tuple[bytes, tuple[Fragment, ...]]:
    """Find the items of an encapsulated value: the basic offset table, and every fragment.

    Raises
    ------
    InvalidInstance
        The value is not a sequence of items that ends.
    """
    found: list[Fragment] = []
    while True:
        head = os.pread(descriptor, 8, offset)
        if head[:4] == _SEQUENCE_END:
            break
        if len(head) < 8 or head[:4] != _ITEM:  # noqa: PLR2004  tag and length
            raise InvalidInstance("The pixel data of the object are damaged or cut off.")
        length = int(struct.unpack_from("<I", head, 4)[0])
        found.append(Fragment(offset=offset + 8, length=length))
        offset += 8 + length
    if not found:
        raise InvalidInstance("The pixel data of the object have no offset table.")
    table = found[0]
    return os.pread(descriptor, table.length, table.offset), tuple(found[1:])


def _write_encapsulated(
    header: Header, elements: Sequence[Element], source: BinaryIO, file: BinaryIO, done: Progress
) -> None:
    clean = _cleaner(header.transfer_syntax_uid)
    count = number_of_frames(elements)
    table, fragments = fragments_of(source.fileno(), header.pixels.offset)
    frames = _grouped(header, table, fragments, count, source.fileno())
    size = sum(fragment.length + 9 for fragment in fragments)
    extended = bool(header.value(EXTENDED_OFFSETS)) or size > _LAST_BASIC_OFFSET
    place = _reserve_tables(file, count, extended=extended)
    lengths = []
    for frame in frames:
        raw = b"".join(os.pread(source.fileno(), part.length, part.offset) for part in frame)
        stripped = clean(raw)
        lengths.append(len(stripped))
        padded = stripped + b"\0" * (len(stripped) % 2)
        file.write(_ITEM + struct.pack("<I", len(padded)))
        file.write(padded)
        done(len(raw))
    file.write(_SEQUENCE_END + bytes(4))
    _fill_tables(file, place, lengths, extended=extended)


def _cleaner(syntax: str) -> Callable[[bytes], bytes]:
    if syntax in _CODESTREAMS:
        return Stripper().strip
    if syntax == RLELossless:
        return check_rle
    raise InvalidInstance("The frames are compressed in a way that slides do not have.")


def _grouped(
    header: Header,
    table: bytes,
    fragments: Sequence[Fragment],
    count: int,
    descriptor: int,
) -> Iterator[Sequence[Fragment]]:
    """Join fragments into frames: by count, else by an offset table, else by how they start."""
    if count == 1 or len(fragments) == count:
        step = len(fragments) if count == 1 else 1
        starts: Sequence[int] = range(0, len(fragments), max(1, step))
    else:
        starts = _starts(header, table, fragments, descriptor)
    if not fragments or len(starts) != count:
        raise InvalidInstance("The object has not as many frames as its header says.")
    ends = [*starts[1:], len(fragments)]
    return (fragments[start:end] for start, end in zip(starts, ends, strict=True))


def _starts(
    header: Header, table: bytes, fragments: Sequence[Fragment], descriptor: int
) -> Sequence[int]:
    extended = header.value(EXTENDED_OFFSETS)
    width = "Q" if extended else "I"
    offsets = frozenset(one for (one,) in struct.iter_unpack(f"<{width}", extended or table))
    if offsets:
        first = fragments[0].offset
        return [n for n, one in enumerate(fragments) if one.offset - first in offsets]
    return [
        n
        for n, one in enumerate(fragments)
        if os.pread(descriptor, 8, one.offset).startswith(_STARTS)
    ]


def _reserve_tables(file: BinaryIO, count: int, *, extended: bool) -> int:
    """Write the offset tables with zeros and the start of Pixel Data; give where they are."""
    if extended:
        file.writelines(
            element_header(tag, "OV", 8 * count) + bytes(8 * count)
            for tag in (EXTENDED_OFFSETS, EXTENDED_LENGTHS)
        )
    file.write(element_header(PIXEL_DATA, "OB", UNDEFINED))
    basic = 0 if extended else 4 * count
    file.write(_ITEM + struct.pack("<I", basic) + bytes(basic))
    return file.tell()


def _fill_tables(file: BinaryIO, place: int, lengths: Sequence[int], *, extended: bool) -> None:
    steps = [8 + length + length % 2 for length in lengths]
    offsets = [0, *accumulate(steps)][:-1]
    count, end = len(lengths), file.tell()
    if extended:
        head = 12  # tag, VR, reserved and length of the OV before each table
        pixels = place - 12 - 8
        file.seek(pixels - 8 * count)
        file.write(struct.pack(f"<{count}Q", *lengths))
        file.seek(pixels - 8 * count - head - 8 * count)
        file.write(struct.pack(f"<{count}Q", *offsets))
    else:
        file.seek(place - 4 * count)
        file.write(struct.pack(f"<{count}I", *offsets))
    file.seek(end)


def _write_native(
    header: Header, elements: Sequence[Element], source: BinaryIO, file: BinaryIO, done: Progress
) -> None:
    expected = native_bytes(elements)
    if header.pixels.length is None or header.pixels.length < expected:
        raise InvalidInstance("The object has fewer pixels than its header says.")
    bits = integer(elements, 0x00280100) or 0
    padded = expected + expected % 2
    vr = "OW" if bits > _BITS_OF_A_BYTE else "OB"  # PS3.5 A.2
    if padded > _LAST_BASIC_OFFSET:
        raise InvalidInstance("The object has more native pixels than a file can hold.")
    file.write(element_header(PIXEL_DATA, vr, padded))
    source.seek(header.pixels.offset)
    left = expected
    while left:
        block = source.read(min(left, _BLOCK_BYTES))
        if not block:
            raise InvalidInstance("The file ends before its pixel data do.")
        file.write(block)
        left -= len(block)
        done(len(block))
    file.write(bytes(padded - expected))


def native_bytes(elements: Sequence[Element]) -> int:
    """Bytes of the native pixels that a header describes (PS3.5 8.1.1, PS3.3 C.7.6.3)."""
    numbers = [integer(elements, tag) or 0 for tag in (0x00280010, 0x00280011, 0x00280002)]
    rows, columns, samples = numbers
    bits = integer(elements, 0x00280100) or 0
    if text(find(elements, 0x00280004)) == "YBR_FULL_422":
        samples = 2
    return rows * columns * samples * bits * number_of_frames(elements) // 8

"""Pixel data from file to file: never decoded, never a whole instance in memory.

Encapsulated frames come out as one fragment each with offset tables that are right (PS3.5 A.4);
native pixels come out in the length that the header says, without what was hidden behind them.
"""

import struct
from array import array
from collections.abc import Callable, Sequence
from typing import BinaryIO

import numpy as np
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
    PIXEL_VRS,
    UNDEFINED,
    Element,
    Header,
    element_header,
    find,
    integer,
    text,
)
from anonymizer.pixels.codestream import Cleaner as CodestreamCleaner
from anonymizer.pixels.copying import Cleaner, copy_frames
from anonymizer.pixels.items import ITEM, SEQUENCE_END, first_fragments, fragments_of
from anonymizer.pixels.pipe import BLOCK_BYTES, pipe
from anonymizer.pixels.rle import RleCleaner
from appliance.errors import InvalidInstance

Progress = Callable[[int], None]
"""Told how many bytes of the source were done since it was last told."""

NUMBER_OF_FRAMES = 0x00280008
_ROWS, _COLUMNS = 0x00280010, 0x00280011
EXTENDED_OFFSETS, EXTENDED_LENGTHS = 0x7FE00001, 0x7FE00002

_BITS_OF_A_BYTE = 8
_LAST_BASIC_OFFSET = 0xFFFFFFFE
_JPEG_2000 = (HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL, JPEG2000, JPEG2000Lossless)
_JPEG_LS = (JPEGLSLossless, JPEGLSNearLossless)
_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
_CODESTREAMS = frozenset((*_JPEG, *_JPEG_LS, *_JPEG_2000))


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
    if not (integer(elements, _ROWS) and integer(elements, _COLUMNS)):
        raise InvalidInstance("The object does not say how large its frames are.")
    with header.path.open("rb", buffering=0) as source:
        if header.pixel_place.length is None:
            _write_encapsulated(header, elements, source, file, done)
        else:
            _write_native(header, elements, source, file, done)


def number_of_frames(elements: Sequence[Element]) -> int:
    """Count the frames that the header promises; 1 when it says nothing.

    Raises
    ------
    InvalidInstance
        What it says is no count.
    """
    if not find(elements, NUMBER_OF_FRAMES):
        return 1
    count = integer(elements, NUMBER_OF_FRAMES)
    if not count or count < 0:
        raise InvalidInstance("The object does not say how many frames it has.")
    return count


def _write_encapsulated(
    header: Header, elements: Sequence[Element], source: BinaryIO, file: BinaryIO, done: Progress
) -> None:
    count = number_of_frames(elements)
    cleaner = _cleaner(header.transfer_syntax_uid, elements)
    descriptor = source.fileno()
    table, fragments = fragments_of(descriptor, header.pixel_place.offset)
    extended_table = header.value(EXTENDED_OFFSETS)
    starts = first_fragments(fragments, table, extended_table, count, descriptor)
    largest = fragments.offsets[-1] + fragments.lengths[-1] - fragments.offsets[0] + count
    extended = bool(extended_table) or largest > _LAST_BASIC_OFFSET
    place = _reserve_tables(file, count, extended=extended)
    with pipe(descriptor, file) as opened:
        lengths = copy_frames(opened, fragments, starts, cleaner, done)
    file.write(SEQUENCE_END)
    _fill_tables(file, place, lengths, extended=extended)


def _cleaner(syntax: str, elements: Sequence[Element]) -> Cleaner:
    if syntax in _CODESTREAMS:
        return CodestreamCleaner()
    if syntax == RLELossless:
        rows, columns = integer(elements, _ROWS) or 0, integer(elements, _COLUMNS) or 0
        return RleCleaner(rows * columns)
    raise InvalidInstance("The frames are compressed in a way that slides do not have.")


def _reserve_tables(file: BinaryIO, count: int, *, extended: bool) -> int:
    """Write the offset tables with zeros and the start of Pixel Data; give where they are."""
    if extended:
        file.writelines(
            element_header(tag, "OV", 8 * count) + bytes(8 * count)
            for tag in (EXTENDED_OFFSETS, EXTENDED_LENGTHS)
        )
    file.write(element_header(PIXEL_DATA, "OB", UNDEFINED))
    basic = 0 if extended else 4 * count
    file.write(ITEM + struct.pack("<I", basic) + bytes(basic))
    return file.tell()


def _fill_tables(file: BinaryIO, place: int, lengths: "array[int]", *, extended: bool) -> None:
    codestreams = np.frombuffer(lengths, np.uint64)
    ends = np.cumsum(8 + codestreams + codestreams % 2, dtype=np.uint64)
    offsets = np.concatenate((np.zeros(1, np.uint64), ends[:-1]))
    count, end = len(lengths), file.tell()
    if extended:
        head = 12  # tag, VR, reserved and length of the OV before each table
        pixels = place - 12 - 8
        file.seek(pixels - 8 * count)
        file.write(codestreams.astype("<u8").tobytes())
        file.seek(pixels - 8 * count - head - 8 * count)
        file.write(offsets.astype("<u8").tobytes())
    else:
        file.seek(place - 4 * count)
        file.write(offsets.astype("<u4").tobytes())
    file.seek(end)


def _write_native(
    header: Header, elements: Sequence[Element], source: BinaryIO, file: BinaryIO, done: Progress
) -> None:
    expected = native_bytes(elements)
    pixels = header.pixel_place
    if pixels.length is None or pixels.length < expected:
        raise InvalidInstance("The object has fewer pixels than its header says.")
    bits = integer(elements, 0x00280100) or 0
    padded = expected + expected % 2
    vr = "OB" if bits <= _BITS_OF_A_BYTE else PIXEL_VRS[pixels.tag]  # PS3.5 A.2
    if padded > _LAST_BASIC_OFFSET:
        raise InvalidInstance("The object has more native pixels than a file can hold.")
    file.write(element_header(pixels.tag, vr, padded))
    end = pixels.offset + expected
    with pipe(source.fileno(), file) as opened:
        for offset in range(pixels.offset, end, BLOCK_BYTES):
            length = min(BLOCK_BYTES, end - offset)
            data = opened.read(offset, length)
            opened.write([memoryview(data)[:length]], data)
            done(length)
    file.write(bytes(padded - expected))


def native_bytes(elements: Sequence[Element]) -> int:
    """Bytes of the native pixels that a header describes (PS3.5 8.1.1, PS3.3 C.7.6.3)."""
    numbers = [integer(elements, tag) or 0 for tag in (0x00280010, 0x00280011, 0x00280002)]
    rows, columns, samples = numbers
    bits = integer(elements, 0x00280100) or 0
    if text(find(elements, 0x00280004)) == "YBR_FULL_422":
        samples = 2
    return -(-rows * columns * samples * bits * number_of_frames(elements) // 8)

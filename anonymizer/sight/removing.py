"""Painting over what can be read: the frames concerned are made anew, all others stay as they are.

A place is painted white on every level of the pyramid. Only frames of JPEG baseline, one a tile in
the order of the tiles, are painted; a slide that is stored otherwise is refused.
"""

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, JpegImagePlugin
from pydicom.uid import JPEGBaseline8Bit

from anonymizer.part10.elements import (
    PIXEL_DATA,
    UNDEFINED,
    Element,
    Header,
    element_header,
    encode,
    integer,
)
from anonymizer.part10.reading import PREAMBLE_BYTES, read_header
from anonymizer.pixels.codestream import strip
from anonymizer.pixels.frames import EXTENDED_OFFSETS, number_of_frames
from anonymizer.pixels.writing import write_object
from anonymizer.sight.found import Box
from appliance.errors import IdentityDoubt
from appliance.slides.frames import EncodedFrames
from appliance.slides.jpeg import jpeg_facts, marked_rgb
from appliance.storage import storage_errors

_WHITE: Final = 255
_MARGIN: Final = 0.01
"""How much further than what was read is painted, by the image's longer side."""
_ITEM: Final = b"\xfe\xff\x00\xe0"
_END: Final = b"\xfe\xff\xdd\xe0" + bytes(4)
_HEAD_BYTES: Final = 12
_CONCATENATION_UID: Final = 0x00209161
_REFUSED: Final = (
    "Text can be read on the slide, and it is stored in a way in which nothing can be painted over."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tiling:
    """How an image is cut into frames."""

    rows: int
    columns: int
    tile_rows: int
    tile_columns: int
    is_rgb: bool

    @property
    def across(self) -> int:
        return -(-self.columns // self.tile_columns)

    @property
    def down(self) -> int:
        return -(-self.rows // self.tile_rows)


@dataclass(frozen=True, slots=True)
class _Painting:
    """What to paint on an image, in its pixels, and which frames that concerns."""

    tiling: _Tiling
    places: Sequence[Box]
    touched: frozenset[int]


def remove(file: Path, boxes: Sequence[Box]) -> int:
    """Paint places of an image white, in its file.

    Parameters
    ----------
    file
        An instance that this package wrote.
    boxes
        Places in shares of the image's height and width.

    Returns
    -------
    int
        How many frames were made anew.

    Raises
    ------
    IdentityDoubt
        The image is not stored as JPEG baseline, one frame a tile in order.
    StorageFull
        The disk is full.
    """
    header = read_header(file)
    tiling = _tiling(header)
    places = [_in_pixels(box, tiling) for box in boxes]
    touched = frozenset(number for place in places for number in _frames_under(place, tiling))
    elements = [element for element in header.elements if element.tag < PIXEL_DATA & 0xFFFF0000]
    part = file.with_name(f".{file.name}.part")
    try:
        with storage_errors():
            _write_painted(part, header, elements, _Painting(tiling, places, touched))
        file.unlink()
        write_object(file, read_header(part), elements, lambda _bytes: None)
    finally:
        part.unlink(missing_ok=True)
    return len(touched)


def _tiling(header: Header) -> _Tiling:
    numbers = [
        integer(header.elements, tag) or 0
        for tag in (0x00480007, 0x00480006, 0x00280010, 0x00280011)
    ]
    tiling = _Tiling(
        rows=numbers[0],
        columns=numbers[1],
        tile_rows=numbers[2],
        tile_columns=numbers[3],
        is_rgb=header.text(0x00280004) == "RGB",
    )
    plain = (
        header.transfer_syntax_uid == JPEGBaseline8Bit
        and header.text(0x00209311) == "TILED_FULL"
        and not header.value(_CONCATENATION_UID)
        and min(numbers) > 0
    )
    if not plain or number_of_frames(header.elements) != tiling.across * tiling.down:
        raise IdentityDoubt(_REFUSED)
    return tiling


def _in_pixels(box: Box, tiling: _Tiling) -> Box:
    place = box.scaled(tiling.rows, tiling.columns).grown(
        1 + _MARGIN * max(tiling.rows, tiling.columns)
    )
    return Box(
        top=max(0, int(place.top)),
        left=max(0, int(place.left)),
        bottom=min(tiling.rows, int(place.bottom) + 1),
        right=min(tiling.columns, int(place.right) + 1),
    )


def _frames_under(place: Box, tiling: _Tiling) -> Iterator[int]:
    last_row = int(place.bottom - 1) // tiling.tile_rows
    last_column = int(place.right - 1) // tiling.tile_columns
    for row in range(int(place.top) // tiling.tile_rows, last_row + 1):
        for column in range(int(place.left) // tiling.tile_columns, last_column + 1):
            yield row * tiling.across + column


def _write_painted(
    part: Path, header: Header, elements: Sequence[Element], painting: _Painting
) -> None:
    """Write the file with painted frames and an empty offset table."""
    frames = EncodedFrames(
        header.path,
        pixel_data_at=header.pixel_place.offset - _HEAD_BYTES,
        n_frames=number_of_frames(header.elements),
        extended_offsets=header.value(EXTENDED_OFFSETS),
    )
    with frames, part.open("wb") as target:
        target.write(bytes(PREAMBLE_BYTES) + b"DICM" + encode(header.meta) + encode(elements))
        target.write(element_header(PIXEL_DATA, "OB", UNDEFINED) + _ITEM + bytes(4))
        for number in range(len(frames)):
            frame = frames.frame(number)
            if number in painting.touched:
                frame = _painted(frame, number, painting)
            padded = frame + b"\0" * (len(frame) % 2)
            target.write(_ITEM + struct.pack("<I", len(padded)))
            target.write(padded)
        target.write(_END)


def _painted(frame: bytes, number: int, painting: _Painting) -> bytes:
    """Decode a frame, paint it and encode it as it was: colours, tables and sampling."""
    tiling = painting.tiling
    facts = jpeg_facts(frame)
    bare_rgb = tiling.is_rgb and facts is not None and not facts.names_colour
    try:
        image = Image.open(io.BytesIO(marked_rgb(frame) if bare_rgb else frame))
        pixels = np.array(image)
    except (Image.DecompressionBombError, OSError, ValueError) as error:
        raise IdentityDoubt(_REFUSED) from error
    top = number // tiling.across * tiling.tile_rows
    left = number % tiling.across * tiling.tile_columns
    for place in painting.places:
        rows = slice(max(0, int(place.top) - top), max(0, int(place.bottom) - top))
        columns = slice(max(0, int(place.left) - left), max(0, int(place.right) - left))
        pixels[rows, columns] = _WHITE
    return strip(_encoded(pixels, image, keep_rgb=bare_rgb))


def _encoded(pixels: Any, image: Image.Image, *, keep_rgb: bool) -> bytes:
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        raise IdentityDoubt(_REFUSED)
    keep_rgb = keep_rgb or image.info.get("adobe_transform") == 0
    sampling = JpegImagePlugin.get_sampling(image)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer,
        "JPEG",
        qtables=image.quantization,
        subsampling=0 if keep_rgb else max(0, sampling),
        keep_rgb=keep_rgb,
    )
    return buffer.getvalue()

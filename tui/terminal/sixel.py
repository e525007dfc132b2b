"""A picture as sixels: bands of six rows, one pass for each colour, for terminals that draw them.

Written here and not taken from a library: it is little, needs nothing but Pillow, and the library
that there is (textual-image) asks the terminal when it is imported and draws at every refresh.
"""

import re
from functools import lru_cache

from PIL import Image

COLOURS = 64
BAND_PX = 6
PERCENT = 100
FIRST = 63
"""The character of a sixel without a pixel; each pixel of the six adds its bit."""
SHIFT = bytes(min(255, value + FIRST) for value in range(256))
RUN = re.compile(r"(.)\1{3,}")


def encode(picture: Image.Image) -> str:
    """Write an RGB picture as one sixel sequence, at its own size."""
    coded = picture.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    width, height = coded.size
    pixels = coded.tobytes()
    rows = [pixels[top : top + width] for top in range(0, width * height, width)]
    bands = [_band(rows[top : top + BAND_PX], width) for top in range(0, height, BAND_PX)]
    colours = _colours(coded.getpalette() or [])
    return f'\x1bP0;1;0q"1;1;{width};{height}{colours}{"-".join(bands)}\x1b\\'


def _colours(palette: list[int]) -> str:
    levels = [round(level * PERCENT / 255) for level in palette[: 3 * COLOURS]]
    return "".join(
        f"#{number};2;{levels[3 * number]};{levels[3 * number + 1]};{levels[3 * number + 2]}"
        for number in range(len(levels) // 3)
    )


def _band(rows: list[bytes], width: int) -> str:
    """Write up to six rows: every colour in them draws its pixels from the left edge."""
    return "$".join(
        f"#{colour}{_packed(_sixels(rows, colour, width))}"
        for colour in sorted(set(b"".join(rows)))
    )


def _sixels(rows: list[bytes], colour: int, width: int) -> str:
    # Big integers put the bits of whole rows together at once: Python's loops would take seconds.
    bits = 0
    for number, row in enumerate(rows):
        bits |= int.from_bytes(row.translate(_bit(colour, number)), "big")
    return bits.to_bytes(width, "big").translate(SHIFT).decode("ascii")


def _packed(sixels: str) -> str:
    return RUN.sub(lambda run: f"!{len(run[0])}{run[1]}", sixels.rstrip(chr(FIRST)))


@lru_cache(maxsize=COLOURS * BAND_PX)
def _bit(colour: int, number: int) -> bytes:
    """Give a table that turns a colour into the bit of its row, and any other into none."""
    return bytes((value == colour) << number for value in range(256))

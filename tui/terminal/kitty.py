"""A picture for terminals with kitty's graphics: sent once, then shown by characters in its place.

The characters are text like any other (Unicode placeholders), so that scrolling, clipping and
dialogs over the picture need nothing special.
"""

import base64
from io import BytesIO

from PIL import Image

CHUNK = 4096
PLACEHOLDER = "\U0010eeee"
ROWS = tuple(
    map(
        chr,
        (
            0x0305, 0x030D, 0x030E, 0x0310, 0x0312, 0x033D, 0x033E, 0x033F, 0x0346, 0x034A, 0x034B,
            0x034C, 0x0350, 0x0351, 0x0352, 0x0357, 0x035B, 0x0363, 0x0364, 0x0365, 0x0366, 0x0367,
            0x0368, 0x0369, 0x036A, 0x036B, 0x036C, 0x036D, 0x036E, 0x036F, 0x0483, 0x0484, 0x0485,
            0x0486, 0x0487, 0x0592, 0x0593, 0x0594, 0x0595, 0x0597, 0x0598, 0x0599, 0x059C, 0x059D,
            0x059E, 0x059F, 0x05A0, 0x05A1, 0x05A8, 0x05A9, 0x05AB, 0x05AC, 0x05AF, 0x05C4, 0x0610,
            0x0611, 0x0612, 0x0613, 0x0614, 0x0615,
        ),
    )
)  # fmt: skip
"""Diacritics that say of which row of the picture a cell is; a higher picture is not shown so."""


def transmission(picture: Image.Image, *, number: int, columns: int, rows: int) -> str:
    """Write what sends a picture under a number, to be shown in so many cells.

    A picture that had the number before is forgotten by the terminal.
    """
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    chunks = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    first = f"a=T,U=1,f=100,q=2,i={number},c={columns},r={rows},"
    return f"{removal(number)}" + "".join(
        f"\x1b_G{first if place == 0 else ''}m={int(place + 1 < len(chunks))};{chunk}\x1b\\"
        for place, chunk in enumerate(chunks)
    )


def removal(number: int) -> str:
    """Write what makes the terminal forget a picture."""
    return f"\x1b_Ga=d,d=I,q=2,i={number}\x1b\\"


def row_of_cells(row: int, columns: int) -> str:
    """Give the text in whose place a row of the picture is shown; the colour names its number."""
    return f"{PLACEHOLDER}{ROWS[row]}{ROWS[0]}{PLACEHOLDER * (columns - 1)}"


def colour(number: int) -> tuple[int, int, int]:
    """Give the colour that names a picture: the red, green and blue bytes of its number."""
    return (number >> 16 & 255, number >> 8 & 255, number & 255)

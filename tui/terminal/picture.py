"""Pictures in cells: each cell shows two pixels, one above the other, in 24-bit colour.

A picture of 60 by 20 cells is 60 by 40 pixels: enough to know a section and find an artifact,
never to diagnose.
"""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFilter

from appliance.errors import ApplianceError
from appliance.plain_file import open_plain
from appliance.slides.findings import SLIDE_AREA

MOST_READ_PX = 20_000_000
"""A report's picture has fewer pixels; memory for more is not taken on the word of a file."""
MOST_PX = 1024
"""A terminal with graphics shows no more than this; larger ones are shrunk when they are read."""
STAINED_LEVEL = 24
"""Saturation (0 to 255) from which a pixel is no empty glass."""
MARGIN = 0.03
UPPER_HALF = "▀"
RESET = "\x1b[0m"
SHADES = " ░▒▓█"
"""From white glass to the darkest tissue, for a terminal without colour."""

Rgb = tuple[int, int, int]


class PictureUnreadable(ApplianceError):
    """A picture file is missing or damaged."""

    code = "picture"


@dataclass(frozen=True, slots=True)
class Cell:
    """One character cell: the colour of its upper and its lower half."""

    upper: Rgb
    lower: Rgb


def load(path: Path) -> Image.Image:
    """Read a picture as RGB on white, shrunk to what a terminal can show.

    Raises
    ------
    PictureUnreadable
        The file is missing or no picture.
    """
    try:
        with open_plain(path) as content, Image.open(content) as file:
            _check_size(file)
            rgba = file.convert("RGBA").crop(_slide_area(file))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureUnreadable(f"The picture {path.name} cannot be read.") from error
    ground = Image.new("RGBA", rgba.size, "white")
    picture = Image.alpha_composite(ground, rgba).convert("RGB")
    picture.thumbnail((MOST_PX, MOST_PX), Image.Resampling.BOX)
    return picture


def _check_size(file: Image.Image) -> None:
    if file.width * file.height > MOST_READ_PX:
        raise ValueError("larger than any of ours")


def _slide_area(file: Image.Image) -> tuple[int, int, int, int]:
    """Find the slide inside title and legend, which no terminal could show; else take it all."""
    whole = (0, 0, file.width, file.height)
    try:
        left, top, width, height = map(int, str(file.info.get(SLIDE_AREA, "")).split())
    except ValueError:
        return whole
    is_inside = 0 <= left < left + width <= file.width and 0 <= top < top + height <= file.height
    return (left, top, left + width, top + height) if is_inside else whole


def around_tissue(picture: Image.Image, *, like: Image.Image | None = None) -> Image.Image:
    """Cut empty glass away on all sides, so that tissue is as large as it can be.

    Parameters
    ----------
    picture
        Of a slide.
    like
        Another picture of the same slide and size, whose tissue counts; None for this one's.
    """
    whole = like or picture
    saturation = whole.convert("HSV").getchannel("S").filter(ImageFilter.MedianFilter(5))
    box = saturation.point([255 * (level > STAINED_LEVEL) for level in range(256)]).getbbox()
    if box is None:
        return picture
    margin = round(MARGIN * max(picture.size))
    left, top, right, bottom = box
    return picture.crop(
        (
            max(0, left - margin),
            max(0, top - margin),
            min(picture.width, right + margin),
            min(picture.height, bottom + margin),
        )
    )


def scaled(picture: Image.Image, *, width: int, height: int) -> Image.Image:
    """Scale a picture into at most so many pixels, keeping its shape."""
    scale = min(width / picture.width, height / picture.height)
    size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def cells(picture: Image.Image, *, columns: int, rows: int) -> tuple[tuple[Cell, ...], ...]:
    """Scale a picture into at most so many columns and rows of cells, keeping its shape.

    Returns
    -------
    tuple of tuple of Cell
        Rows of cells, top first, each as long as the picture is wide.
    """
    scale = min(columns / picture.width, 2 * rows / picture.height)
    width = max(1, min(columns, round(picture.width * scale)))
    height = max(2, min(2 * rows, 2 * round(picture.height * scale / 2)))
    small = picture.resize((width, height), Image.Resampling.LANCZOS)
    pixels = small.load()
    assert pixels is not None  # noqa: S101  for the type checker: an RGB image has pixels
    return tuple(
        tuple(
            Cell(_rgb(pixels[column, row]), _rgb(pixels[column, row + 1]))
            for column in range(width)
        )
        for row in range(0, height, 2)
    )


def _rgb(pixel: object) -> Rgb:
    assert isinstance(pixel, tuple)  # noqa: S101  for the type checker: the image is RGB
    red, green, blue = pixel
    return (red, green, blue)


def ansi(picture: Image.Image, *, columns: int, rows: int = 1000) -> str:
    """Write a picture as text for a terminal with 24-bit colour."""
    return "\n".join(_ansi_row(row) for row in cells(picture, columns=columns, rows=rows))


def _ansi_row(row: tuple[Cell, ...]) -> str:
    parts = []
    before: Cell | None = None
    for cell in row:
        if before is None or cell != before:
            upper = "38;2;{};{};{}".format(*cell.upper)
            lower = "48;2;{};{};{}".format(*cell.lower)
            parts.append(f"\x1b[{upper};{lower}m")
        parts.append(UPPER_HALF)
        before = cell
    return "".join(parts) + RESET


def shades(picture: Image.Image, *, columns: int, rows: int = 1000) -> str:
    """Write a picture as five shades of characters, for a terminal without colour."""
    return "\n".join(
        "".join(_shade(cell) for cell in row) for row in cells(picture, columns=columns, rows=rows)
    )


def _shade(cell: Cell) -> str:
    light = (sum(cell.upper) + sum(cell.lower)) / (6 * 255)
    return SHADES[min(len(SHADES) - 1, int((1 - light) * len(SHADES) * 1.3))]

"""Show the best reassembly to a person."""

from collections import Counter
from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from anonymizer.attack.assembly import Assembly
from anonymizer.attack.symmetry import POSES
from anonymizer.attack.tile_set import RGB

Bools = npt.NDArray[np.bool_]

_WIDEST_PX: Final = 1600
_TILE_PX: Final = (24, 96)
_MOST_PARTS: Final = 12
_GAP_PX: Final = 24
_LEGEND_PX: Final = 68
_WHITE: Final = (255, 255, 255)
_INK: Final = (25, 25, 25)
RIGHT: Final = (0, 114, 178)
WRONG: Final = (213, 94, 0)
UNKNOWN: Final = (120, 120, 120)
"""Blue and vermilion: told apart by those who see no green or no red, too."""


def picture(pixels: RGB, assembly: Assembly, is_right: Bools | None, *, title: str) -> bytes:
    """Draw the largest parts of an assembly, tiles side by side, as PNG.

    Parameters
    ----------
    pixels
        `(n, side, side, 3)`.
    assembly
        Where the attacker put them.
    is_right
        `(n,)`: tiles in their right place; None: nobody knows.
    title
        One line above the picture.
    """
    parts = _largest_parts(assembly)
    boxes = [np.ptp(assembly.position[part], axis=0) + 1 for part in parts]
    tile_px = _tile_px(boxes, pixels.shape[1])
    places, height = _shelves([(int(b[0]) * tile_px, int(b[1]) * tile_px) for b in boxes])
    canvas = Image.new("RGB", (_WIDEST_PX, _LEGEND_PX + height), _WHITE)
    draw = ImageDraw.Draw(canvas)
    _legend(draw, title, is_right)
    for part, (top, left) in zip(parts, places, strict=True):
        corner = assembly.position[part].min(axis=0)
        for index in part:
            row, column = (assembly.position[index] - corner) * tile_px
            at = (left + int(column), _LEGEND_PX + top + int(row))
            canvas.paste(_tile(pixels[index], int(assembly.pose[index]), tile_px), at)
            box = (*at, at[0] + tile_px - 1, at[1] + tile_px - 1)
            draw.rectangle(box, outline=_colour(is_right, index), width=max(1, tile_px // 24))
    buffer = BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def turned_as(tile: RGB, pose: int) -> RGB:
    """Turn a tile `(side, side, 3)` as the attacker did."""
    rows, columns = np.indices(tile.shape[:2]) * 2 - (tile.shape[0] - 1)
    back = POSES[pose].T  # an orthogonal matrix: its transpose undoes it
    source = np.einsum("ij,jrc->irc", back, np.stack([rows, columns]))
    source_row, source_column = (source + tile.shape[0] - 1) // 2
    return np.asarray(tile[source_row, source_column], dtype=np.uint8)


def _largest_parts(assembly: Assembly) -> list[list[int]]:
    sizes = Counter(assembly.part.tolist())
    joined = [part for part, size in sizes.most_common(_MOST_PARTS) if size > 1]
    chosen = joined or [part for part, _ in sizes.most_common(_MOST_PARTS)]
    return [np.flatnonzero(assembly.part == part).tolist() for part in chosen]


def _tile_px(boxes: list[npt.NDArray[np.int64]], side_px: int) -> int:
    fits = _WIDEST_PX // max(int(box[1]) for box in boxes)
    return max(min(_TILE_PX[0], fits), min(_TILE_PX[1], side_px, fits), 1)


def _shelves(sizes: list[tuple[int, int]]) -> tuple[list[tuple[int, int]], int]:
    """Put boxes (height, width) in rows, and give their top-left corners and the height of all."""
    places, top, left, tallest = [], 0, 0, 0
    for height, width in sizes:
        if left and left + width > _WIDEST_PX:
            top, left, tallest = top + tallest + _GAP_PX, 0, 0
        places.append((top, left))
        left, tallest = left + width + _GAP_PX, max(tallest, height)
    return places, top + tallest


def _legend(draw: ImageDraw.ImageDraw, title: str, is_right: Bools | None) -> None:
    font = ImageFont.load_default(size=18)
    draw.text((8, 6), title, fill=_INK, font=font)
    if is_right is None:
        entries = [(UNKNOWN, "as the attacker put them together; nobody said what is right")]
    else:
        n_right = int(is_right.sum())
        entries = [
            (RIGHT, f"in the right place: {n_right} of {len(is_right)} tiles"),
            (WRONG, "in a wrong place; tiles that were joined to nothing are not shown"),
        ]
    left = 8
    for colour, words in entries:
        draw.rectangle((left, 38, left + 18, 56), outline=colour, width=4)
        draw.text((left + 26, 37), words, fill=_INK, font=font)
        left += 60 + int(draw.textlength(words, font=font))


def _tile(tile: RGB, pose: int, tile_px: int) -> Image.Image:
    image = Image.fromarray(turned_as(tile, pose))
    return image.resize((tile_px, tile_px), Image.Resampling.BOX)


def _colour(is_right: Bools | None, index: int) -> tuple[int, int, int]:
    if is_right is None:
        return UNKNOWN
    return RIGHT if is_right[index] else WRONG

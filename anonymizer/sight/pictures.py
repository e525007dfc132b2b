"""Pictures of a slide in which letters on the glass can be read, small enough to look through.

Letters on a slide are millimetres tall, so the whole slide in 1,536 pixels still shows them. The
coarsest level is looked at too: a scanner may have put a picture of another kind there.
"""

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from anonymizer.sight.found import Picture
from appliance.slides.reader import Level, SlideReader

_SIDE_PX: Final = 1536
_SMALL_PX: Final = 512
"""A picture whose longer side is shorter is made twice as large: tesseract wants large letters."""
_SMALLEST_PX: Final = 128
_BLOCK_BYTES: Final = 64 << 20


def pictures(slide: SlideReader) -> Iterator[Picture]:
    """Give pictures of the whole slide: a sharp one, and the coarsest level."""
    sides = [max(level.rows, level.columns) for level in slide.levels]
    sharp = max((n for n, side in enumerate(sides) if side >= _SIDE_PX), default=0)
    coarsest = max((n for n, side in enumerate(sides) if side >= _SMALLEST_PX), default=0)
    for number in sorted({sharp, coarsest}):
        yield _picture(slide, number)


def fitting(picture: Picture) -> Picture:
    """Bring a picture to a size in which letters are read best."""
    side = max(picture.shape[:2])
    if side > _SIDE_PX:
        scale, by = _SIDE_PX / side, cv2.INTER_AREA
    elif side < _SMALL_PX:
        scale, by = 2.0, cv2.INTER_CUBIC
    else:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=by), np.uint8)


def _picture(slide: SlideReader, number: int) -> Picture:
    """Read a level in bands of whole tiles, each reduced before the next one is read."""
    level = slide.levels[number]
    scale = min(1.0, _SIDE_PX / max(level.rows, level.columns))
    columns = max(1, round(level.columns * scale))
    band_rows = _band_rows(level)
    bands = []
    for top in range(0, level.rows, band_rows):
        rows = min(band_rows, level.rows - top)
        pixels = slide.region(number, top, 0, rows, level.columns)
        size = (columns, max(1, round((top + rows) * scale) - round(top * scale)))
        bands.append(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    return fitting(np.concatenate(bands))


def _band_rows(level: Level) -> int:
    tile_rows = level.tile_px[0]
    tiles = _BLOCK_BYTES // max(1, 3 * level.columns * tile_rows)
    return tile_rows * max(1, tiles)

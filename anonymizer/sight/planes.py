"""Grey pictures in which ink stands out from tissue, made of a colour picture.

Tissue hides letters from tesseract, which splits a page into paper and ink by one brightness. So
letters are sought in an evened picture of the red light, in which eosin is as bright as glass, and
in pictures of those strokes alone that have a colour no stained tissue has.
"""

from typing import Final

import cv2
import numpy as np

from anonymizer.sight.found import Picture
from anonymizer.sight.lines import Mask

_EVEN_PX: Final = 25.0
_EVEN_TO: Final = 230
_EVEN_BELOW: Final = 165
_BLACK_BELOW: Final = 110
_RED_OVER: Final = 75
_COOL_OVER: Final = 12
_COOL_BELOW: Final = 170


def planes(picture: Picture) -> tuple[tuple[Picture, Mask], ...]:
    """Give grey pictures to look for text in, each with a mask of what is dark in it.

    Parameters
    ----------
    picture
        `(rows, columns, 3)` RGB.
    """
    evened = _evened(picture)
    red, green, blue = (picture[..., number].astype(np.int16) for number in range(3))
    inks = (
        picture.max(axis=2) < _BLACK_BELOW,
        red - np.maximum(green, blue) > _RED_OVER,
        (np.maximum(green, blue) - red > _COOL_OVER)
        & (green > red)
        & (picture.min(axis=2) < _COOL_BELOW),
    )
    drawn = ((np.where(ink, 0, 255).astype(np.uint8), ink) for ink in inks)
    return ((evened, evened < _EVEN_BELOW), *drawn)


def _evened(picture: Picture) -> Picture:
    red = np.ascontiguousarray(picture[..., 0])
    around = cv2.GaussianBlur(red, (0, 0), _EVEN_PX)
    return np.asarray(cv2.divide(red, around, scale=_EVEN_TO), np.uint8)

"""The door to zxing-cpp: barcodes of every symbology in a picture, any way round, inverted too."""

from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
import zxingcpp

from anonymizer.sight.found import Barcode, Box, Picture

_WHITE: Final = (255, 255, 255)
_TURNS_DEGREES: Final = (0.0, 22.5, 45.0, 67.5)
_WITHOUT_CHECK: Final = frozenset(("ITF", "Codabar", "DXFilmEdge"))
_SHORTEST_WITHOUT_CHECK: Final = 6
"""Symbologies without a check character are found by chance among stripes; long texts are not."""


def read_barcodes(picture: Picture) -> tuple[Barcode, ...]:
    """Find barcodes in an RGB picture, however they lie; one that is read twice is given once."""
    found: list[Barcode] = []
    for degrees in _TURNS_DEGREES:
        known = {(barcode.symbology, barcode.text) for barcode in found}
        found += [
            barcode
            for barcode in _read(picture, degrees)
            if (barcode.symbology, barcode.text) not in known and not _is_by_chance(barcode)
        ]
    return tuple(found)


def _read(picture: Picture, degrees: float) -> Iterator[Barcode]:
    """Read a picture that is turned first: stripes are read along rows and columns only."""
    rows, columns = picture.shape[:2]
    turn: Any = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1.0)
    reach = np.abs(turn[:, :2]) @ (columns, rows)
    turn[:, 2] += (reach - (columns, rows)) / 2
    size = (round(reach[0]), round(reach[1]))
    turned = cv2.warpAffine(picture, turn, size, borderValue=_WHITE) if degrees else picture
    back = cv2.invertAffineTransform(turn)
    for one in zxingcpp.read_barcodes(np.ascontiguousarray(turned[..., ::-1])):
        place = one.position
        corners = (place.top_left, place.top_right, place.bottom_left, place.bottom_right)
        across, down = back @ np.array([(corner.x, corner.y, 1.0) for corner in corners]).T
        box = Box(top=min(down), left=min(across), bottom=max(down), right=max(across))
        if one.text:
            yield Barcode(text=one.text, symbology=one.format.name, box=box)


def _is_by_chance(barcode: Barcode) -> bool:
    weak = barcode.symbology in _WITHOUT_CHECK
    return weak and len(barcode.text) < _SHORTEST_WITHOUT_CHECK

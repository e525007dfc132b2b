"""The door to zxing-cpp: barcodes of every symbology in a picture, any way round, inverted too."""

from typing import Final

import numpy as np
import zxingcpp

from anonymizer.sight.found import Barcode, Box, Picture

_WITHOUT_CHECK: Final = frozenset(("ITF", "Codabar", "DXFilmEdge"))
_SHORTEST_WITHOUT_CHECK: Final = 6
"""Symbologies without a check character are found by chance among stripes; long texts are not."""


def read_barcodes(picture: Picture) -> tuple[Barcode, ...]:
    """Find barcodes in an RGB picture."""
    found = zxingcpp.read_barcodes(np.ascontiguousarray(picture[..., ::-1]))
    barcodes = (_barcode(one) for one in found)
    return tuple(one for one in barcodes if one.text and not _is_by_chance(one))


def _barcode(found: zxingcpp.Barcode) -> Barcode:
    place = found.position
    corners = (place.top_left, place.top_right, place.bottom_left, place.bottom_right)
    box = Box(
        top=min(corner.y for corner in corners),
        left=min(corner.x for corner in corners),
        bottom=max(corner.y for corner in corners),
        right=max(corner.x for corner in corners),
    )
    return Barcode(text=found.text, symbology=found.format.name, box=box)


def _is_by_chance(barcode: Barcode) -> bool:
    weak = barcode.symbology in _WITHOUT_CHECK
    return weak and len(barcode.text) < _SHORTEST_WITHOUT_CHECK

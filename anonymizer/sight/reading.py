"""Reading a picture: every ink, four ways round, words and barcodes."""

from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np

from anonymizer.sight.barcodes import read_barcodes
from anonymizer.sight.found import Box, Picture, Reading, Word
from anonymizer.sight.lines import Mask, lines
from anonymizer.sight.planes import planes

_MARGIN_PX: Final = 6


class Words(Protocol):
    """What finds upright words in a grey picture."""

    def words(self, grey: Picture) -> tuple[Word, ...]:
        """Find them."""


def read(picture: Picture, reader: Words) -> Reading:
    """Read words and barcodes of an RGB picture, whichever way round they stand."""
    found = [word for plane, ink in planes(picture) for word in _any_way_round(plane, ink, reader)]
    return Reading(words=tuple(found), barcodes=read_barcodes(picture))


def _any_way_round(plane: Picture, ink: Mask, reader: Words) -> Iterator[Word]:
    """Read the lines of a plane in four rotations; places are given in the upright one."""
    for quarter in (0, 1):
        sheet = _lines_alone(np.rot90(plane, quarter), np.rot90(ink, quarter))
        if sheet is None:
            continue
        for upside_down in (0, 2):
            for word in reader.words(np.ascontiguousarray(np.rot90(sheet, upside_down))):
                box = _turned_back(word.box, quarter + upside_down, plane.shape)
                yield Word(text=word.text, confidence=word.confidence, box=box)


def _lines_alone(plane: Picture, ink: Mask) -> Picture | None:
    """Give a plane with everything white but what may be a line of letters."""
    sheet = np.full(plane.shape, 255, np.uint8)
    boxes = lines(np.ascontiguousarray(ink))
    for box in boxes:
        top, left = (max(0, int(one) - _MARGIN_PX) for one in (box.top, box.left))
        place = np.s_[top : int(box.bottom) + _MARGIN_PX, left : int(box.right) + _MARGIN_PX]
        sheet[place] = plane[place]
    return sheet if boxes else None


def _turned_back(box: Box, quarter: int, shape: tuple[int, ...]) -> Box:
    """Give the place in the upright plane of a box that was found in a turned one."""
    rows, columns = shape
    top, left, bottom, right = (
        (box.top, box.left, box.bottom, box.right),
        (box.left, columns - box.bottom, box.right, columns - box.top),
        (rows - box.bottom, columns - box.right, rows - box.top, columns - box.left),
        (rows - box.right, box.top, rows - box.left, box.bottom),
    )[quarter]
    return Box(top=top, left=left, bottom=bottom, right=right)

"""Reading a picture: every ink, four ways round, words and barcodes."""

from collections.abc import Iterator, Sequence
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
    """Read the lines of a plane in four rotations; places are given in the upright one.

    The place of a word is its whole line: what stands beside it may be a name, read or not.
    """
    for quarter in (0, 1):
        turned = np.rot90(plane, quarter)
        boxes = lines(np.ascontiguousarray(np.rot90(ink, quarter)))
        if not boxes:
            continue
        sheet = _alone(turned, boxes)
        for upside_down in (0, 2):
            for word in reader.words(np.ascontiguousarray(np.rot90(sheet, upside_down))):
                box = _turned_back(word.box, upside_down, sheet.shape)
                line = _turned_back(_with_line(box, boxes), quarter, plane.shape)
                yield Word(text=word.text, confidence=word.confidence, box=line)


def _alone(plane: Picture, boxes: Sequence[Box]) -> Picture:
    """Give a plane with everything white but what may be a line of letters."""
    sheet = np.full(plane.shape, 255, np.uint8)
    for box in boxes:
        top, left = (max(0, int(one) - _MARGIN_PX) for one in (box.top, box.left))
        place = np.s_[top : int(box.bottom) + _MARGIN_PX, left : int(box.right) + _MARGIN_PX]
        sheet[place] = plane[place]
    return sheet


def _with_line(word: Box, boxes: Sequence[Box]) -> Box:
    """Join a word with the lines that its middle stands in."""
    row, column = (word.top + word.bottom) / 2, (word.left + word.right) / 2
    around = [
        box for box in boxes if box.top <= row <= box.bottom and box.left <= column <= box.right
    ]
    together = [word, *around]
    return Box(
        top=min(box.top for box in together),
        left=min(box.left for box in together),
        bottom=max(box.bottom for box in together),
        right=max(box.right for box in together),
    )


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

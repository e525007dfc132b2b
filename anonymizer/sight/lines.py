"""Where a line of letters may stand: strokes of one size, side by side, with nothing around.

Nuclei have the size of letters too, but they lie in heaps, not in rows. What is left white costs
tesseract nothing, and what it never sees it cannot take for a word.
"""

from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from anonymizer.sight.found import Box

Mask = npt.NDArray[np.bool_]

_HEIGHTS_PX: Final = ((6, 16), (11, 32), (22, 64), (44, 128), (88, 256))
"""Heights of letters that are looked for together."""
_SLIMMEST: Final = 0.1
_WIDEST: Final = 6.0
"""Width of a stroke by its height: an I, or a word in one stroke."""
_FULLEST: Final = 0.8
_FEWEST_STROKES: Final = 3
_GAP: Final = 0.6
"""Widest gap between letters, by the greatest height."""
_TALLEST_LINE: Final = 1.8
"""Height of a line that leans, by the greatest height of its letters."""
_SHORTEST_LINE: Final = 1.5
"""Width of a line by its height."""


def lines(ink: Mask) -> tuple[Box, ...]:
    """Find the places in a mask where a line of letters may run from left to right."""
    _, parts, sizes, middles = cv2.connectedComponentsWithStats(
        ink.astype(np.uint8), connectivity=8
    )
    width, height = sizes[:, cv2.CC_STAT_WIDTH], sizes[:, cv2.CC_STAT_HEIGHT]
    letter = (width > _SLIMMEST * height) & (width < _WIDEST * height)
    letter &= (sizes[:, cv2.CC_STAT_AREA] < _FULLEST * width * height) | (width < height / 2)
    letter[0] = False  # the ground
    found: list[Box] = []
    for least, most in _HEIGHTS_PX:
        chosen = letter & (height >= least) & (height <= most)
        if np.count_nonzero(chosen) >= _FEWEST_STROKES:
            found += _rows_of(chosen[parts], middles[chosen], most)
    return tuple(found)


def _rows_of(strokes: Mask, middles: npt.NDArray[Any], most: int) -> Iterator[Box]:
    """Join strokes that stand side by side, and give what has the shape of a line."""
    reach = np.ones((1, max(3, int(_GAP * most)) | 1), np.uint8)
    joined = cv2.morphologyEx(strokes.astype(np.uint8), cv2.MORPH_CLOSE, reach)
    count, rows, sizes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    at = np.rint(middles).astype(int)
    # The middle of a letter may be a hole in it; its row is the one that covers it after joining.
    members = np.bincount(rows[at[:, 1], at[:, 0]], minlength=count)
    for number in range(1, count):
        left, top, width, height, _ = (int(value) for value in sizes[number])
        long = width >= _SHORTEST_LINE * height and height <= _TALLEST_LINE * most
        if long and members[number] >= _FEWEST_STROKES:
            yield Box(top=top, left=left, bottom=top + height, right=left + width)

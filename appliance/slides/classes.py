"""The eight classes of the class map: one index, name, colour and plain word each."""

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

ClassMap = npt.NDArray[np.uint8]
"""`(rows, columns)` of `SlideClass`; row 0, column 0 is the corner of the total pixel matrix."""
Mask = npt.NDArray[np.bool_]
"""`(rows, columns)`, on the same grid."""


class SlideClass(IntEnum):
    """What one pixel of the class map shows; the value is the index in `class_map.png`."""

    BACKGROUND = 0
    TISSUE = 1
    FOLD = 2
    DARK_SPOT = 3
    PEN = 4
    BUBBLE = 5
    OUT_OF_FOCUS = 6
    BLOOD = 7

    @property
    def key(self) -> str:
        """Name in settings, findings and model manifests, such as `out_of_focus`."""
        return self.name.lower()

    @property
    def look(self) -> "Look":
        """How the class is named and coloured for people."""
        return LOOKS[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a class is shown to people."""

    words: str
    """Lower-case words for a sentence: `out of focus`."""
    rgb: tuple[int, int, int]
    """Overlay colour, 8-bit sRGB; told apart by people with colour blindness (Okabe-Ito)."""


LOOKS: MappingProxyType[SlideClass, Look] = MappingProxyType(
    {
        SlideClass.BACKGROUND: Look(words="background", rgb=(255, 255, 255)),
        SlideClass.TISSUE: Look(words="clean tissue", rgb=(0, 158, 115)),
        SlideClass.FOLD: Look(words="fold", rgb=(213, 94, 0)),
        SlideClass.DARK_SPOT: Look(words="dark spot", rgb=(20, 20, 20)),
        SlideClass.PEN: Look(words="pen mark", rgb=(0, 114, 178)),
        SlideClass.BUBBLE: Look(words="air bubble", rgb=(86, 180, 233)),
        SlideClass.OUT_OF_FOCUS: Look(words="out of focus", rgb=(240, 228, 66)),
        SlideClass.BLOOD: Look(words="blood", rgb=(204, 121, 167)),
    }
)

ARTIFACTS: tuple[SlideClass, ...] = (
    SlideClass.FOLD,
    SlideClass.DARK_SPOT,
    SlideClass.PEN,
    SlideClass.BUBBLE,
    SlideClass.OUT_OF_FOCUS,
    SlideClass.BLOOD,
)
"""The classes that are artifacts, in the order in which every table shows them."""


def by_key(key: str) -> SlideClass:
    """Give the class of a settings or manifest name such as `out_of_focus`.

    Raises
    ------
    KeyError
        No class has that name.
    """
    return SlideClass[key.upper()]

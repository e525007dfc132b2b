"""What was read in a picture, and where."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""`(rows, columns, 3)` RGB, or `(rows, columns)` grey."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle; in pixels of a picture, or in shares of one (0 to 1)."""

    top: float
    left: float
    bottom: float
    right: float

    def scaled(self, down: float, across: float) -> "Box":
        """Give the same rectangle in other units."""
        return Box(
            top=self.top * down,
            left=self.left * across,
            bottom=self.bottom * down,
            right=self.right * across,
        )

    def grown(self, margin: float) -> "Box":
        """Give a rectangle that is wider by a margin on every side."""
        return Box(
            top=self.top - margin,
            left=self.left - margin,
            bottom=self.bottom + margin,
            right=self.right + margin,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word that may stand in a picture."""

    text: str
    confidence: float
    """As tesseract gives it, 0 to 100."""
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Barcode:
    """A barcode in a picture; its symbology checks itself."""

    text: str
    symbology: str
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything that was read in a picture."""

    words: tuple[Word, ...]
    barcodes: tuple[Barcode, ...]


def letters(text: str) -> str:
    """Give letters and digits alone, in capitals: how identifiers are compared."""
    return "".join(one for one in text.upper() if one.isalnum())

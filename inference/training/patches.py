"""PatchCamelyon as arrays, and the figure that such a classifier is judged by."""

import re
import zipfile
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

_NAME = re.compile(r"/([01])/patch(\d+)\.jpg$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """Patches in the order of their numbers in the source."""

    pixels: npt.NDArray[np.uint8]
    """`(n, 96, 96, 3)` RGB."""
    labels: npt.NDArray[np.int64]
    """`(n,)`: 1 where there is tumour in the centre."""
    numbers: npt.NDArray[np.int64]
    """`(n,)`: number in the source."""

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Patches":
        """Give some of them."""
        return Patches(
            pixels=self.pixels[chosen], labels=self.labels[chosen], numbers=self.numbers[chosen]
        )


def read(archive: zipfile.ZipFile) -> Patches:
    """Decode every patch of an archive.

    Raises
    ------
    ValueError
        A patch is no JPEG.
    """
    found = [
        (int(at[2]), int(at[1]), at.string) for at in map(_NAME.search, archive.namelist()) if at
    ]
    found.sort()
    pixels = np.empty((len(found), 96, 96, 3), np.uint8)
    for index, (_, _, name) in enumerate(found):
        bgr = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError("a PatchCamelyon patch is no JPEG")
        pixels[index] = bgr[..., ::-1]
    numbers, labels, _ = zip(*found, strict=True)
    return Patches(
        pixels=pixels, labels=np.array(labels, np.int64), numbers=np.array(numbers, np.int64)
    )


def area_under_curve(labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]) -> float:
    """Give the chance that a patch with tumour scores higher than one without; ties count half."""
    negative, positive = np.sort(scores[labels == 0]), scores[labels == 1]
    below = np.searchsorted(negative, positive, "left")
    equal = np.searchsorted(negative, positive, "right") - below
    return float((below + equal / 2).sum() / (len(negative) * len(positive)))


def threshold_at(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], *, specificity: float
) -> float:
    """Give the score that this part of the patches without tumour stays below."""
    return float(np.quantile(scores[labels == 0], specificity))

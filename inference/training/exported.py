"""The exported models as the figures see them: one CPU thread, whole pictures in, classes out."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from appliance.slides.classes import SlideClass, by_key
from inference.model.manifest import load_model
from inference.running.engine import CPU, Probabilities, Session
from inference.training.sources import Labels, Rgb

_SIDE_PX = 256
_MARGIN_PX = 32
_STEP_PX = 32


class Network:
    """A tissue, artifact or tile model on one CPU thread."""

    def __init__(self, folder: Path) -> None:
        self.model = load_model(folder)
        self._session = Session(self.model, device=CPU)
        least = [self.model.thresholds.get(item.name, 0.0) for item in self.model.classes]
        self._least = np.array(least, np.float32)

    def probability(self, images: Rgb) -> Probabilities:
        """Run one batch: uint8 (n, rows, columns, 3) to float32 (n, ..., classes)."""
        return np.asarray(self._session.run(images), np.float32)

    def tissue(self, rgb: Rgb) -> npt.NDArray[np.bool_]:
        """Find tissue in a picture of any size: bool (rows, columns)."""
        rows, columns = rgb.shape[:2]
        pads = (0, -rows % _STEP_PX, 0, -columns % _STEP_PX)
        padded = np.asarray(cv2.copyMakeBorder(rgb, *pads, cv2.BORDER_REPLICATE), np.uint8)
        found = self.probability(padded[None])[0, :rows, :columns, SlideClass.TISSUE]
        return np.asarray(found >= self.model.thresholds.get("tissue", 0.5))

    def tiled(self, rgb: Rgb) -> Labels:
        """Segment a picture of any size in tiles of 256 px that overlap by 32.

        Returns
        -------
        numpy.ndarray
            `(rows, columns)` uint8 of `SlideClass`, by the names in the manifest.
        """
        names = np.array([by_key(item.name) for item in self.model.classes], np.uint8)
        rows, columns = rgb.shape[:2]
        step = _SIDE_PX - 2 * _MARGIN_PX
        below, right = -rows % step, -columns % step
        pads = (_MARGIN_PX, below + _MARGIN_PX, _MARGIN_PX, right + _MARGIN_PX)
        padded = np.asarray(cv2.copyMakeBorder(rgb, *pads, cv2.BORDER_REFLECT_101), np.uint8)
        labels = np.zeros((rows + below, columns + right), np.uint8)
        for row in range(0, rows, step):
            for column in range(0, columns, step):
                tile = padded[row : row + _SIDE_PX, column : column + _SIDE_PX]
                found = self.probability(np.ascontiguousarray(tile[None]))[0]
                kept = np.where(found >= self._least, found, 0).argmax(axis=2)
                inner = kept[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]
                labels[row : row + step, column : column + step] = names[inner]
        return labels[:rows, :columns]

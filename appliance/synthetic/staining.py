"""How much light haematoxylin and eosin let through (Beer-Lambert)."""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from appliance.synthetic.fields import Field

GLASS = (244, 243, 245)
"""R, G, B of bare glass under the scanner's lamp."""

HAEMATOXYLIN = (0.74, 1.00, 0.46)
"""Absorbance of one unit of haematoxylin in R, G, B (natural logarithm)."""

EOSIN = (0.13, 0.90, 0.50)
"""Absorbance of one unit of eosin in R, G, B."""

_STEPS_PER_UNIT = 110.0


@lru_cache(maxsize=1)
def _table() -> npt.NDArray[np.uint32]:
    """Return the packed colour of every pair (haematoxylin, eosin) of 8-bit amounts."""
    amounts = np.arange(256) / _STEPS_PER_UNIT
    absorbance = amounts[:, None, None] * np.array(HAEMATOXYLIN) + amounts[
        None, :, None
    ] * np.array(EOSIN)
    rgb = np.round(np.array(GLASS) * np.exp(-absorbance)).astype(np.uint8)
    packed = np.zeros((256, 256, 4), np.uint8)
    packed[..., :3] = rgb
    return packed.reshape(-1, 4).view(np.uint32).ravel()


def coloured(haematoxylin: Field, eosin: Field) -> npt.NDArray[np.uint8]:
    """Return RGB (rows, columns, 3) uint8 of two stain amounts (rows, columns), 0 to about 2.3."""
    h, e = (
        np.asarray(cv2.convertScaleAbs(stain, alpha=_STEPS_PER_UNIT), np.uint8)
        for stain in (haematoxylin, eosin)
    )
    packed = _table()[h.astype(np.uint16) * np.uint16(256) + e]
    rgba = packed.view(np.uint8).reshape(*packed.shape, 4)
    rgb: npt.NDArray[np.uint8] = np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8)
    return rgb

"""Measure how the training pictures look: ``python -m inference.training.likeness``.

Writes `[likeness]` into the artifact model's model.toml (`inference.judging.unlike` reads it).
Stain augmentation is left out on purpose: what was only imagined is not what was learnt from.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from inference.judging.unlike import measured
from inference.running.look import MEASURES, look_at
from inference.training import generated, sources
from inference.training.sources import Rgb

UM_PX = 2.0
CROP_PX = 512
MOSAICS = 60
LIMIT = 1.25
"""A quarter more than the half-width of what training showed; chosen before it was measured."""
IMMUNOHISTOCHEMISTRY = ("OS-2 Ki-67 ndpi",)
"""In training, but the models are not validated for it: it is told as unlike."""
NAMES = tuple(
    f"{measure} {share} %"
    for measure in MEASURES
    if "texture" not in measure  # of the texture only the scale of the source would be learnt
    for share in (10, 50, 90)
)
_LEAST_STAINED = 300
_DIGITS = 4


def at_um_px(rgb: Rgb, um_px: float, wanted_um_px: float = UM_PX) -> Rgb:
    """Bring a picture to another resolution."""
    if um_px == wanted_um_px:
        return rgb
    scale = um_px / wanted_um_px
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=how), np.uint8)


def _crops(rgb: Rgb) -> Iterator[Rgb]:
    rows, columns = rgb.shape[:2]
    for row in range(0, max(1, rows - CROP_PX // 2), CROP_PX):
        for column in range(0, max(1, columns - CROP_PX // 2), CROP_PX):
            yield rgb[row : row + CROP_PX, column : column + CROP_PX]


def block(data: Path) -> str:
    """Make the `[likeness]` table: the box around all crops of the H&E training pictures."""
    images = [*sources.load(data, mosaics=MOSAICS), *generated.load(share=1.0, pictures=2, seed=5)]
    looks = [
        look_at(crop)[1]
        for image in images
        if image.name not in IMMUNOHISTOCHEMISTRY
        for crop in _crops(at_um_px(image.rgb, image.um_px))
    ]
    table = np.array(
        [
            [measured(look, name) for name in NAMES]
            for look in looks
            if look.stained >= _LEAST_STAINED
        ]
    )
    low, high = table.min(axis=0), table.max(axis=0)
    return (
        "[likeness]\n"
        f"names = {_listed(NAMES)}\n"
        f"mean = {[round(float(value), _DIGITS) for value in (low + high) / 2]}\n"
        f"scale = {[round(float(value), _DIGITS) for value in (high - low) / 2]}\n"
        f"limit = [{LIMIT}]\n"
    )


def _listed(words: tuple[str, ...]) -> str:
    return "[\n" + "".join(f'  "{word}",\n' for word in words) + "]"


def main() -> None:
    """Put the table into the artifact model's manifest, before its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds SOURCES.md")
    parser.add_argument("--model", type=Path, required=True, help="folder of the artifact model")
    arguments = parser.parse_args()
    path = arguments.model / "model.toml"
    without = re.sub(r"\[likeness\]\n(?:[^\[#\n].*\n)*\n?", "", path.read_text())
    head, mark, figures = without.partition("# Figures below")
    path.write_text(f"{head}{block(arguments.data)}\n{mark}{figures}")


if __name__ == "__main__":
    main()

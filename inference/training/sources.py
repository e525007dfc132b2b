"""Real tissue to train on: tier A images only, each with a classical tissue mask as its label.

Nothing listed in `inference.training.heldout` is read here.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]

IGNORE = 255
GLASS_RGB = (243.0, 243.0, 243.0)

_PALE, _COLOURLESS, _DENSE = 0.10, 0.02, 0.25
"""Optical densities: least of stained tissue, most colour of grey, least of grey tissue."""
_GLASS_LOW, _GLASS_SPREAD, _PURE_WHITE = 205, 14, 254
_DOUBTFUL_LIGHT = 105
"""Darker tissue than this on the slide with real, unmarked folds is not learnt from."""
_FINEST_UM_PX = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueImage:
    """One picture of tissue without painted artifacts.

    `labels` is uint8 (rows, columns): 0 background, 1 tissue, `IGNORE` where nobody can tell.
    `share` weighs how often training draws it.
    """

    name: str
    rgb: Rgb
    labels: Labels
    um_px: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    name: str
    path: str
    um_px: float
    share: float
    dark_is_doubtful: bool = False


_CROPS = "images/qupath-openslide-crops"
_TEMPLATES = "images/histoqc/templates"
FILES = (
    _File(name="CMU-1-Small-Region", path="slides/CMU-1-Small-Region.svs", um_px=0.499, share=2.0),
    _File(
        name="TCGA-CR-7395 (2 um/px assumed)",
        path="slides/TCGA-CR-7395-01A-01-TS1.svs",
        um_px=2.0,
        share=3.0,
        dark_is_doubtful=True,
    ),
    _File(name="OS-1 H&E", path=f"{_CROPS}/OS-1-detail.ome.tif", um_px=0.227, share=0.6),
    _File(name="OS-2 Ki-67 ndpi", path=f"{_CROPS}/OS-2-ndpi.ome.tif", um_px=0.227, share=0.5),
    _File(name="HistoQC template 1", path=f"{_TEMPLATES}/template1.png", um_px=0.5, share=0.5),
    _File(name="HistoQC template 2", path=f"{_TEMPLATES}/template2.png", um_px=0.5, share=0.4),
    _File(name="HistoQC template 3", path=f"{_TEMPLATES}/template3.png", um_px=0.5, share=0.4),
    _File(name="HistoQC template 4", path=f"{_TEMPLATES}/template4.png", um_px=0.5, share=0.4),
)


def load(data: Path, *, close_um: float = 12.0, mosaics: int = 40) -> list[TissueImage]:
    """Read every training picture under `data` (the folder that holds SOURCES.md).

    `close_um` is how wide a gap in tissue still counts as tissue; fat needs 40 or more.
    """
    images = [_read(data, file, close_um=close_um) for file in FILES]
    patches = data / "images/pcam/pcam_train.zip"
    return [*images, *_pcam_mosaics(patches, mosaics=mosaics, close_um=close_um)]


def tissue_labels(
    rgb: Rgb, *, um_px: float, close_um: float, glass_rgb: tuple[float, ...] = GLASS_RGB
) -> Labels:
    """Classical tissue mask: optical density over 4 um, gaps closed, small parts dropped."""
    light = cv2.GaussianBlur(rgb, (0, 0), max(4.0 / um_px, 0.3)).astype(np.float32) + 1
    density = -np.log(np.minimum(light / np.array(glass_rgb, np.float32), 1))
    colour = density.max(axis=2) - density.min(axis=2)
    stained = (density.max(axis=2) > _PALE) & (colour > _COLOURLESS)
    mask = stained | (density.mean(axis=2) > _DENSE)
    side = max(3, round(close_um / um_px) | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    joined = np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel), np.uint8)
    closed = _without_small(joined, least_px=round(600 / um_px**2))
    holes = _without_small((1 - closed).astype(np.uint8), least_px=round(1500 / um_px**2))
    return (1 - holes).astype(np.uint8)


def _without_small(mask: Labels, *, least_px: int) -> Labels:
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    keep = np.zeros(count, np.uint8)
    keep[1:] = stats[1:, cv2.CC_STAT_AREA] >= max(least_px, 1)
    return np.asarray(keep[parts], np.uint8)


def _read(data: Path, file: _File, *, close_um: float) -> TissueImage:
    rgb = read_rgb(data / file.path)
    um_px = file.um_px
    while um_px * 2 <= _FINEST_UM_PX:
        halved = cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        rgb, um_px = np.asarray(halved, np.uint8), um_px * 2
    labels = tissue_labels(rgb, um_px=um_px, close_um=close_um, glass_rgb=glass_of(rgb))
    if file.dark_is_doubtful:
        soft = cv2.GaussianBlur(rgb, (0, 0), 12.0 / um_px).mean(axis=2)
        labels[(soft < _DOUBTFUL_LIGHT) & (labels == 1)] = IGNORE
    return TissueImage(name=file.name, rgb=rgb, labels=labels, um_px=um_px, share=file.share)


def read_rgb(path: Path) -> Rgb:
    """Read a PNG, or the first page of a TIFF or SVS with any compression."""
    if path.suffix == ".png":
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            raise FileNotFoundError(path)
        return np.ascontiguousarray(bgr[..., ::-1], np.uint8)
    import tifffile  # type: ignore[import-not-found]  # of the extra `training`

    return np.ascontiguousarray(tifffile.imread(path)[..., :3], np.uint8)


def glass_of(rgb: Rgb) -> tuple[float, ...]:
    """Find the colour of bare glass: the bright, colourless pixels below pure white, if any."""
    light = rgb.reshape(-1, 3)[:: max(1, rgb.size // 600_000)].astype(np.float32)
    low, spread = light.min(axis=1), np.ptp(light, axis=1)
    plain = light[(spread < _GLASS_SPREAD) & (low > _GLASS_LOW) & (low < _PURE_WHITE)]
    if len(plain) < 0.01 * len(light):
        return GLASS_RGB
    return tuple(float(value) for value in np.percentile(plain, 60, axis=0))


def _pcam_mosaics(path: Path, *, mosaics: int, close_um: float) -> Iterator[TissueImage]:
    """Lay 6 x 6 patches of 96 px (0.97 um/px) side by side; the seams are part of clean tissue."""
    with zipfile.ZipFile(path) as archive:
        for number in range(mosaics):
            rgb = mosaic(archive, seed=20 + number)
            yield TissueImage(
                name=f"PatchCamelyon train {number}",
                rgb=rgb,
                labels=tissue_labels(rgb, um_px=0.97, close_um=close_um),
                um_px=0.97,
                share=0.06,
            )


def mosaic(archive: zipfile.ZipFile, *, seed: int) -> Rgb:
    """Lay 36 patches of like colour in 6 rows: uint8 (576, 576, 3).

    Patches of unlike colour would teach that a sharp dark edge means nothing, and hide folds.
    """
    names = sorted(name for name in archive.namelist() if name.endswith((".jpg", ".jpeg")))
    chosen = np.random.default_rng(seed).choice(len(names), 400, replace=False)
    patches = [_decode(archive.read(names[index])) for index in chosen]
    colours = np.array([patch.mean(axis=(0, 1)) for patch in patches])
    like = np.argsort(np.abs(colours - colours[0]).sum(axis=1))[:36]
    rows = [np.hstack([patches[index] for index in like[row : row + 6]]) for row in range(0, 36, 6)]
    return np.vstack(rows)


def _decode(jpeg: bytes) -> Rgb:
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError("a PatchCamelyon patch is no JPEG")
    return np.ascontiguousarray(bgr[:96, :96, ::-1])

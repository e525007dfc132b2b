"""Tissue for the attack: every stored slide and image that is large enough, and a generated one.

Left out: fluorescence (no brightfield tissue), images with pen or mostly glass (no such tile is
released), thumbnails of whole slides, second scans and crops of what is there already, patches of
96 px (one tile each).
Pixels are taken as they are: at 0.23 µm/px the same gap in pixels hides half as much tissue as at
0.5 µm/px, at 2 µm/px and coarser four times as much and more.
"""

import io
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from anonymizer.privacy.tissue import Piece, Tissue, arranged, piece
from appliance.slides.reader import open_slide
from appliance.synthetic.fields import Window
from appliance.synthetic.picture import block, class_map
from appliance.synthetic.plan import SlidePlan

RGB = npt.NDArray[np.uint8]

DATA = Path(os.environ.get("COVERSLIP_DATA", Path(__file__).parents[2] / "shared" / "data"))

_SLIDES: Final = (
    ("CMU-1 small region", "dicom_converted/cmu_jpeg_native_bot/*.dcm", 0.499),
    ("TCGA-CR-7395", "dicom_converted/tcga_cr_j2k_native/*.dcm", None),
    ("TCGA-XK-AAJU", "dicom_converted/tcga_xk_pen_synthetic_phi/*.dcm", None),
    (
        "Camelyon a",
        "dicom/gcp_camelyon/multi_frame_jpeg2000_camelyon_challenge_image.dcm",
        None,
    ),
    ("Camelyon b", "dicom/gcp_camelyon/multi_frame_jpeg_camelyon_challenge_image.dcm", None),
)
"""Name, files, µm/px where the source says it."""
_CROPS: Final = ("OS-1-detail", "OS-2-ndpi")
_FIELDS: Final = (
    "histolab/tiles/high-nuclei-score-level0.png",
    "histolab/tiles/low-nuclei-score-level0.png",
    "histolab/tiles/low-nuclei-score-level1.png",
    "histolab/tiles/medium-nuclei-score-level0.png",
    "histolab/tiles/medium-nuclei-score-level1-2.png",
    "histolab/tiles/medium-nuclei-score-level1.png",
    "histolab/tiles/tissue-level0-4302-10273-4814-10785.png",
    "histolab/tiles/tissue-level0-7352-11762-7864-12274.png",
    "histolab/tiles/very-low-nuclei-score-level0.png",
    "histolab/pil-images-rgb/tcga-lung-rgb.png",
    "histoqc/templates/template1.png",
    "histoqc/templates/template2.png",
    "histoqc/templates/template3.png",
    "histoqc/templates/template4.png",
    "wsi-qa-artifacts/artifact-free/images/1.png",
    "wsi-qa-artifacts/artifact-free/images/2.png",
    "wsi-qa-artifacts/artifact-free/images/3.png",
    "wsi-qa-artifacts/artifact-free/images/4.png",
    "wsi-qa-artifacts/artifact-free/images/5.png",
)
NUCLEI_SET: Final = "DSB 2018"
_NUCLEI: Final = "images/dsb2018_he/images/*.png"
_GENERATED_PX: Final = (6144, 8192)
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT, _OFFSETS, _LENGTHS = 256, 257, 322, 323, 324, 325


@cache
def slides() -> tuple[Tissue, ...]:
    """Give the real slides, each by itself."""
    found = []
    for name, files, um_px in _SLIDES:
        with open_slide(sorted(DATA.glob(files))) as reader:
            base = reader.levels[0]
            pixels = reader.region(0, 0, 0, base.rows, base.columns)
        one = _without_ink(piece(name, np.asarray(pixels)))
        found.append(Tissue(name=name, kind="real", um_px=um_px, pieces=(one,)))
    return tuple(found)


@cache
def fields() -> tuple[Piece, ...]:
    """Give the real images that are smaller than a slide, each from another place."""
    images = DATA / "images"
    crops = [
        piece(name, _tiff(images / "qupath-openslide-crops" / f"{name}.ome.tif")) for name in _CROPS
    ]
    nuclei = sorted(DATA.glob(_NUCLEI))
    plain = [
        piece(Path(name).stem + f" {number}", _plain(images / name))
        for number, name in enumerate(_FIELDS)
    ]
    small = [piece(f"{NUCLEI_SET} {number}", _plain(path)) for number, path in enumerate(nuclei)]
    return (*crops, *plain, *small)


def all_real(*, cell_px: int) -> Tissue:
    """Arrange everything that is real as one large puzzle: no piece twice, pairs within pieces."""
    pieces = (*(slide.pieces[0] for slide in slides()), *fields())
    return arranged("all real, arranged", pieces, cell_px=cell_px)


def all_fields(*, cell_px: int) -> Tissue:
    """Arrange the images that are smaller than a slide: what the learned attacker learns on."""
    return arranged("fields", fields(), cell_px=cell_px)


def batch() -> Tissue:
    """Give everything that is real as the slides of one batch, for linkage."""
    pieces = (*(slide.pieces[0] for slide in slides()), *fields())
    return Tissue(name="all real, one batch", kind="real", um_px=None, pieces=pieces)


@cache
def generated() -> Tissue:
    """Give a large generated slide with its true map of tissue."""
    plan = SlidePlan.of_size(*_GENERATED_PX, seed=5, kinds=())
    window = Window(y_um=0.0, x_um=0.0, rows=plan.rows, columns=plan.columns, um_px=plan.um_px)
    pixels = block(plan, window)
    if pixels is None:
        raise SystemExit("The generated slide is empty.")
    one = Piece(slide="generated", name="", pixels=pixels, class_map=class_map(plan))
    return Tissue(name="generated", kind="generated", um_px=plan.um_px, pieces=(one,))


def _without_ink(one: Piece) -> Piece:
    """Take pen off the map: stained tissue is never greener than it is red."""
    smooth = cv2.resize(one.pixels, one.class_map.shape[::-1], interpolation=cv2.INTER_AREA)
    clean = smooth[..., 1] < smooth[..., 0]
    return replace(one, class_map=np.where(clean, one.class_map, np.uint8(0)).astype(np.uint8))


def _plain(path: Path) -> RGB:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _tiff(path: Path) -> RGB:
    """Read a TIFF whose JPEG tiles are sampled otherwise than its header says: tile by tile."""
    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        if not isinstance(image, TiffImageFile):
            raise SystemExit(f"{path.name} is no TIFF.")
        tags = dict(image.tag_v2)
    picture = Image.new("RGB", (tags[_WIDTH], tags[_HEIGHT]))
    across = -(-tags[_WIDTH] // tags[_TILE_WIDTH])
    for number, (start, length) in enumerate(zip(tags[_OFFSETS], tags[_LENGTHS], strict=True)):
        with Image.open(io.BytesIO(content[start : start + length])) as tile:
            row, column = divmod(number, across)
            picture.paste(tile, (column * tags[_TILE_WIDTH], row * tags[_TILE_HEIGHT]))
    return np.asarray(picture)

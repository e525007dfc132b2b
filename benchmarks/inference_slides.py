"""Slides of any size, cheaply: a mosaic of few pieces of real tissue, each frame encoded once.

Pieces of 2048 px, turned and mirrored, lie in an ellipse on bare glass. All levels of the pyramid
are made of the same pieces, so that they show the same. The pixels are those of a real H&E slide
(CMU-1-Small-Region of OpenSlide's test data, CC0, in `COVERSLIP_DATA`), or of a generated slide
where that is not at hand.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from appliance.slides.reader import open_slide
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.encapsulation import FrameFile
from appliance.synthetic.headers import (
    SLIDE_HEIGHT_MM,
    SLIDE_WIDTH_MM,
    ImageShape,
    instance_header,
    scanned_origin_mm,
)
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.labels import LABEL_UM_PX, label_picture
from appliance.synthetic.plan import SlidePlan
from appliance.synthetic.pyramid import jpeg
from appliance.synthetic.tissue import Tissue

PIECE_PX = 2048
TILE_PX = 512
_GLASS = 243
_TURNS = 4
_BLURRED, _PEN = 2 * _TURNS, 2 * _TURNS + 1
"""Numbers of the two spoiled pieces, after those that are turned and mirrored."""
_BLUR_PX, _STROKE_PX, _INK = 24, 600, (20, 110, 60)
_GREY_TISSUE = 215
_DATA = Path(os.environ.get("COVERSLIP_DATA", Path(__file__).parents[2] / "shared" / "data"))
_REAL = _DATA / "dicom_converted" / "cmu_synthetic_phi" / "volume_l0.dcm"
_PICTURE_QUALITY = 90

Rgb = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mosaic:
    """What a slide is to be."""

    pieces_down: int
    pieces_across: int
    tissue_pieces: int
    """How many of the pieces show tissue; the others are glass."""
    um_px: float
    quality: int
    """Of the JPEG frames."""
    factors: tuple[int, ...] = (1, 4, 16, 64)
    """How much coarser each level is, the base first."""
    spoiled: bool = False
    """A fifth of the tissue is out of focus or under a pen."""

    @property
    def rows(self) -> int:
        """Rows of the base."""
        return self.pieces_down * PIECE_PX

    @property
    def columns(self) -> int:
        """Columns of the base."""
        return self.pieces_across * PIECE_PX

    @property
    def tissue_mm2(self) -> float:
        """Area of tissue, by what the pieces show."""
        piece_mm2 = (PIECE_PX * self.um_px / 1000) ** 2
        return self.tissue_pieces * piece_mm2 * _tissue_share()

    @classmethod
    def of_tissue(
        cls, tissue_mm2: float, *, um_px: float, quality: int, spoiled: bool = False
    ) -> "Mosaic":
        """Plan a slide with so much tissue, on a little more than twice the area, and a rim."""
        piece_mm2 = (PIECE_PX * um_px / 1000) ** 2 * _tissue_share()
        tissue_pieces = max(1, round(tissue_mm2 / piece_mm2))
        down = max(2, round((tissue_pieces * 2.2 * 0.75) ** 0.5))
        across = max(2, round(tissue_pieces * 2.2 / down))
        return cls(
            pieces_down=down + 2,
            pieces_across=across + 2,
            tissue_pieces=tissue_pieces,
            um_px=um_px,
            quality=quality,
            spoiled=spoiled,
        )


@dataclass(slots=True)
class Frames:
    """Encoded frames of a quality, each made once however many slides are written."""

    quality: int
    _made: dict[tuple[object, ...], bytes] = field(default_factory=dict)

    def frame(self, key: tuple[object, ...], pixels: Callable[[], Rgb]) -> bytes:
        """Give a frame by what it shows; `pixels` is called when it is new."""
        if key not in self._made:
            self._made[key] = jpeg(pixels(), self.quality)
        return self._made[key]


def write(folder: Path, mosaic: Mosaic, frames: Frames, *, number: int = 1) -> list[Path]:
    """Write the levels and the label of one slide.

    Parameters
    ----------
    folder
        Made when missing.
    mosaic
        What it is to be.
    frames
        Of the same quality; filled by the first slide and used by the next.
    number
        Patient, container and UIDs differ by it; the pixels do not.

    Returns
    -------
    list of Path
        The levels, finest first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    identity = SlideIdentity.invented(seed=number)
    plan = SlidePlan(
        seed=number,
        rows=mosaic.rows,
        columns=mosaic.columns,
        tissue=Tissue(seed=number, pieces=()),
        um_px=mosaic.um_px,
        tile_px=TILE_PX,
        factors=mosaic.factors,
    )
    paths = []
    for index, factor in enumerate(mosaic.factors):
        paths.append(folder / f"volume-{index}.dcm")
        shape = ImageShape(
            flavour="VOLUME",
            derived=factor > 1,
            rows=mosaic.rows // factor,
            columns=mosaic.columns // factor,
            tile_rows=TILE_PX,
            tile_columns=TILE_PX,
            um_px=mosaic.um_px * factor,
            origin_mm=scanned_origin_mm(plan),
            instance_number=index + 1,
        )
        with _file(paths[-1], shape, plan, identity) as file:
            _append_level(file, _laid(mosaic), factor, shape, frames)
    _write_label(folder, plan, identity, number=len(paths) + 1)
    return paths


def _file(path: Path, shape: ImageShape, plan: SlidePlan, identity: SlideIdentity) -> FrameFile:
    header = instance_header(shape, plan, identity)
    return FrameFile(path, header, extended=shape.needs_extended_offsets)


def _append_level(
    file: FrameFile,
    laid: npt.NDArray[np.int64],
    factor: int,
    shape: ImageShape,
    frames: Frames,
) -> None:
    """Cut a level into frames: parts of a piece where it is larger, some pieces where not."""
    side = PIECE_PX // factor
    for row in range(-(-shape.rows // TILE_PX)):
        for column in range(-(-shape.columns // TILE_PX)):
            if side >= TILE_PX:
                per = side // TILE_PX
                piece, at = int(laid[row // per, column // per]), (row % per, column % per)
                key = (factor, piece, at)
                pixels = _part(_piece(piece, factor), at)
            else:
                per = TILE_PX // side
                some = laid[row * per : (row + 1) * per, column * per : (column + 1) * per]
                key = (factor, some.shape, some.tobytes())
                pixels = _joined(some, factor)
            file.append(frames.frame(key, pixels))


def _part(piece: Rgb, at: tuple[int, int]) -> Callable[[], Rgb]:
    top, left = at[0] * TILE_PX, at[1] * TILE_PX
    return lambda: np.ascontiguousarray(piece[top : top + TILE_PX, left : left + TILE_PX])


def _joined(some: npt.NDArray[np.int64], factor: int) -> Callable[[], Rgb]:
    def join() -> Rgb:
        pixels = np.full((TILE_PX, TILE_PX, 3), _GLASS, np.uint8)
        shown = np.vstack(
            [np.hstack([_piece(int(piece), factor) for piece in line]) for line in some]
        )
        pixels[: shown.shape[0], : shown.shape[1]] = shown
        return pixels

    return join


def _laid(mosaic: Mosaic) -> npt.NDArray[np.int64]:
    """Lay the pieces: -1 is glass, tissue nearest to the middle; always the same.

    The rim is glass, since not every tool reads tiles that hang over the edge of a slide.
    """
    rows, columns = np.mgrid[: mosaic.pieces_down, : mosaic.pieces_across]
    far = np.hypot(
        (rows + 0.5) / mosaic.pieces_down - 0.5, (columns + 0.5) / mosaic.pieces_across - 0.5
    )
    far[[0, -1]] = far[:, [0, -1]] = np.inf
    nearest = np.argsort(far, axis=None, kind="stable")[: mosaic.tissue_pieces]
    laid = np.full(far.size, -1)
    laid[nearest] = np.random.default_rng(5).integers(
        _BLURRED if not mosaic.spoiled else _PEN + 1, size=len(nearest)
    )
    return laid.reshape(far.shape)


@cache
def _piece(number: int, factor: int) -> Rgb:
    """Give a piece on a level: `(PIECE_PX // factor,) * 2 + (3,)`; -1 is glass."""
    if number < 0:
        noise = np.random.default_rng(3).normal(_GLASS, 1.0, (PIECE_PX, PIECE_PX, 3))
        full = noise.round().astype(np.uint8)
    else:
        turned = np.rot90(_tissue(), number % _TURNS)
        full = np.ascontiguousarray(turned[:, ::-1] if number >= _TURNS else turned)
        if number == _BLURRED:
            full = np.asarray(cv2.GaussianBlur(full, (0, 0), _BLUR_PX), np.uint8)
        if number == _PEN:
            cv2.line(full, (0, 0), (PIECE_PX, PIECE_PX), _INK, _STROKE_PX)
    if factor == 1:
        return full
    side = PIECE_PX // factor
    return np.asarray(cv2.resize(full, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


@cache
def _tissue() -> Rgb:
    """Give a piece that is all tissue: stroma, mirrored until it fills the piece.

    Larger structures, mirrored in rows, would be letters to whoever looks for text on slides.
    """
    if _REAL.exists():
        with open_slide([_REAL]) as reader:
            return _mirrored(reader.region(0, 2060, 1420, 360, 360))
    with tempfile.TemporaryDirectory() as folder:
        write_slide(Path(folder), SlidePlan.small(kinds=()), SlideIdentity.invented())
        with open_slide(sorted(Path(folder).glob("volume-*.dcm"))) as reader:
            level = reader.levels[0]
            return _mirrored(reader.region(0, level.rows // 2, level.columns // 2, 640, 640))


def _mirrored(pixels: Rgb) -> Rgb:
    more = [(0, PIECE_PX - size) for size in pixels.shape[:2]]
    return np.pad(pixels, (*more, (0, 0)), mode="symmetric")


@cache
def _tissue_share() -> float:
    """Share of the piece that is no glass, seen at an eighth."""
    grey = cv2.cvtColor(_piece(0, 8), cv2.COLOR_RGB2GRAY)
    return float((grey < _GREY_TISSUE).mean())


def _write_label(folder: Path, plan: SlidePlan, identity: SlideIdentity, *, number: int) -> None:
    picture = label_picture(identity)
    shape = ImageShape(
        flavour="LABEL",
        derived=False,
        rows=picture.shape[0],
        columns=picture.shape[1],
        tile_rows=picture.shape[0],
        tile_columns=picture.shape[1],
        um_px=LABEL_UM_PX,
        origin_mm=(SLIDE_HEIGHT_MM, SLIDE_WIDTH_MM),
        instance_number=number,
    )
    with _file(folder / "label.dcm", shape, plan, identity) as file:
        file.append(jpeg(picture, _PICTURE_QUALITY))


def size_bytes(paths: Sequence[Path]) -> int:
    """Give the size of some files together."""
    return sum(path.stat().st_size for path in paths)

"""Open a slide and read its pixels: levels by micrometres per pixel, regions as RGB arrays."""

import struct
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pydicom
import pydicom.errors
from pydicom.dataset import FileDataset
from pydicom.uid import JPEGBaseline8Bit

from appliance.errors import UnsuitableSlide
from appliance.slides.frames import EncodedFrames
from appliance.slides.jpeg import jpeg_facts
from appliance.slides.sources import (
    WHITE,
    JpegSource,
    Pixels,
    Source,
    WsidicomSource,
)

_ANISOTROPY = 0.05
"""Row and column spacing may differ by this share; the models know square pixels only."""
_PLAUSIBLE_UM_PX = (0.02, 2000.0)
"""Spacings outside are a scanner's mistake. Tiny top levels of a pyramid are coarse by right."""
_PLAUSIBLE_BASE_UM_PX = 50.0
_COLOUR = 3
_EIGHT_BITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of the pyramid."""

    rows: int
    """Total Pixel Matrix Rows."""
    columns: int
    um_px: float
    """Micrometres per pixel, mean of row and column spacing."""
    tile_px: tuple[int, int]
    """(rows, columns) of a frame."""
    downsample: float
    """How many base pixels one pixel of this level covers along a side; 1 at the base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """One VOLUME instance: its header and where its pixel data begins."""

    path: Path
    header: FileDataset
    pixel_data_at: int
    rows: int
    columns: int
    um_px: float


class SlideReader:
    """An open slide. Thread-safe; a context manager.

    Made by `open_slide`.
    """

    def __init__(
        self, levels: Sequence[Level], sources: Sequence[Source], headers: Sequence[FileDataset]
    ) -> None:
        self._levels = tuple(levels)
        self._sources = tuple(sources)
        self._headers = tuple(headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels, finest first."""
        return self._levels

    @property
    def header(self) -> FileDataset:
        """Header of the base instance, without pixel data."""
        return self._headers[0]

    @property
    def headers(self) -> tuple[FileDataset, ...]:
        """Headers of all VOLUME instances, finest level first, without pixel data."""
        return self._headers

    def region(self, level: int, row: int, column: int, rows: int, columns: int) -> Pixels:
        """Read a region of one level.

        Parameters
        ----------
        level
            Index into `levels`.
        row, column
            Top-left corner in pixels of that level; may be negative.
        rows, columns
            Size in pixels of that level.

        Returns
        -------
        numpy.ndarray
            `(rows, columns, 3)` uint8 RGB; white outside the slide and where tiles are missing.

        Raises
        ------
        UnsuitableSlide
            A frame is damaged.
        """
        shape = self._levels[level]
        top, left = max(row, 0), max(column, 0)
        bottom, right = min(row + rows, shape.rows), min(column + columns, shape.columns)
        if (top, left, bottom, right) == (row, column, row + rows, column + columns):
            return self._sources[level].region(row, column, rows, columns)
        pixels = np.full((rows, columns, 3), WHITE, dtype=np.uint8)
        if top < bottom and left < right:
            inside = self._sources[level].region(top, left, bottom - top, right - left)
            pixels[top - row : bottom - row, left - column : right - column] = inside
        return pixels

    def close(self) -> None:
        """Release the files."""
        for source in self._sources:
            source.close()


def open_slide(files: Sequence[Path]) -> SlideReader:
    """Open the VOLUME instances among the files of one slide.

    Parameters
    ----------
    files
        DICOM files of one slide, in any order; files that are no VOLUME image are passed over.

    Raises
    ------
    UnsuitableSlide
        No VOLUME image, no pixel spacing, not 8-bit colour, or frames that cannot be read.
    """
    images = [image for image in map(_image, files) if image is not None]
    if not images:
        raise UnsuitableSlide("The slide has no scanned image (VOLUME) that can be read.")
    groups = _levels(images)
    base = groups[0][0]
    if base.um_px > _PLAUSIBLE_BASE_UM_PX:
        raise UnsuitableSlide("The pixel spacing that the scanner wrote cannot be true.")
    with ExitStack() as opened:
        sources = []
        for group in groups:
            sources.append(_source(group))
            opened.callback(sources[-1].close)
        opened.pop_all()
    levels = [_level(group[0], base) for group in groups]
    return SlideReader(levels, sources, [image.header for group in groups for image in group])


def _image(path: Path) -> _Image | None:
    """Read one file's header; None when it is no VOLUME image."""
    try:
        with path.open("rb") as file:
            header = pydicom.dcmread(file, stop_before_pixels=True)
            pixel_data_at = file.tell()
            return _described(path, header, pixel_data_at) if _is_volume(header) else None
    except (
        pydicom.errors.InvalidDicomError,
        AttributeError,
        EOFError,
        LookupError,
        NotImplementedError,
        OSError,
        OverflowError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        raise UnsuitableSlide("One image file of the slide is damaged.") from error


def _is_volume(header: FileDataset) -> bool:
    return "VOLUME" in list(header.get("ImageType") or [])


def _described(path: Path, header: FileDataset, pixel_data_at: int) -> _Image:
    if header.get("SamplesPerPixel") != _COLOUR or header.get("BitsAllocated") != _EIGHT_BITS:
        raise UnsuitableSlide(
            "The slide is not an 8-bit colour scan, and the models judge only those."
        )
    sizes = (
        header.TotalPixelMatrixRows,
        header.TotalPixelMatrixColumns,
        header.Rows,
        header.Columns,
    )
    if min(int(size) for size in sizes) < 1:
        raise ValueError("an image without pixels")
    return _Image(
        path=path,
        header=header,
        pixel_data_at=pixel_data_at,
        rows=int(header.TotalPixelMatrixRows),
        columns=int(header.TotalPixelMatrixColumns),
        um_px=_um_px(header),
    )


def _um_px(header: FileDataset) -> float:
    spacing = _spacing_um(header)
    if spacing is None:
        raise UnsuitableSlide("The scanner wrote no pixel spacing, so nothing can be measured.")
    row_um, column_um = spacing
    um_px = (row_um + column_um) / 2
    lowest, highest = _PLAUSIBLE_UM_PX
    if not lowest <= um_px <= highest or abs(row_um - column_um) > _ANISOTROPY * um_px:
        raise UnsuitableSlide("The pixel spacing that the scanner wrote cannot be true.")
    return um_px


def _spacing_um(header: FileDataset) -> tuple[float, float] | None:
    """Spacing between rows and columns from Pixel Measures, else from the imaged volume."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (header.get(groups) or [])[:1]:
            for measures in group.get("PixelMeasuresSequence") or []:
                if measures.get("PixelSpacing"):
                    row_mm, column_mm = measures.PixelSpacing
                    return float(row_mm) * 1000, float(column_mm) * 1000
    height_mm, width_mm = header.get("ImagedVolumeHeight"), header.get("ImagedVolumeWidth")
    if height_mm and width_mm:
        return (
            float(height_mm) * 1000 / int(header.TotalPixelMatrixRows),
            float(width_mm) * 1000 / int(header.TotalPixelMatrixColumns),
        )
    return None


def _levels(images: Sequence[_Image]) -> list[list[_Image]]:
    """Group the instances into levels, finest first; the parts of a concatenation together."""
    by_shape: dict[tuple[int, int], list[_Image]] = {}
    for image in sorted(images, key=lambda image: str(image.path)):
        by_shape.setdefault((image.rows, image.columns), []).append(image)
    return sorted(by_shape.values(), key=lambda group: group[0].um_px)


def _level(image: _Image, base: _Image) -> Level:
    return Level(
        rows=image.rows,
        columns=image.columns,
        um_px=image.um_px,
        tile_px=(int(image.header.Rows), int(image.header.Columns)),
        downsample=image.um_px / base.um_px,
    )


def _source(group: Sequence[_Image]) -> Source:
    """Take the fast path for one plain JPEG instance, else wsidicom."""
    image = group[0]
    if len(group) == 1 and _is_plain_jpeg(image.header):
        frames = EncodedFrames(
            image.path,
            pixel_data_at=image.pixel_data_at,
            n_frames=int(image.header.NumberOfFrames),
            extended_offsets=image.header.get("ExtendedOffsetTable", b""),
        )
        facts = jpeg_facts(frames.frame(0))
        if facts and (facts.bits, facts.components) == (_EIGHT_BITS, _COLOUR):
            tile_rows, tile_columns = int(image.header.Rows), int(image.header.Columns)
            return JpegSource(
                frames,
                tile_rows=tile_rows,
                tile_columns=tile_columns,
                tiles_across=-(-image.columns // tile_columns),
                rgb=image.header.PhotometricInterpretation == "RGB" and not facts.names_colour,
            )
        frames.close()
    return WsidicomSource([image.path for image in group])


def _is_plain_jpeg(header: FileDataset) -> bool:
    """Whether the frames are one JPEG a tile, in order, one plane and one optical path."""
    tiles_down = -(-int(header.TotalPixelMatrixRows) // int(header.Rows))
    tiles_across = -(-int(header.TotalPixelMatrixColumns) // int(header.Columns))
    return (
        header.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
        and header.get("DimensionOrganizationType") == "TILED_FULL"
        and "ConcatenationUID" not in header
        and int(header.get("NumberOfFrames") or 0) == tiles_down * tiles_across
    )

"""Two ways to the pixels of one level: our own fast path, and wsidicom for everything else."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import simplejpeg
import wsidicom
import wsidicom.errors

from appliance.errors import UnsuitableSlide
from appliance.slides.frames import EncodedFrames
from appliance.slides.jpeg import marked_rgb

Pixels = npt.NDArray[np.uint8]
_T = TypeVar("_T")

WHITE = 255
_CORRUPT = "One frame of the slide is damaged and cannot be decoded."
_UNREADABLE = "The images of this slide are stored in a way that cannot be read here."
_WSIDICOM_ERRORS = (
    wsidicom.errors.WsiDicomError,
    wsidicom.errors.WsiDicomFileError,
    wsidicom.errors.WsiDicomMatchError,
    wsidicom.errors.WsiDicomNoResolutionError,
    wsidicom.errors.WsiDicomNotFoundError,
    wsidicom.errors.WsiDicomNotSupportedError,
    wsidicom.errors.WsiDicomOutOfBoundsError,
    wsidicom.errors.WsiDicomStrictRequirementError,
    wsidicom.errors.WsiDicomUidDuplicateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What wsidicom and the decoders under it raise on files they cannot read."""


class Source(Protocol):
    """The pixels of one level; thread-safe."""

    def region(self, row: int, column: int, rows: int, columns: int) -> Pixels:
        """Read `(rows, columns, 3)` uint8 RGB that lies wholly inside the level."""

    def close(self) -> None:
        """Release the files."""


class JpegSource:
    """TILED_FULL frames of JPEG baseline, memory mapped and decoded by libjpeg-turbo.

    Parameters
    ----------
    frames
        Frames in TILED_FULL order: row by row of tiles (PS3.3 C.7.6.17.3).
    tile_rows, tile_columns
        Rows and Columns of a frame. Edge frames may be stored smaller than that.
    tiles_across
        Number of tiles in one row of tiles.
    rgb
        The frames hold RGB without a marker that says so.
    """

    def __init__(
        self,
        frames: EncodedFrames,
        *,
        tile_rows: int,
        tile_columns: int,
        tiles_across: int,
        rgb: bool = False,
    ) -> None:
        self._frames = frames
        self._rgb = rgb
        self._tile_rows = tile_rows
        self._tile_columns = tile_columns
        self._tiles_across = tiles_across

    def region(self, row: int, column: int, rows: int, columns: int) -> Pixels:
        """Read a region; see `Source`."""
        pixels = np.full((rows, columns, 3), WHITE, dtype=np.uint8)
        for tile_row in range(row // self._tile_rows, -(-(row + rows) // self._tile_rows)):
            top = tile_row * self._tile_rows
            for tile_column in range(
                column // self._tile_columns, -(-(column + columns) // self._tile_columns)
            ):
                left = tile_column * self._tile_columns
                tile = self._tile(tile_row * self._tiles_across + tile_column)
                _paste(tile, pixels, top - row, left - column)
        return pixels

    def close(self) -> None:
        """Unmap the file."""
        self._frames.close()

    def _tile(self, number: int) -> Pixels:
        codestream = self._frames.frame(number)
        if self._rgb:
            codestream = marked_rgb(codestream)
        try:
            tile: Pixels = simplejpeg.decode_jpeg(  # type: ignore[attr-defined]
                codestream, colorspace="RGB"
            )
        except ValueError as error:
            raise UnsuitableSlide(_CORRUPT) from error
        return tile[: self._tile_rows, : self._tile_columns]


class WsidicomSource:
    """Everything else, through wsidicom: other codecs, sparse tilings, concatenations.

    Raises
    ------
    UnsuitableSlide
        wsidicom cannot open the files.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._slide = _translated(lambda: wsidicom.WsiDicom.open(list(files)), _UNREADABLE)

    def region(self, row: int, column: int, rows: int, columns: int) -> Pixels:
        """Read a region; see `Source`."""
        pixels = _translated(
            lambda: np.asarray(
                self._slide.read_region((column, row), 0, (columns, rows), threads=1, as_array=True)
            ),
            _CORRUPT,
        )
        if pixels.shape != (rows, columns, 3) or pixels.dtype != np.uint8:
            raise UnsuitableSlide(_UNREADABLE)
        return pixels

    def close(self) -> None:
        """Close the files."""
        self._slide.close()


def _paste(tile: Pixels, pixels: Pixels, top: int, left: int) -> None:
    """Copy the part of a tile that falls on `pixels`; (top, left) may be negative."""
    bottom, right = top + tile.shape[0], left + tile.shape[1]
    rows = slice(max(top, 0), min(bottom, pixels.shape[0]))
    columns = slice(max(left, 0), min(right, pixels.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    pixels[rows, columns] = tile[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]


def _translated(read: Callable[[], _T], sentence: str) -> _T:
    try:
        return read()
    except _WSIDICOM_ERRORS as error:
        raise UnsuitableSlide(sentence) from error

"""Open a slide and read its pixels: levels by micrometres per pixel, regions as RGB arrays."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from pydicom.dataset import FileDataset

from appliance.errors import UnfitScan
from appliance.slides.image import VolumeImage, volume_image
from appliance.slides.level import level_source, levels_of
from appliance.slides.recent import RecentTiles
from appliance.slides.sources import WHITE, Pixels, TiledSource

_PLAUSIBLE_BASE_UM_PX = 50.0
_EIGHT_BITS = 8
_KEPT_BYTES = 64 << 20
"""Decoded tiles of all levels that are kept for the neighbours."""
SHRINKS = (1, 2, 4, 8)
"""How much smaller a level can be decoded along a side: libjpeg's DCT scaling."""


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

    @property
    def shrinks(self) -> tuple[int, ...]:
        """Those of `SHRINKS` that leave whole tiles."""
        return tuple(n for n in SHRINKS if not (self.tile_px[0] % n or self.tile_px[1] % n))


class SlideReader:
    """An open slide. Thread-safe; a context manager.

    Made by `open_slide`.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        sources: Sequence[TiledSource],
        headers: Sequence[FileDataset],
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
        """Headers of all VOLUME instances, finest level first.

        Without pixel data, and with the first item at most of Per-Frame Functional Groups.
        """
        return self._headers

    @property
    def is_colour(self) -> bool:
        """The base image has three samples a pixel; a grey one is given as RGB all the same."""
        return int(self.header.SamplesPerPixel) > 1

    @property
    def shows_everything(self) -> bool:
        """Nothing is left out: no other optical path or focal plane, no bits beyond eight."""
        return (
            all(source.shows_all_frames for source in self._sources)
            and sum(source.n_parts for source in self._sources) == len(self._headers)
            and all(
                int(header.get("BitsStored") or header.BitsAllocated) == _EIGHT_BITS
                for header in self._headers
            )
        )

    def region(
        self, level: int, row: int, column: int, rows: int, columns: int, *, shrink: int = 1
    ) -> Pixels:
        """Read a region of one level.

        Parameters
        ----------
        level
            Index into `levels`.
        row, column
            Top-left corner in pixels of that level; may be negative.
        rows, columns
            Size in pixels of that level.
        shrink
            One of the level's `shrinks`. The level is taken as that many times smaller along each
            side, and everything above counts its pixels; JPEG is decoded at that size.

        Returns
        -------
        numpy.ndarray
            `(rows, columns, 3)` uint8 RGB; white outside the slide and where tiles are missing.

        Raises
        ------
        DamagedImage
            A frame is damaged.
        UnreadableEncoding
            No codec here knows a frame.
        """
        shape = self._levels[level]
        if shrink not in shape.shrinks:
            raise ValueError("the tiles of this level cannot be shrunk so")
        top, left = max(row, 0), max(column, 0)
        bottom = min(row + rows, -(-shape.rows // shrink))
        right = min(column + columns, -(-shape.columns // shrink))
        source = self._sources[level]
        if (top, left, bottom, right) == (row, column, row + rows, column + columns):
            return source.region(row, column, rows, columns, shrink)
        pixels = np.full((rows, columns, 3), WHITE, dtype=np.uint8)
        if top < bottom and left < right:
            inside = source.region(top, left, bottom - top, right - left, shrink)
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
    UnfitScan
        No VOLUME image, no pixel spacing or one that cannot be true, or several scanned areas.
    DamagedImage
        A file is damaged, or a part of an image is missing.
    UnreadableEncoding
        The images are stored in a way that nobody reads here.
    """
    images = [image for image in map(volume_image, files) if image is not None]
    if not images:
        raise UnfitScan("The slide has no scanned image (VOLUME) that can be read.")
    groups = levels_of(images)
    base = groups[0].parts[0]
    if base.um_px > _PLAUSIBLE_BASE_UM_PX:
        raise UnfitScan("The pixel spacing that the scanner wrote cannot be true.")
    recent = RecentTiles(_KEPT_BYTES)
    with ExitStack() as opened:
        sources = []
        for group in groups:
            sources.append(level_source(group, recent))
            opened.callback(sources[-1].close)
        opened.pop_all()
    levels = [_level(group.parts[0], base) for group in groups]
    return SlideReader(levels, sources, [image.header for group in groups for image in group.all])


def _level(image: VolumeImage, base: VolumeImage) -> Level:
    return Level(
        rows=image.grid.rows,
        columns=image.grid.columns,
        um_px=image.um_px,
        tile_px=(image.grid.tile_rows, image.grid.tile_columns),
        downsample=image.um_px / base.um_px,
    )

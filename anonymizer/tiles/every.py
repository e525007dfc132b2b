"""Every tile of a slide, for the hospital's own model servers: the grid of local classifiers.

A tile of it holds, pixel by pixel, what a tile classifier of the appliance would be given; so it is
neither cropped nor turned, and what comes back is what local inference would have said.
"""

import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from appliance.errors import PolicyRefused
from appliance.settings import EveryTile
from appliance.slides.classes import ClassMap, Mask, SlideClass
from appliance.slides.reader import SlideReader
from appliance.slides.sampling import Sampler

LEAST_TISSUE: Final = 0.5
"""Part of a tile that must be clean tissue; as much as local tile classifiers ask for."""
_SUBSAMPLES: Final = 8
"""How many points a side tell at most how much of a tile is tissue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridTile:
    """One tile of the grid."""

    tile_id: str
    """128 keyed bits, hexadecimal."""
    row_px: int
    """Top row, from the top of the base matrix, in pixels of the sampler."""
    column_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TileNames:
    """Random-looking ids of tiles: the same for the same place of the same images, for ever."""

    key: bytes
    recipient: str
    source: str
    """Folder of the images, which another revision of the slide has another of."""

    def of(self, row_px: int, column_px: int, *, um_px: float, tile_px: int) -> str:
        """Name the tile at a place."""
        place = [self.recipient, self.source, um_px, tile_px, row_px, column_px]
        message = json.dumps(["coverslip/every-tile/1", *place]).encode()
        return hmac.digest(self.key, message, "sha256")[:16].hex()


def sampler_of(reader: SlideReader, policy: EveryTile) -> Sampler:
    """Give the slide at the policy's resolution.

    Raises
    ------
    PolicyRefused
        The slide is coarser than the model wants.
    """
    sampler = Sampler(reader, policy.um_px)
    if sampler.coarser:
        raise PolicyRefused("The slide was scanned too coarse for the model of this route.")
    return sampler


def every_tile(
    class_map: ClassMap,
    *,
    class_map_um_px: float,
    sampler: Sampler,
    policy: EveryTile,
    names: TileNames,
) -> tuple[GridTile, ...]:
    """Give the tiles of a slide that hold clean tissue, and no ink: that can spell a name.

    Parameters
    ----------
    class_map
        `(rows, columns)` uint8, values of `SlideClass`, origin at the base matrix's.
    class_map_um_px
        Its spacing.
    sampler
        The slide at the resolution of the tiles.
    policy
        Side of a tile.
    names
        Names the tiles.

    Returns
    -------
    tuple of GridTile
        Row by row.
    """
    side_um = policy.tile_px * sampler.um_px
    shape = (-(-sampler.rows // policy.tile_px), -(-sampler.columns // policy.tile_px))
    extent_um = (sampler.rows * sampler.um_px, sampler.columns * sampler.um_px)
    clean = class_map == SlideClass.TISSUE
    wanted = _share(clean, class_map_um_px, shape, side_um, extent_um) >= LEAST_TISSUE
    wanted &= ~_touched(class_map == SlideClass.PEN, class_map_um_px, shape, side_um)
    places = (np.argwhere(wanted) * policy.tile_px).tolist()
    return tuple(
        GridTile(
            tile_id=names.of(row, column, um_px=sampler.um_px, tile_px=policy.tile_px),
            row_px=row,
            column_px=column,
        )
        for row, column in places
    )


def read_tiles(
    sampler: Sampler, tiles: tuple[GridTile, ...], *, tile_px: int
) -> Iterator[tuple[str, bytes]]:
    """Read tiles and encode them without loss.

    Yields
    ------
    tuple of str and bytes
        Tile id and PNG file (8-bit RGB, no metadata).

    Raises
    ------
    UnsuitableSlide
        A frame is damaged.
    """
    for tile in tiles:
        pixels = sampler.region(tile.row_px, tile.column_px, tile_px, tile_px)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        yield tile.tile_id, buffer.getvalue()


def _share(
    mask: Mask,
    um_px: float,
    shape: tuple[int, int],
    side_um: float,
    extent_um: tuple[float, float],
) -> npt.NDArray[np.float64]:
    """Give `(tile_rows, tile_columns)`: how much of each tile the mask covers, at points of it."""
    k = int(np.clip(side_um / um_px, 1, _SUBSAMPLES))
    axes = []
    for n_tiles, size, end_um in zip(shape, mask.shape, extent_um, strict=True):
        points_um = (np.arange(n_tiles * k) + 0.5) * side_um / k
        inside = (points_um < end_um) & (points_um < size * um_px)
        axes.append((np.minimum((points_um / um_px).astype(np.intp), size - 1), inside))
    (rows, rows_in), (columns, columns_in) = axes
    points = mask[np.ix_(rows, columns)] & np.outer(rows_in, columns_in)
    share: npt.NDArray[np.float64] = points.reshape(shape[0], k, shape[1], k).mean(axis=(1, 3))
    return share


def _touched(mask: Mask, um_px: float, shape: tuple[int, int], side_um: float) -> Mask:
    """Give `(tile_rows, tile_columns)`: whether a tile so much as touches the mask."""
    counts = cv2.integral(mask.astype(np.uint8))
    reach = []
    for n_tiles, size in zip(shape, mask.shape, strict=True):
        edges = np.arange(n_tiles + 1) * side_um / um_px
        starts = np.minimum(np.floor(edges[:-1]).astype(np.intp), size)
        reach.append((starts, np.minimum(np.ceil(edges[1:]).astype(np.intp), size)))
    (top, bottom), (left, right) = reach
    found: Mask = (
        counts[np.ix_(bottom, right)]
        - counts[np.ix_(top, right)]
        - counts[np.ix_(bottom, left)]
        + counts[np.ix_(top, left)]
    ) > 0
    return found

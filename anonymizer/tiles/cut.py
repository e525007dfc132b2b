"""Cut planned tiles out of a slide and encode them anew, all with one setting."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import Dataset

from anonymizer.tiles.plan import Placement
from appliance.errors import PolicyRefused
from appliance.settings import ColouredTiles
from appliance.slides.reader import SlideReader

_FINER_BY: Final = 0.98
"""A level up to 2 % coarser than the policy's µm/px still serves it."""

_STAINS: Final = {
    "hematoxylin": frozenset({("12710003", "SCT"), ("C-22968", "SRT")}),
    "eosin": frozenset({("36879007", "SCT"), ("C-2281A", "SRT"), ("C-22919", "SRT")}),
}
"""Staining substances a recipient may be told of; everything else is "other"."""


STAINS: Final = ("H&E", "other")
"""What a recipient may be told of the stain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    level: int
    px_per_px: float
    """Pixels of the level per pixel of the policy's grid."""


def cut_tiles(
    reader: SlideReader, placements: tuple[Placement, ...], policy: ColouredTiles
) -> Iterator[tuple[str, bytes]]:
    """Read, turn and encode tiles.

    Yields
    ------
    tuple of str and bytes
        Tile id and JPEG file (baseline, 4:2:0, no metadata).

    Raises
    ------
    PolicyRefused
        The slide was scanned too coarse for this route's magnification.
    UnsuitableSlide
        A frame is damaged.
    """
    scale = _scale(reader, policy)
    for placement in placements:
        pixels = _read(reader, placement, scale)
        yield placement.tile_id, encode(turned(pixels, placement.turn), policy.jpeg_quality)


def turned(pixels: npt.NDArray[np.uint8], turn: int) -> npt.NDArray[np.uint8]:
    """Turn and flip a tile `(side, side, 3)`: one of the eight symmetries of the square."""
    rotated = np.rot90(pixels, turn % 4)
    return np.ascontiguousarray(np.fliplr(rotated) if turn >= 4 else rotated)  # noqa: PLR2004


def encode(pixels: npt.NDArray[np.uint8], jpeg_quality: int) -> bytes:
    """Encode as baseline JPEG with one setting for all tiles of a recipient."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=jpeg_quality, subsampling="4:2:0")
    return buffer.getvalue()


def stain_of(header: Dataset) -> str:
    """Name the stain: "H&E", or "other" for whatever is not known to be that.

    Read from the staining substances in Specimen Preparation (PS3.3 C.7.6.22, TID 8003).
    """
    codes = {
        (str(item.get("CodeValue", "")), str(item.get("CodingSchemeDesignator", "")))
        for item in _codes(header.get("SpecimenDescriptionSequence") or [])
    }
    return STAINS[0] if all(codes & known for known in _STAINS.values()) else STAINS[1]


def _codes(items: list[Dataset]) -> Iterator[Dataset]:
    for item in items:
        if "CodeValue" in item:
            yield item
        for element in item:
            if element.VR == "SQ":
                yield from _codes(list(element.value))


def _scale(reader: SlideReader, policy: ColouredTiles) -> _Scale:
    fine_enough = [
        index
        for index, level in enumerate(reader.levels)
        if level.um_px * _FINER_BY <= policy.um_px
    ]
    if not fine_enough:
        raise PolicyRefused("The slide was scanned too coarse for the magnification of this route.")
    level = fine_enough[-1]
    return _Scale(level=level, px_per_px=policy.um_px / reader.levels[level].um_px)


def _read(reader: SlideReader, placement: Placement, scale: _Scale) -> npt.NDArray[np.uint8]:
    side = round(placement.side_px * scale.px_per_px)
    region = reader.region(
        scale.level,
        round(placement.row_px * scale.px_per_px),
        round(placement.column_px * scale.px_per_px),
        side,
        side,
    )
    if side == placement.side_px:
        return region
    size = (placement.side_px, placement.side_px)
    return np.asarray(Image.fromarray(region).resize(size, Image.Resampling.LANCZOS))

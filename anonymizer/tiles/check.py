"""Check a tile before it is packed, in whatever form it leaves: id, stain, spacing, codestream."""

import math
import re
from typing import Final

from anonymizer.gate.codestream_check import CodestreamCheck, Frames
from anonymizer.tiles.shards import Tile
from appliance.errors import DeliveryRefused, IdentityDoubt

_TILE_ID: Final = re.compile(r"[0-9a-f]{32}")
_STAINS: Final = frozenset({"H&E", "other"})


def check_tile(tile_id: str, tile: Tile) -> None:
    """Check that a tile tells its pixels, its spacing and one of the known stains, and no more.

    Raises
    ------
    DeliveryRefused
        Its JPEG file holds a note or bytes behind its end, or another value is not as it has to be.
    """
    if not _TILE_ID.fullmatch(tile_id):
        raise refused("an id that is not random")
    if tile.stain not in _STAINS or not (math.isfinite(tile.um_px) and tile.um_px > 0):
        raise refused("a stain or spacing that is not known")
    memory = Frames(len(tile.jpeg))
    memory.room(len(tile.jpeg))[:] = tile.jpeg
    try:
        end = CodestreamCheck().end_of(memory, 0, len(tile.jpeg))
    except IdentityDoubt as error:
        raise refused("a codestream with more in it than pixels") from error
    if end != len(tile.jpeg):
        raise refused("bytes behind the pixels")


def refused(what: str) -> DeliveryRefused:
    """Give the error for what may not leave."""
    return DeliveryRefused(f"A tile holds what may not leave: {what}.")

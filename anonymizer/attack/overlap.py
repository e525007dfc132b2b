"""Two tiles of one slide must share no pixel: what they share, joins them."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from anonymizer.attack.figures import NOT_COUNTED, Figure
from anonymizer.attack.tile_set import RGB, TrueTile


def largest_overlap(placed: Sequence[TrueTile], side_px: int) -> Figure:
    """Give the largest number of pixels that two tiles of a piece share; n is how many pairs."""
    pieces: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for tile in placed:
        pieces.setdefault((tile.slide, tile.piece), []).append((tile.row_px, tile.column_px))
    most, n_pairs = 0, 0
    for places in pieces.values():
        rows, columns = np.array(places).T
        shared = np.maximum(side_px - np.abs(rows[:, None] - rows), 0) * np.maximum(
            side_px - np.abs(columns[:, None] - columns), 0
        )
        np.fill_diagonal(shared, 0)
        most = max(most, int(shared.max()))
        n_pairs += len(places) * (len(places) - 1) // 2
    return Figure(value=float(most), chance=0.0, n=n_pairs) if n_pairs else NOT_COUNTED


def duplicates(pixels: RGB) -> int:
    """Count tiles that are another one, turned or not, bit by bit; plain colour does not count."""
    counts = Counter(_name(tile) for tile in pixels if np.ptp(tile.reshape(-1, 3), axis=0).any())
    return sum(count for count in counts.values() if count > 1)


def _name(tile: RGB) -> bytes:
    """Digest that is the same however the tile is turned."""
    poses = [np.rot90(seen, turn) for seen in (tile, np.fliplr(tile)) for turn in range(4)]
    return min(hashlib.blake2b(np.ascontiguousarray(pose).tobytes()).digest() for pose in poses)

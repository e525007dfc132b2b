"""What an attacker holds, and what only the hospital knows of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

RGB = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

N_TURNS: Final = 8
"""Symmetries of the square: quarter turns anticlockwise in the two low bits, then a flip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSet:
    """Tiles as they left, in the order in which they left."""

    pixels: RGB
    """`(n, side, side, 3)`: tile, row, column, RGB."""
    names: tuple[str, ...]
    """File name of each tile, with its shard's where it came in one."""
    ids: tuple[str, ...]
    """File name without folder and ending."""
    sizes_bytes: Ints
    """`(n,)`: length of each file."""
    times: npt.NDArray[np.float64]
    """`(n,)`: modification time of each file or member, seconds since 1970."""
    tables: tuple[str, ...]
    """Per tile a digest of how it was encoded: quantisation tables, sampling, mode."""
    plain_sizes_bytes: Ints | None = None
    """`(n,)`: length that the pixels alone give, encoded again; None: not known."""
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Whatever else came with every tile and differs: JSON fields, DICOM elements, by name."""
    others: Mapping[str, RGB] = field(default_factory=dict)
    """Pictures of another shape that left beside the tiles, by file name: overviews, perhaps."""

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def side_px(self) -> int:
        """Side of every tile."""
        return int(self.pixels.shape[1])

    def take(self, indices: Sequence[int] | Ints) -> "TileSet":
        """Keep some tiles, in the order of `indices`."""
        chosen = np.asarray(indices, dtype=np.int64)
        plain = self.plain_sizes_bytes
        return TileSet(
            pixels=self.pixels[chosen],
            names=tuple(self.names[index] for index in chosen),
            ids=tuple(self.ids[index] for index in chosen),
            sizes_bytes=self.sizes_bytes[chosen],
            times=self.times[chosen],
            tables=tuple(self.tables[index] for index in chosen),
            plain_sizes_bytes=plain if plain is None else plain[chosen],
            facts={
                name: tuple(values[index] for index in chosen)
                for name, values in self.facts.items()
            },
            others=self.others,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueTile:
    """Where a tile comes from: known to the hospital alone."""

    slide: str
    row_px: int
    """Top row of the tile on its slide, in pixels of the tile."""
    column_px: int
    turn: int = 0
    """0 to 7, as `anonymizer.tiles.cut.turned` turns."""
    recipient: str = ""
    piece: str = ""
    """A part of the slide within which pairs count; needed where a slide was put together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The sealed answer to a tile set."""

    cell_px: int
    """Pitch of the grid that the tiles were cut on; the attacker knows it too."""
    tiles: Mapping[str, TrueTile]
    """By tile id."""

    def of(self, tiles: TileSet) -> tuple[TrueTile, ...]:
        """Give the truth of each tile, in the order of the set. KeyError: a tile is unknown."""
        return tuple(self.tiles[tile_id] for tile_id in tiles.ids)

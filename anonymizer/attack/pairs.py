"""Which tiles truly are neighbours, and which facets they turn to each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from anonymizer.attack.figures import Relation
from anonymizer.attack.symmetry import is_flipped, turned_corner, turned_side
from anonymizer.attack.tile_set import TrueTile

Ints = npt.NDArray[np.int64]

OFFSETS: Final[dict[Relation, tuple[tuple[int, int, int], ...]]] = {
    "edge": ((0, 1, 1), (1, 0, 2)),
    "diagonal": ((1, 1, 2), (1, -1, 3)),
    "two apart": ((0, 2, 1), (2, 0, 2)),
}
"""Per relation the steps in cells (rows, columns) and the facet that points there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TruePairs:
    """True neighbours of one relation, each pair once; all arrays `(n,)`."""

    first: Ints
    """Index of a tile."""
    first_facet: Ints
    """Its side (or corner, for diagonals) as it was released."""
    second: Ints
    second_facet: Ints
    mirrored: Ints
    """1 where one of the two was flipped and the other was not."""

    def __len__(self) -> int:
        return len(self.first)

    def both_ways(self) -> "TruePairs":
        """Every pair as asked from either tile."""
        return TruePairs(
            first=np.concatenate([self.first, self.second]),
            first_facet=np.concatenate([self.first_facet, self.second_facet]),
            second=np.concatenate([self.second, self.first]),
            second_facet=np.concatenate([self.second_facet, self.first_facet]),
            mirrored=np.concatenate([self.mirrored, self.mirrored]),
        )

    def within(self, chosen: npt.NDArray[np.bool_]) -> "TruePairs":
        """Keep the pairs both of whose tiles are chosen; indices stay as they are."""
        kept = chosen[self.first] & chosen[self.second]
        return TruePairs(
            first=self.first[kept],
            first_facet=self.first_facet[kept],
            second=self.second[kept],
            second_facet=self.second_facet[kept],
            mirrored=self.mirrored[kept],
        )


def true_pairs(placed: Sequence[TrueTile], cell_px: int, relation: Relation) -> TruePairs:
    """Find the released pairs whose cells lie in a relation, within one piece of one slide.

    Parameters
    ----------
    placed
        Truth of every tile, in the order of the set.
    cell_px
        Pitch of the grid.
    relation
        Which neighbours.
    """
    cells = {
        (tile.slide, tile.piece, tile.row_px // cell_px, tile.column_px // cell_px): index
        for index, tile in enumerate(placed)
    }
    turns = np.array([tile.turn for tile in placed], dtype=np.int64)
    turned = turned_corner if relation == "diagonal" else turned_side
    found = [
        (index, cells[other], facet)
        for (slide, piece, row, column), index in cells.items()
        for rows, columns, facet in OFFSETS[relation]
        if (other := (slide, piece, row + rows, column + columns)) in cells
    ]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    first, second, facet = table.T
    return TruePairs(
        first=first,
        first_facet=turned(facet, turns[first]),
        second=second,
        second_facet=turned((facet + 2) % 4, turns[second]),
        mirrored=(is_flipped(turns[first]) != is_flipped(turns[second])).astype(np.int64),
    )

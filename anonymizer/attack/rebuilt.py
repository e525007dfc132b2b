"""How much of an assembly is right, and how much a perfect matcher would get right."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from anonymizer.attack.assembly import Assembly
from anonymizer.attack.figures import Figure
from anonymizer.attack.pairs import TruePairs
from anonymizer.attack.symmetry import POSES
from anonymizer.attack.tile_set import TrueTile

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLattice:
    """How the lattice of an assembly lies on the grid of cells."""

    cell_px: int
    pitch: int
    """Cells from one tile to the next."""


FEWEST_TILES: Final = 50
"""Shares of a slide are judged from this many tiles on: of fewer, one tile is more than 2 %."""


def right_pairs(assembly: Assembly, pairs: TruePairs) -> Bools:
    """Tell which true pairs `(n,)` the assembly has reproduced, turn and all."""
    on = assembly.on
    pose = assembly.pose[pairs.first]
    step = on.steps[pose, pairs.first_facet]
    joined = on.joined[pose, pairs.first_facet, pairs.second_facet, pairs.mirrored]
    apart = assembly.position[pairs.second] - assembly.position[pairs.first]
    return np.asarray(
        (assembly.part[pairs.first] == assembly.part[pairs.second])
        & (apart == step).all(axis=1)
        & (joined == assembly.pose[pairs.second])
    )


def components(n: int, first: Ints, second: Ints) -> Ints:
    """Give the number of the connected part `(n,)` of each node of a graph."""
    parent = list(range(n))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        parent[root(a)] = root(b)
    return np.array([root(index) for index in range(n)], dtype=np.int64)


def largest_share(placed: Sequence[TrueTile], part: Ints) -> Figure:
    """Give the largest part among the tiles of its slide; chance is one tile alone, the least.

    Slides of fewer than 50 tiles are counted as one heap, against all their tiles: of a slide of
    20 tiles even one tile is 5 %, and of a hundred such slides one has a lucky pair. What is put
    together of any one of them, `largest_of_small` tells.
    """
    if not placed:
        return Figure(value=None, chance=None, n=0)
    tiles = Counter(tile.slide for tile in placed)
    heap = [slide if tiles[slide] >= FEWEST_TILES else "" for slide in (t.slide for t in placed)]
    totals = Counter(heap)
    sizes = Counter(zip(heap, part.tolist(), strict=True))
    shares = dict.fromkeys(totals, 0.0)
    for (heap_of, _), size in sizes.items():
        shares[heap_of] = max(shares[heap_of], size / totals[heap_of])
    judged = {name: share for name, share in shares.items() if totals[name] >= FEWEST_TILES}
    of, share = max((judged or shares).items(), key=lambda item: item[1])
    return Figure(value=share, chance=1 / totals[of], n=totals[of])


def lc(placed: Sequence[TrueTile], assembly: Assembly, pairs: TruePairs) -> Figure:
    """Give the largest part that is joined by right pairs only."""
    right = right_pairs(assembly, pairs)
    part = components(len(placed), pairs.first[right], pairs.second[right])
    return largest_share(placed, part)


def largest_of_small(placed: Sequence[TrueTile], assembly: Assembly, pairs: TruePairs) -> Figure:
    """Give the most tiles that right pairs join of any slide of fewer than 50 tiles.

    A number of tiles, no share; chance is one, the least.
    """
    tiles = Counter(tile.slide for tile in placed)
    right = right_pairs(assembly, pairs)
    part = components(len(placed), pairs.first[right], pairs.second[right]).tolist()
    small = [
        number for t, number in zip(placed, part, strict=True) if tiles[t.slide] < FEWEST_TILES
    ]
    most = max(Counter(small).values(), default=None)
    return Figure(value=most, chance=None if most is None else 1.0, n=len(small))


def right_places(placed: Sequence[TrueTile], assembly: Assembly, lattice: CellLattice) -> Bools:
    """Tell which tiles `(n,)` are in their right place, the best shift and turn granted each piece.

    A tile that was joined to nothing is in no place.
    """
    turns = np.array([tile.turn for tile in placed])
    cells = np.array([(tile.row_px, tile.column_px) for tile in placed]) // lattice.cell_px
    turn = assembly.on.moved[assembly.pose, turns]
    shift = lattice.pitch * assembly.position - np.einsum("nij,nj->ni", POSES[turn], cells)
    frames = list(zip(assembly.part.tolist(), turn.tolist(), *shift.T.tolist(), strict=True))
    pieces = [(tile.slide, tile.piece) for tile in placed]
    sizes, counts = Counter(assembly.part.tolist()), Counter(zip(pieces, frames, strict=True))
    best: dict[tuple[str, str], tuple[int, ...]] = {}
    for (piece, frame), _ in counts.most_common():
        best.setdefault(piece, frame)
    return np.array(
        [
            best[piece] == frame and sizes[frame[0]] > 1
            for piece, frame in zip(pieces, frames, strict=True)
        ],
        dtype=np.bool_,
    )


def nc(assembly: Assembly, pairs: TruePairs) -> float | None:
    """Give the share of true pairs that were reproduced; None without any."""
    return float(right_pairs(assembly, pairs).mean()) if len(pairs) else None


def perfect(placed: Sequence[TrueTile], pairs: Sequence[TruePairs]) -> Figure:
    """Give what a matcher that never errs joins by these pairs: a bound on any future attacker.

    Of each slide alone. One of fewer than 50 tiles is counted as if it had 50, so that one tile is
    no more than 2 % of it and two that touch are.
    """
    if not placed:
        return Figure(value=None, chance=None, n=0)
    first = np.concatenate([some.first for some in pairs])
    second = np.concatenate([some.second for some in pairs])
    part = components(len(placed), first, second).tolist()
    tiles = Counter(tile.slide for tile in placed)
    sizes = Counter((tile.slide, number) for tile, number in zip(placed, part, strict=True))
    (slide, _), size = max(
        sizes.items(), key=lambda item: item[1] / max(tiles[item[0][0]], FEWEST_TILES)
    )
    counted = max(tiles[slide], FEWEST_TILES)
    return Figure(value=size / counted, chance=1 / counted, n=tiles[slide])

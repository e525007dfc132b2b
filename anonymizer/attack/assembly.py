"""Put tiles together greedily: the most certain pair first, whole parts with it.

A spanning tree in the manner of Gallagher (CVPR 2012) for tiles whose turn is unknown and whose
slides are mixed. Pairs that are confirmed by a loop of four tiles come before all others (Son, Hays
and Cooper, ECCV 2014).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from anonymizer.attack.figures import Relation
from anonymizer.attack.ranking import Asked, Candidates
from anonymizer.attack.symmetry import CORNERS, POSES, SIDES, Lattice

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_TRIED: Final = 6
"""Placements of each facet that the tree may use."""
_LOOPED: Final = 3
"""Placements of each facet that loops are made of."""
_STEPS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """Where the attacker put every tile."""

    part: Ints
    """`(n,)`: number of the part that the tile belongs to."""
    position: Ints
    """`(n, 2)`: row and column on the lattice of its part."""
    pose: Ints
    """`(n,)`: 0 to 7, how the attacker turned it."""
    on: Lattice
    """Whether the lattice joins sides or corners."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """For each facet of each tile its best placements by one score, best first."""

    candidates: Candidates
    numbers: Ints
    """`(n, 4, k)`."""
    values: Floats
    """`(n, 4, k)`: smaller is better, comparable between facets."""

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return len(self.numbers)


def ranked(asked: Asked, values: Floats) -> Ranked:
    """Sort the shortlist by one score: `values` `(n, 4, k)`."""
    order = np.argsort(values, axis=2, kind="stable")[:, :, :_TRIED]
    return Ranked(
        candidates=asked.candidates,
        numbers=np.take_along_axis(asked.shortlist, order, axis=2),
        values=np.take_along_axis(values, order, axis=2),
    )


def lattice_of(relation: Relation) -> Lattice:
    """Tell what tiles of a relation are joined by."""
    return CORNERS if relation == "diagonal" else SIDES


def assemble(best: Ranked, on: Lattice, *, is_careful: bool = False) -> Assembly:
    """Join tiles, most certain pair first, unless two would lie on one place.

    Parameters
    ----------
    best
        Placements to choose from.
    on
        What tiles are joined by.
    is_careful
        Join only what a loop of four confirms.
    """
    n = best.n_tiles
    parts = [[index] for index in range(n)]
    part, pose = np.arange(n), np.zeros(n, np.int64)
    position = np.zeros((n, 2), np.int64)
    for ours, facet, theirs, other_facet, mirrored in _most_certain_first(
        best, is_careful=is_careful
    ):
        keeps, moves = int(part[ours]), int(part[theirs])
        if keeps == moves:
            continue
        place = position[ours] + on.steps[pose[ours], facet]
        pose_there = on.joined[pose[ours], facet, other_facet, mirrored]
        turn = on.moved[pose_there, on.inverse[pose[theirs]]]
        members = np.array(parts[moves])
        turned = on.moved[turn, pose[members]]
        moved = (position[members] - position[theirs]) @ POSES[turn].T + place
        taken = {tuple(at) for at in position[parts[keeps]].tolist()}
        if any(tuple(at) in taken for at in moved.tolist()):
            continue
        position[members], pose[members], part[members] = moved, turned, keeps
        parts[keeps].extend(parts[moves])
        parts[moves] = []
    return Assembly(part=part, position=position, pose=pose, on=on)


def loops(best: Ranked) -> npt.NDArray[np.bool_]:
    """Tell which placements close a loop of four: `(n, 4, k)`."""
    numbers = best.numbers[:, :, :_LOOPED]
    n, _, k = numbers.shape
    found = np.zeros(best.numbers.shape, np.bool_)
    tile, facet, first = (grid.ravel() for grid in np.indices((n, 4, k)))
    for hand in (1, -1):
        closes = _walk(best, (tile, facet, first), hand)
        found[tile, facet, first] |= closes
    return found


def at_random(candidates: Candidates) -> Ranked:
    """Guess: placements and their order drawn at random, never a tile beside itself."""
    rng = np.random.default_rng(0)
    n, per_tile = candidates.n_tiles, candidates.per_tile
    shape = (n, 4, min(_TRIED, n - 1))
    other = (np.arange(n)[:, None, None] + rng.integers(1, n, shape)) % n
    numbers = candidates.number(
        other, rng.integers(0, 4, shape), rng.integers(0, 2, shape) * (per_tile > 1)
    )
    values = rng.random(shape, dtype=np.float32)
    return Ranked(candidates=candidates, numbers=numbers, values=values)


def _walk(best: Ranked, start: tuple[Ints, Ints, Ints], hand: int) -> npt.NDArray[np.bool_]:
    """Walk around a point from every start, always turning to one hand."""
    origin, origin_facet, choice = start
    tile, facet = origin, origin_facet
    root = np.arange(len(tile))
    hands = np.full(len(tile), hand)
    for step in range(_STEPS):
        if step:
            width = min(_LOOPED, best.numbers.shape[2])
            tile, facet, hands, root = (np.repeat(x, width) for x in (tile, facet, hands, root))
            choice = np.tile(np.arange(width), len(tile) // width)
        number = best.numbers[tile, facet, choice]
        entered = best.candidates.facet_of(number, facet)
        hands = hands * (1 - 2 * best.candidates.mirrored_of(number))
        tile = best.candidates.tile_of(number)
        facet = (entered + 2 + hands) % 4
    home = (tile == origin[root]) & (facet == origin_facet[root]) & (hands == hand)
    closes = np.zeros(len(origin), np.bool_)
    closes[root[home]] = True
    return closes


def _most_certain_first(
    best: Ranked, *, is_careful: bool
) -> Iterator[tuple[int, int, int, int, int]]:
    n, _, k = best.numbers.shape
    tile, facet, _ = (grid.ravel() for grid in np.indices((n, 4, k)))
    number, confirmed = best.numbers.ravel(), loops(best).ravel()
    other = best.candidates.tile_of(number)
    entered = best.candidates.facet_of(number, facet)
    mirrored = best.candidates.mirrored_of(number)
    order = np.lexsort((best.values.ravel(), ~confirmed))
    if is_careful:
        order = order[confirmed[order]]
    columns = np.stack([tile, facet, other, entered, mirrored], axis=1)[order]
    for row in columns.tolist():
        yield row[0], row[1], row[2], row[3], row[4]

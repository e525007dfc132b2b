"""How tiles lie beside each other when nobody knows how each was turned.

Sides are numbered clockwise from the top, corners clockwise from the top left; both are called
facets. A tile may be turned and flipped, so a neighbour is a facet of one tile, a facet of the
other, and whether one of them is seen in the mirror: 4 by 4 by 2.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

N_FACETS: Final = 4
_FLIPPED: Final = 4
"""From this turn on a tile is flipped left to right after its quarter turns."""

SIDE_STEPS: Final = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
"""`(4, 2)`: row and column step outward from each side."""
CORNER_STEPS: Final = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])
"""`(4, 2)`: row and column step outward from each corner."""


def _poses() -> Ints:
    quarter = np.array([(0, -1), (1, 0)])  # anticlockwise: right (0, 1) becomes up (-1, 0)
    flip = np.array([(1, 0), (0, -1)])
    powers = [np.linalg.matrix_power(quarter, k) for k in range(4)]
    return np.array([*powers, *(flip @ power for power in powers)])


POSES: Final = _poses()
"""`(8, 2, 2)`: what each turn does to a (row, column) direction, turn 0 to 7."""


def is_flipped(turn: int | Ints) -> npt.NDArray[np.bool_]:
    """Tell whether a turn mirrors the tile."""
    return np.asarray(turn) >= _FLIPPED


def turned_side(side: int | Ints, turn: int | Ints) -> Ints:
    """Give the side at which a side of the upright tile is found after a turn."""
    quarters = (np.asarray(side) - np.asarray(turn) % 4) % 4
    return np.asarray(np.where(is_flipped(turn), -quarters % 4, quarters), dtype=np.int64)


def turned_corner(corner: int | Ints, turn: int | Ints) -> Ints:
    """Give the corner at which a corner of the upright tile is found after a turn."""
    quarters = (np.asarray(corner) - np.asarray(turn) % 4) % 4
    return np.asarray(np.where(is_flipped(turn), (1 - quarters) % 4, quarters), dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """Joining by sides or by corners, as tables over poses (0 to 7) and facets."""

    steps: Ints
    """`(8, 4, 2)`: where a facet of a tile in some pose points."""
    joined: Ints
    """`(8, 4, 4, 2)`: pose of the other tile, by our pose, our facet, its facet, mirrored."""
    moved: Ints
    """`(8, 8)`: pose `b` after the whole was turned by `a`."""
    inverse: Ints
    """`(8,)`."""


def lattice(steps: Ints) -> Lattice:
    """Make the tables from the outward steps of the four facets."""
    outward = np.einsum("pij,fj->pfi", POSES, steps)
    number = {pose.tobytes(): index for index, pose in enumerate(POSES)}
    moved = np.array([[number[(a @ b).tobytes()] for b in POSES] for a in POSES])
    joined = np.zeros((8, 4, 4, 2), dtype=np.int64)
    for pose in range(8):
        for ours in range(4):
            for theirs in range(4):
                for other in range(8):
                    if (outward[other, theirs] == -outward[pose, ours]).all():
                        mirrored = int((pose >= _FLIPPED) != (other >= _FLIPPED))
                        joined[pose, ours, theirs, mirrored] = other
    return Lattice(steps=outward, joined=joined, moved=moved, inverse=np.argmin(moved, axis=1))


SIDES: Final = lattice(SIDE_STEPS)
CORNERS: Final = lattice(CORNER_STEPS)

"""Ask every tile of a set for its neighbours of one relation, by the hand-made scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anonymizer.attack.figures import RELATIONS, Relation, ScoreName
from anonymizer.attack.linkage import looks
from anonymizer.attack.pairs import true_pairs
from anonymizer.attack.ranking import HAND_MADE, Asked, Candidates, ask
from anonymizer.attack.scores import score
from anonymizer.attack.strips import Strips, strips_of
from anonymizer.attack.tile_set import TileSet, TrueTile, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Interview:
    """One relation of one set of tiles: what was asked, and what the answers are read from."""

    tiles: TileSet
    placed: tuple[TrueTile, ...]
    strips: Strips
    look: npt.NDArray[np.float32]
    """`(n, k)`: colour and texture of each tile."""
    asked: Asked


def interviews(
    tiles: TileSet,
    truth: Truth,
    *,
    scores: Sequence[ScoreName] = HAND_MADE,
    groups: npt.NDArray[np.float32] | None = None,
) -> dict[Relation, Interview]:
    """Ask for every relation of which a pair was released.

    Parameters
    ----------
    tiles, truth
        The set and its truth.
    scores
        Those of the hand-made scores to use.
    groups
        `(n, groups)`: 1 where a tile belongs to a group, whose wrong answers are counted apart.
    """
    placed = truth.of(tiles)
    candidates = Candidates(n_tiles=len(tiles), is_upright=is_upright(placed))
    counted = np.ones((len(tiles), 1), np.float32) if groups is None else groups
    look = looks(tiles.pixels)
    found = {}
    for relation in RELATIONS:
        pairs = true_pairs(placed, truth.cell_px, relation)
        if len(pairs) == 0:
            continue
        strips = strips_of(tiles.pixels, relation, truth.cell_px)
        blocks = {name: score(name, strips) for name in HAND_MADE if name in scores}
        asked = ask(blocks, pairs.both_ways(), candidates, counted)
        found[relation] = Interview(
            tiles=tiles, placed=placed, strips=strips, look=look, asked=asked
        )
    return found


def is_upright(placed: Sequence[TrueTile]) -> bool:
    """Tell whether no tile was turned, which an attacker may know."""
    return all(tile.turn == 0 for tile in placed)

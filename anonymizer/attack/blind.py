"""Attack without the truth: put together what fits, and say what can be said of it."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from anonymizer.attack.assembly import Assembly, assemble, lattice_of, ranked
from anonymizer.attack.figures import ScoreName
from anonymizer.attack.pairs import true_pairs
from anonymizer.attack.ranking import HAND_MADE, Asked, Candidates, ask
from anonymizer.attack.scores import score
from anonymizer.attack.strips import strips_of
from anonymizer.attack.tile_set import TileSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What an attacker sees who is told nothing."""

    score: ScoreName
    """The score whose choices agree most."""
    n_mutual: int
    """Pairs of facets that choose each other."""
    n_mutual_by_chance: float
    n_largest: int
    """Tiles of the largest part that was put together; right or wrong, nobody can tell."""
    assembly: Assembly


def guess(tiles: TileSet) -> Guess:
    """Put tiles together by their sides, as if no gap lay between them, turns unknown."""
    n = len(tiles)
    strips = strips_of(tiles.pixels, "edge", tiles.side_px)
    candidates = Candidates(n_tiles=n, is_upright=False)
    nothing = true_pairs((), tiles.side_px, "edge")
    blocks = {name: score(name, strips) for name in HAND_MADE}
    asked = ask(blocks, nothing, candidates, np.ones((n, 1), np.float32))
    mutual = [_mutual(asked, index) for index in range(len(asked.scores))]
    best = int(np.argmax(mutual))
    on = lattice_of("edge")
    assembly = assemble(ranked(asked, asked.values[..., best]), on)
    return Guess(
        score=asked.scores[best],
        n_mutual=mutual[best],
        # Each of 4 n facets chooses one of 8 (n - 1): half of 4 n / (8 (n - 1)) pairs agree.
        n_mutual_by_chance=n / (4 * (n - 1)),
        n_largest=max(Counter(assembly.part.tolist()).values()),
        assembly=assembly,
    )


def _mutual(asked: Asked, index: int) -> int:
    """Count pairs of facets each of which is the other's first choice."""
    values = asked.values[..., index]
    first = np.take_along_axis(asked.shortlist, values.argmin(axis=2)[..., None], axis=2)[..., 0]
    asked_facet = np.broadcast_to(np.arange(4), first.shape)
    tile = asked.candidates.tile_of(first)
    facet = asked.candidates.facet_of(first, asked_facet)
    back = first[tile, facet]
    own = np.broadcast_to(np.arange(len(first))[:, None], first.shape)
    agrees = (asked.candidates.tile_of(back) == own) & (
        asked.candidates.facet_of(back, facet) == asked_facet
    )
    return int(agrees.sum()) // 2

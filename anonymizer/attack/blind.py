"""Attack without the truth: put together what fits, and say what can be said of it."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from anonymizer.attack.assembly import Assembly, assemble, at_random, lattice_of, loops, ranked
from anonymizer.attack.figures import ScoreName
from anonymizer.attack.pairs import true_pairs
from anonymizer.attack.ranking import HAND_MADE, Candidates, ask
from anonymizer.attack.scores import score
from anonymizer.attack.strips import strips_of
from anonymizer.attack.tile_set import TileSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What an attacker sees who is told nothing."""

    score: ScoreName
    """The score whose choices agree most."""
    n_confirmed: int
    """Placements that close a loop of four."""
    n_by_chance: int
    """The same of placements drawn at random."""
    n_largest: int
    """Tiles of the largest part that such placements join; nobody can tell whether rightly."""
    assembly: Assembly


def guess(tiles: TileSet) -> Guess:
    """Put tiles together by their sides, as if no gap lay between them, turns unknown."""
    n = len(tiles)
    strips = strips_of(tiles.pixels, "edge", tiles.side_px)
    candidates = Candidates(n_tiles=n, is_upright=False)
    nothing = true_pairs((), tiles.side_px, "edge")
    blocks = {name: score(name, strips) for name in HAND_MADE}
    asked = ask(blocks, nothing, candidates, np.ones((n, 1), np.float32))
    choices = [ranked(asked, asked.values[..., index]) for index in range(len(asked.scores))]
    confirmed = [int(loops(choice).sum()) for choice in choices]
    best = int(np.argmax(confirmed))
    assembly = assemble(choices[best], lattice_of("edge"), is_careful=True)
    return Guess(
        score=asked.scores[best],
        n_confirmed=confirmed[best],
        n_by_chance=int(loops(at_random(candidates)).sum()),
        n_largest=max(Counter(assembly.part.tolist()).values()),
        assembly=assembly,
    )

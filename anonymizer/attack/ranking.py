"""Ask every tile for its neighbour and see where the true one stands among all placements."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from anonymizer.attack.figures import Figure, Ranking, Relation, ScoreName
from anonymizer.attack.pairs import TruePairs
from anonymizer.attack.scores import Block

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Groups = npt.NDArray[np.float32]

HAND_MADE: Final[tuple[ScoreName, ...]] = ("ssd", "pred", "mgc", "gap")
_SHORTLIST: Final = 96
_BLOCK_VALUES: Final = 4_000_000
_BEYOND: Final = np.float32(1e30)
_LEAST: Final = np.float32(1e-6)
_TOP: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The placements among which a neighbour is sought, by number."""

    n_tiles: int
    is_upright: bool

    @property
    def per_tile(self) -> int:
        """Ways in which one tile can be placed at a facet."""
        return 1 if self.is_upright else 8

    def tile_of(self, numbers: Ints) -> Ints:
        """Tile of each placement."""
        return numbers if self.is_upright else numbers % (4 * self.n_tiles) // 4

    def facet_of(self, numbers: Ints, asked: Ints | int) -> Ints:
        """Facet which that tile turns to us, who ask by our facet `asked`."""
        if self.is_upright:
            return np.broadcast_to((np.asarray(asked) + 2) % 4, numbers.shape)
        return numbers % 4

    def mirrored_of(self, numbers: Ints) -> Ints:
        """1 where it is mirrored against us."""
        return np.zeros_like(numbers) if self.is_upright else numbers // (4 * self.n_tiles)

    def number(self, tile: Ints, facet: Ints, mirrored: Ints) -> Ints:
        """Give the number of a placement."""
        return tile if self.is_upright else (mirrored * self.n_tiles + tile) * 4 + facet

    def by_tile(self, values: npt.NDArray[np.bool_]) -> Floats:
        """Count, for rows over all placements, those of each tile: `(q, n)`."""
        if self.is_upright:
            return values.astype(np.float32)
        counts = values.reshape(-1, 2, self.n_tiles, 4).sum(axis=(1, 3), dtype=np.float32)
        return np.asarray(counts, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What came of asking every tile at every facet."""

    candidates: Candidates
    pairs: TruePairs
    """Both ways: each is one question whose answer is known."""
    scores: tuple[ScoreName, ...]
    ahead: Floats
    """`(scores, pairs, groups)`: wrong placements that score better, by group of tiles."""
    shortlist: Ints
    """`(n, 4, k)`: numbers of the most promising placements."""
    values: Floats
    """`(n, 4, k, scores)`: their scores, as logarithm over the best of both facets."""
    true_values: Floats
    """`(pairs, scores)`: the same of the true placement."""


def ask(
    blocks: Mapping[ScoreName, Block],
    pairs: TruePairs,
    candidates: Candidates,
    groups: Groups,
) -> Asked:
    """Score all pairs block by block, so that the whole matrix is never held.

    Parameters
    ----------
    blocks
        The scores.
    pairs
        True pairs, both ways.
    candidates
        How tiles may be placed.
    groups
        `(n, groups)`: 1 where a tile belongs to a group (a recipient).
    """
    n, names = candidates.n_tiles, tuple(blocks)
    n_kept = min(_SHORTLIST, (n - 1) * candidates.per_tile)
    ahead = np.zeros((len(names), len(pairs), groups.shape[1]), np.float32)
    true_values = np.zeros((len(pairs), len(names)), np.float32)
    shortlist = np.zeros((n, 4, n_kept), np.int64)
    values = np.zeros((n, 4, n_kept, len(names)), np.float32)
    bests = [_best(block, candidates) for block in blocks.values()]
    for facet, tiles in _portions(candidates):
        relative = [
            _relative(block, best, tiles, facet, candidates)
            for block, best in zip(blocks.values(), bests, strict=True)
        ]
        here, rows = _questions(pairs, tiles, facet)
        answers = candidates.number(
            pairs.second[here], pairs.second_facet[here], pairs.mirrored[here]
        )
        for index, block in enumerate(relative):
            true_values[here, index] = block[rows, answers]
            ahead[index, here] = _ahead(block[rows], answers, candidates) @ groups
        kept = _most_promising(relative, n_kept)
        shortlist[tiles, facet] = kept
        for index, block in enumerate(relative):
            values[tiles, facet, :, index] = np.take_along_axis(block, kept, axis=1)
    return Asked(
        candidates=candidates,
        pairs=pairs,
        scores=names,
        ahead=ahead,
        shortlist=shortlist,
        values=values,
        true_values=true_values,
    )


def ranking(ahead: Floats, *, relation: Relation, score: ScoreName, n_candidates: int) -> Ranking:
    """Sum up ranks: `ahead` `(pairs,)` is how many wrong placements score better than the true."""
    ranks = 1 + ahead.astype(np.float64)
    n = len(ranks)

    def figure(values: npt.NDArray[np.float64] | npt.NDArray[np.bool_], chance: float) -> Figure:
        return Figure(value=float(np.mean(values)) if n else None, chance=chance, n=n)

    harmonic = float(np.sum(1 / np.arange(1, n_candidates + 1)))
    others = max(1, n_candidates - 1)
    return Ranking(
        relation=relation,
        score=score,
        n_candidates=n_candidates,
        top_1=figure(ranks <= 1, 1 / max(1, n_candidates)),
        top_5=figure(ranks <= _TOP, min(1.0, _TOP / max(1, n_candidates))),
        auc=figure(1 - (ranks - 1) / others, 0.5),
        mean_reciprocal_rank=figure(1 / ranks, harmonic / max(1, n_candidates)),
    )


def _portions(candidates: Candidates) -> Iterator[tuple[int, slice]]:
    """Facets and tiles that are asked together."""
    n = candidates.n_tiles
    step = max(1, _BLOCK_VALUES // (n * candidates.per_tile))
    for facet in range(4):
        for start in range(0, n, step):
            yield facet, slice(start, min(n, start + step))


def _questions(pairs: TruePairs, tiles: slice, facet: int) -> tuple[Ints, Ints]:
    """Which pairs are asked in a portion, and in which of its rows."""
    inside = (pairs.first >= tiles.start) & (pairs.first < tiles.stop)
    here = np.flatnonzero(inside & (pairs.first_facet == facet))
    return here, pairs.first[here] - tiles.start


def _scored(block: Block, tiles: slice, facet: int, candidates: Candidates) -> Floats:
    """Score a portion; a tile is not its own neighbour."""
    scored = block(tiles, facet, candidates.is_upright)
    own = np.arange(tiles.start, tiles.stop)
    rows = np.arange(len(own))
    if candidates.is_upright:
        scored[rows, own] = _BEYOND
    else:
        scored.reshape(len(own), 2, -1, 4)[rows, :, own] = _BEYOND
    return scored


def _best(block: Block, candidates: Candidates) -> Floats:
    """Best score of each facet of each tile `(n, 4)`."""
    best = np.zeros((candidates.n_tiles, 4), np.float32)
    for facet, tiles in _portions(candidates):
        best[tiles, facet] = _scored(block, tiles, facet, candidates).min(axis=1)
    return np.maximum(best, _LEAST)


def _relative(
    block: Block, best: Floats, tiles: slice, facet: int, candidates: Candidates
) -> Floats:
    """Logarithm of the score over the best of both facets.

    A pale facet fits everything; divided by its best it no longer hides who fits whom (the ratio of
    Gallagher 2012, taken both ways). It makes every score much stronger.
    """
    scored = np.log(np.maximum(_scored(block, tiles, facet, candidates), _LEAST))
    logs = np.log(best)
    theirs = logs[:, (facet + 2) % 4] if candidates.is_upright else np.tile(logs.ravel(), 2)
    scored -= theirs / 2
    scored -= logs[tiles, facet, None] / 2
    return scored


def _most_promising(relative: Sequence[Floats], n_kept: int) -> Ints:
    """Placements that stand out most by any score: `(q, n_kept)`."""
    standing = [
        (block - np.median(block[:, ::7], axis=1, keepdims=True))
        / np.maximum(np.std(block[:, ::7].clip(max=50), axis=1, keepdims=True), 1e-6)
        for block in relative
    ]
    order = np.argpartition(np.minimum.reduce(standing), n_kept - 1, axis=1)
    return np.asarray(order[:, :n_kept], dtype=np.int64)


def _ahead(block: Floats, answers: Ints, candidates: Candidates) -> Floats:
    """Count better placements than the true one by tile; an equal one counts half."""
    true = np.take_along_axis(block, answers[:, None], axis=1)
    better = candidates.by_tile(block < true)
    equal = block == true
    np.put_along_axis(equal, answers[:, None], values=False, axis=1)
    return np.asarray(better + candidates.by_tile(equal) / 2, dtype=np.float32)

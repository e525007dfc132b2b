"""The attacker that learns on other slides what neighbours look like.

Boosted trees judge the placements that the hand-made scores have put on a shortlist. No slide is
ever attacked by trees that have seen it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from anonymizer.attack.asking import Interview, interviews
from anonymizer.attack.describing import Describer, describer
from anonymizer.attack.figures import RELATIONS, Relation
from anonymizer.attack.learning import Trees, boosted_trees, likely
from anonymizer.attack.tile_set import TileSet, TrueTile, Truth

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_OTHERS: Final = 16
"""Wrong placements that are shown for each right one."""
_MOST_QUESTIONS: Final = 1500
_FEWEST_QUESTIONS: Final = 30
"""Of fewer nothing is learned."""
_PORTION: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Trees by relation; a relation of which there was too little to learn from has none."""

    trees: Mapping[Relation, Trees]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What trees say of one interview."""

    ahead: Floats
    """`(pairs,)`: wrong placements that are judged better than the true one."""
    values: Floats
    """`(n, 4, k)`: judgement of each placement of the shortlist, smaller is better."""


def train(corpora: Sequence[tuple[TileSet, Truth]]) -> Learned:
    """Learn on sets of tiles, cut with the same terms, of other slides than will be attacked."""
    asked = [interviews(tiles, truth) for tiles, truth in corpora]
    trees = {}
    for relation in RELATIONS:
        lessons = [
            _lesson(one[relation], describer(one[relation]), None)
            for one in asked
            if relation in one
        ]
        if sum(int(is_right.sum()) for _, is_right in lessons) >= _FEWEST_QUESTIONS:
            trees[relation] = _taught(lessons)
    return Learned(trees=trees)


def judge(interview: Interview, trees: Trees) -> Judged:
    """Judge a shortlist by trees that were trained on other slides."""
    everyone = np.ones(len(interview.tiles), np.bool_)
    return _judge(interview, describer(interview), [(trees, everyone)])


def judge_by_halves(interview: Interview) -> Judged | None:
    """Judge each half of the slides by trees that were trained on the other half.

    Returns
    -------
    Judged or None
        None when a half has too few pairs to learn from, such as with one slide only.
    """
    first, described = _half(interview.placed), describer(interview)
    trained = []
    for half in (first, ~first):
        lesson = _lesson(interview, described, ~half)
        if int(lesson[1].sum()) < _FEWEST_QUESTIONS:
            return None
        trained.append((_taught([lesson]), half))
    return _judge(interview, described, trained)


def _half(placed: Sequence[TrueTile]) -> Bools:
    """Choose slides `(n,)` that together have about half of the tiles."""
    counts = Counter(tile.slide for tile in placed)
    halves: tuple[set[str], set[str]] = (set(), set())
    for slide, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        min(halves, key=lambda half: sum(counts[name] for name in half)).add(slide)
    return np.array([tile.slide in halves[0] for tile in placed], dtype=np.bool_)


def _lesson(
    interview: Interview, described: Describer, among: Bools | None
) -> tuple[Floats, Bools]:
    """Describe true placements of some tiles, and others of the same questions, as rows."""
    asked, rng = interview.asked, np.random.default_rng(0)
    pairs = asked.pairs
    chosen = np.arange(len(pairs))
    if among is not None:
        chosen = chosen[among[pairs.first] & among[pairs.second]]
    chosen = rng.permutation(chosen)[:_MOST_QUESTIONS]
    first, facet = pairs.first[chosen], pairs.first_facet[chosen]
    true = asked.candidates.number(
        pairs.second[chosen], pairs.second_facet[chosen], pairs.mirrored[chosen]
    )
    numbers = np.concatenate([true[:, None], asked.shortlist[first, facet]], axis=1)
    values = np.concatenate(
        [asked.true_values[chosen][:, None], asked.values[first, facet]], axis=1
    )
    features = described.features(first, facet, numbers, values)
    is_right = numbers == true[:, None]
    shown = rng.random(numbers.shape) < _OTHERS / numbers.shape[1]
    shown &= ~is_right
    shown[:, 0] = True
    return features[shown], is_right[shown]


def _taught(lessons: Sequence[tuple[Floats, Bools]]) -> Trees:
    return boosted_trees(
        np.concatenate([features for features, _ in lessons]),
        np.concatenate([is_right for _, is_right in lessons]),
    )


def _judge(
    interview: Interview, described: Describer, trained: Sequence[tuple[Trees, Bools]]
) -> Judged:
    asked = interview.asked
    values = np.zeros(asked.shortlist.shape, np.float32)
    for trees, tiles in trained:
        mine = np.flatnonzero(tiles)
        for facet in range(4):
            for start in range(0, len(mine), _PORTION):
                rows = mine[start : start + _PORTION]
                values[rows, facet] = _judgement(interview, described, trees, rows, facet)
    return Judged(ahead=_ahead(interview, values), values=values)


def _judgement(
    interview: Interview, described: Describer, trees: Trees, rows: Ints, facet: int
) -> Floats:
    asked = interview.asked
    numbers = asked.shortlist[rows, facet]
    features = described.features(
        rows, np.full(len(rows), facet), numbers, asked.values[rows, facet]
    )
    rows_of_all = features.reshape(-1, features.shape[-1])
    return -likely(trees, rows_of_all).reshape(numbers.shape)


def _ahead(interview: Interview, values: Floats) -> Floats:
    """Count who is judged better than the true placement.

    One that did not reach the shortlist stands behind it, where the best hand-made score has it.
    """
    asked, pairs = interview.asked, interview.asked.pairs
    true = asked.candidates.number(pairs.second, pairs.second_facet, pairs.mirrored)
    is_true = asked.shortlist[pairs.first, pairs.first_facet] == true[:, None]
    judged = values[pairs.first, pairs.first_facet]
    its_own = np.where(is_true, judged, np.inf).min(axis=1, keepdims=True)
    better = (judged < its_own).sum(axis=1) + ((judged == its_own) & ~is_true).sum(axis=1) / 2
    by_hand = asked.ahead.sum(axis=2).min(axis=0)
    behind = np.maximum(by_hand, asked.shortlist.shape[2])
    return np.asarray(np.where(is_true.any(axis=1), better, behind), dtype=np.float32)

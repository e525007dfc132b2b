"""The whole attack on one set of tiles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from anonymizer.attack.asking import Interview, interviews, is_upright
from anonymizer.attack.assembly import Assembly, assemble, at_random, lattice_of, ranked
from anonymizer.attack.channels import channels
from anonymizer.attack.figures import (
    RELATIONS,
    SCORES,
    AttackReport,
    Collusion,
    Figure,
    Ranking,
    Rebuilt,
    Relation,
    ScoreName,
)
from anonymizer.attack.learned import Judged, Learned, judge, judge_by_halves
from anonymizer.attack.linkage import looks, purity, same_slide
from anonymizer.attack.overlap import duplicates, largest_overlap
from anonymizer.attack.overview import placed_by
from anonymizer.attack.pairs import TruePairs, true_pairs
from anonymizer.attack.ranking import Asked, ranking
from anonymizer.attack.rebuilt import (
    CellLattice,
    largest_of_small,
    lc,
    nc,
    perfect,
    right_places,
)
from anonymizer.attack.tile_set import TileSet, TrueTile, Truth

Values = npt.NDArray[np.float32]
_Asked = Mapping[Relation, Asked]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the attack found, and the best reassembly to look at."""

    report: AttackReport
    assembly: Assembly | None
    """None: no pair of any relation was released."""
    is_right: npt.NDArray[np.bool_] | None
    """`(n,)`: tiles in their right place."""


def attack(
    tiles: TileSet,
    truth: Truth,
    *,
    learned: Learned | None = None,
    scores: Sequence[ScoreName] = SCORES,
) -> AttackReport:
    """Attack tiles and compare with the truth; see `launch`."""
    return launch(tiles, truth, learned=learned, scores=scores).report


def launch(
    tiles: TileSet,
    truth: Truth,
    *,
    learned: Learned | None = None,
    scores: Sequence[ScoreName] = SCORES,
) -> Outcome:
    """Attack tiles with everything there is.

    Parameters
    ----------
    tiles
        As they left; at least two.
    truth
        Where each comes from. The attacker uses of it only the pitch of the grid, and whether
        tiles were turned at all.
    learned
        Trained on other slides. Without it each half of the slides is attacked by what was learned
        on the other half; of one slide alone nothing is learned.
    scores
        Which pair scores to run; one of the hand-made ones at least.

    Raises
    ------
    KeyError
        The truth does not know a tile.
    """
    placed = truth.of(tiles)
    asked = interviews(tiles, truth, scores=scores)
    answers = {
        relation: _answers(relation, one, learned, is_learning="learned" in scores)
        for relation, one in asked.items()
    }
    rankings = [answer.ranking for some in answers.values() for answer in some]
    n_pairs = {
        relation: len(asked[relation].asked.pairs) // 2 if relation in asked else 0
        for relation in RELATIONS
    }
    look = next((one.look for one in asked.values()), None)
    look = looks(tiles.pixels) if look is None else look
    slides = [tile.slide for tile in placed]
    report = AttackReport(
        n_tiles=len(tiles),
        n_slides=len(set(slides)),
        n_recipients=len({tile.recipient for tile in placed}),
        side_px=tiles.side_px,
        cell_px=truth.cell_px,
        is_upright=is_upright(placed),
        n_pairs=n_pairs,
        rankings=tuple(rankings),
        rebuilt=None,
        perfect=_perfect(placed, truth.cell_px),
        same_slide=same_slide(look, slides),
        purity=purity(look, slides),
        overview=placed_by(tiles.others, tiles.pixels, placed, is_upright=is_upright(placed)),
        overlap_px=largest_overlap(placed, tiles.side_px),
        duplicates=duplicates(tiles.pixels),
        channels=channels(tiles, placed),
    )
    nearest = report.nearest
    if nearest is None or (strongest := report.strongest(nearest)) is None:
        return Outcome(report=report, assembly=None, is_right=None)
    questions = asked[nearest].asked
    values = next(a.values for a in answers[nearest] if a.ranking is strongest)
    assembly = assemble(ranked(questions, values), lattice_of(nearest))
    by_chance = assemble(at_random(questions.candidates), lattice_of(nearest))
    pairs = true_pairs(placed, truth.cell_px, nearest)
    rebuilt = _rebuilt(placed, pairs, strongest, (assembly, by_chance), truth.cell_px)
    return Outcome(
        report=replace(report, rebuilt=rebuilt),
        assembly=assembly,
        is_right=right_places(placed, assembly, _lattice(truth.cell_px, nearest)),
    )


def collusions(tiles: TileSet, truth: Truth) -> tuple[Collusion, ...]:
    """Say what every set of recipients could do together, smallest sets first (hand-made scores).

    One pass over all pairs serves every set: wrong placements that score better than the true one
    are counted by recipient, and a set has the sum of its own. The best of a facet, which scores
    are relative to, is that among all tiles, so that figures of a set differ a little from those
    of an attack on the set alone.
    """
    placed = truth.of(tiles)
    recipients = sorted({tile.recipient for tile in placed})
    owner = np.array([recipients.index(tile.recipient) for tile in placed])
    membership = np.eye(len(recipients), dtype=np.float32)[owner]
    asked = {
        relation: one.asked for relation, one in interviews(tiles, truth, groups=membership).items()
    }
    return tuple(
        _collusion(asked, placed, truth.cell_px, owner, [recipients.index(name) for name in some])
        for size in range(1, len(recipients) + 1)
        for some in combinations(recipients, size)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    ranking: Ranking
    values: Values
    """`(n, 4, k)`: of the shortlist."""


def _answers(
    relation: Relation, interview: Interview, learned: Learned | None, *, is_learning: bool
) -> tuple[_Answer, ...]:
    asked = interview.asked
    by_hand = [
        _Answer(
            ranking=_ranking(asked, relation, name, asked.ahead[index].sum(axis=1)),
            values=asked.values[..., index],
        )
        for index, name in enumerate(asked.scores)
    ]
    judged = _judged(relation, interview, learned) if is_learning else None
    if judged is None:
        return tuple(by_hand)
    ranking_of_trees = _ranking(asked, relation, "learned", judged.ahead)
    return (*by_hand, _Answer(ranking=ranking_of_trees, values=judged.values))


def _judged(relation: Relation, interview: Interview, learned: Learned | None) -> Judged | None:
    if learned is None:
        return judge_by_halves(interview)
    trees = learned.trees.get(relation)
    return None if trees is None else judge(interview, trees)


def _ranking(asked: Asked, relation: Relation, name: ScoreName, ahead: Values) -> Ranking:
    n_candidates = (asked.candidates.n_tiles - 1) * asked.candidates.per_tile
    return ranking(ahead, relation=relation, score=name, n_candidates=n_candidates)


def _lattice(cell_px: int, relation: Relation) -> CellLattice:
    return CellLattice(cell_px=cell_px, pitch=2 if relation == "two apart" else 1)


def _perfect(placed: Sequence[TrueTile], cell_px: int) -> dict[Relation, Figure]:
    pairs = [true_pairs(placed, cell_px, relation) for relation in RELATIONS]
    return {
        relation: perfect(placed, pairs[: index + 1]) for index, relation in enumerate(RELATIONS)
    }


def _rebuilt(
    placed: Sequence[TrueTile],
    pairs: TruePairs,
    strongest: Ranking,
    assemblies: tuple[Assembly, Assembly],
    cell_px: int,
) -> Rebuilt:
    assembly, by_chance = assemblies
    lattice = _lattice(cell_px, strongest.relation)
    right = [right_places(placed, one, lattice).mean() for one in (assembly, by_chance)]
    return Rebuilt(
        relation=strongest.relation,
        score=strongest.score,
        nc=Figure(value=nc(assembly, pairs), chance=nc(by_chance, pairs), n=len(pairs)),
        lc=replace(lc(placed, assembly, pairs), chance=lc(placed, by_chance, pairs).value),
        largest_of_small=replace(
            largest_of_small(placed, assembly, pairs),
            chance=largest_of_small(placed, by_chance, pairs).value,
        ),
        dc=Figure(value=float(right[0]), chance=float(right[1]), n=len(placed)),
    )


def _collusion(
    asked: _Asked,
    placed: Sequence[TrueTile],
    cell_px: int,
    owner: npt.NDArray[np.int64],
    members: Sequence[int],
) -> Collusion:
    chosen = np.isin(owner, members)
    theirs = [tile for tile, is_theirs in zip(placed, chosen, strict=True) if is_theirs]
    n_pairs: dict[Relation, int] = dict.fromkeys(RELATIONS, 0)
    strongest: dict[Relation, Ranking] = {}
    for relation, one in asked.items():
        within = chosen[one.pairs.first] & chosen[one.pairs.second]
        n_pairs[relation] = int(within.sum()) // 2
        if not within.any():
            continue
        ahead = one.ahead[:, within][:, :, list(members)].sum(axis=2)
        n_candidates = (len(theirs) - 1) * one.candidates.per_tile
        strongest[relation] = max(
            (
                ranking(ahead[index], relation=relation, score=name, n_candidates=n_candidates)
                for index, name in enumerate(one.scores)
            ),
            key=lambda found: (found.top_1.value or 0.0, found.auc.value or 0.0),
        )
    return Collusion(
        recipients=tuple(sorted({tile.recipient for tile in theirs})),
        n_tiles=len(theirs),
        n_pairs=n_pairs,
        strongest=strongest,
        perfect=perfect(theirs, [true_pairs(theirs, cell_px, "edge")]),
    )

"""Attack what each recipient of a plan would hold, and say what came of it beside what is allowed.

The acceptance is per recipient: of every colour, on every corpus, over some samples of different
keys. Figures of these runs are pooled by what they counted, the strongest pair score is taken after
pooling, and the worst run speaks for what may never happen (overlap, a perfect matcher's part).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from anonymizer.attack.attack import attack
from anonymizer.attack.figures import (
    NOT_COUNTED,
    RELATIONS,
    SCORES,
    AttackReport,
    Ranking,
    Relation,
    ScoreName,
)
from anonymizer.attack.figures import Figure as Found
from anonymizer.attack.learned import Learned
from anonymizer.attack.ranking import HAND_MADE
from anonymizer.privacy.releases import each_recipient, n_cells, shuffled
from anonymizer.privacy.tissue import Tissue
from appliance import __version__
from appliance.certificate import Corpus, Figure, Measurement
from appliance.settings import ColouredTiles
from appliance.settings.policy import MEASURED

MOST_TOP_1: Final = 0.02
TIMES_CHANCE: Final = 5.0
MOST_REBUILT: Final = 0.02
ENOUGH_TILES: Final = 50
"""Below it a single tile is more than 2 % of all: what is rebuilt is told and not asked for."""
MOST_LINKAGE: Final = 0.97
"""Stated, not hoped for: tiles of one slide look alike, and no plan hides it."""
LEAST_WITHOUT_PLAN: Final = 0.9
ONE: Final = "one recipient"
EVERYTHING: Final = "whoever has all"
_TOUCHING_PX: Final = 128
_TWICE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The attack on one corpus: once for each recipient and key."""

    corpus: Corpus
    reports: tuple[AttackReport, ...]


def run_plan(
    tissue: Tissue,
    policy: ColouredTiles,
    *,
    keys: Sequence[bytes],
    learned: Learned | None,
    scores: Sequence[ScoreName] = SCORES,
) -> Runs:
    """Attack every recipient of a plan, for every key.

    Parameters
    ----------
    tissue
        What is released.
    policy
        By which plan.
    keys
        Sampling keys: each gives other crops, turns and ids.
    learned
        Attacker that was trained on other slides; None: on half of these.
    scores
        Which pair scores it tries.
    """
    reports = tuple(
        attack(tiles, truth, learned=learned, scores=scores)
        for key in keys
        for tiles, truth in each_recipient(tissue, policy, key=key)
    )
    corpus = Corpus(
        name=tissue.name,
        kind=tissue.kind,
        um_px=tissue.um_px,
        n_tiles=n_cells(tissue, policy.cell_px),
    )
    return Runs(corpus=corpus, reports=reports)


def run_batch(tissue: Tissue, policy: ColouredTiles, *, key: bytes) -> Runs:
    """Attack every recipient of a batch of slides, for what tells slides from each other."""
    return run_plan(tissue, policy, keys=(key,), learned=None, scores=("ssd",))


def attack_works(tissue: Tissue) -> Figure:
    """Attack touching tiles of 128 px, turned and shuffled: it has to name nearly all."""
    release = shuffled(tissue, tile_px=_TOUCHING_PX, seed=0)
    best = attack(*release, scores=HAND_MADE).strongest("edge")
    top_1 = NOT_COUNTED if best is None else best.top_1
    return Figure(
        corpus=tissue.name,
        seen_by=EVERYTHING,
        name="top_1 edge",
        value=round(top_1.value or 0.0, 4),
        chance=round(top_1.chance or 0.0, 4),
        limit=LEAST_WITHOUT_PLAN,
        at_least=True,
        n=top_1.n,
    )


def figures_of(runs: Runs) -> Iterator[Figure]:
    """Give what was measured, with its limits.

    Of a corpus that is generated nothing is asked for: it is told.
    """
    asked = runs.corpus.kind != "generated"
    yield from _neighbours(runs, asked=asked)
    yield from _assembly(runs, asked=asked)
    overlap = _worst([report.overlap_px for report in runs.reports])
    yield _figure(runs, "overlap_px", overlap, limit=0.0 if asked else None)
    side = Found(value=float(len(open_channels(runs))), chance=0.0, n=len(runs.reports))
    yield _figure(runs, "side_channels", side, limit=0.0 if asked else None)


def open_channels(runs: Runs) -> tuple[str, ...]:
    """Name the side channels that are open in two attacks and a tenth of all at least.

    Each attack tests at a hundredth (over its channels), so of many one finds something by chance;
    a channel that is there is found again with the next key and recipient.
    """
    seen = Counter(
        name
        for report in runs.reports
        for name in {channel.name for channel in report.open_channels}
    )
    enough = min(len(runs.reports), max(_TWICE, len(runs.reports) / 10))
    return tuple(sorted(name for name, n in seen.items() if n >= enough))


def measurement_of(
    policy: ColouredTiles, runs: Sequence[Runs], *, batch: Runs, works: Figure
) -> Measurement:
    """Put the figures of all corpora together.

    Parameters
    ----------
    policy
        What was measured.
    runs
        On each corpus.
    batch
        On all slides in one batch, for linkage.
    works
        What the attack reaches without a plan, so that it is known to work.
    """
    terms = policy.model_dump(mode="json", include=set(MEASURED))
    return Measurement(
        plan_digest=policy.plan_digest,
        plan=terms,
        measured_on=datetime.now(UTC).date().isoformat(),
        software=__version__,
        corpora=tuple(one.corpus for one in (*runs, batch)),
        figures=(
            works,
            _enough(runs),
            *(figure for one in runs for figure in figures_of(one)),
            *linkage(batch),
        ),
    )


def _enough(runs: Sequence[Runs]) -> Figure:
    """Ask for a recipient with tiles enough to judge by: where nothing is counted nothing holds."""
    counted = [
        (report.n_tiles, one.corpus.name)
        for one in runs
        for report in one.reports
        if one.corpus.kind != "generated" and report.rebuilt is not None
    ]
    n_tiles, corpus = max(counted, default=(0, "all"))
    return Figure(
        corpus=corpus,
        seen_by=ONE,
        name="tiles of one recipient",
        value=float(n_tiles),
        chance=None,
        limit=float(ENOUGH_TILES),
        at_least=True,
        n=n_tiles,
    )


def linkage(runs: Runs) -> Iterator[Figure]:
    """Give how well tiles of one slide are told from those of other slides of a batch."""
    pooled = _pooled([report.same_slide for report in runs.reports])
    yield _figure(runs, "same_slide_auc", pooled, limit=MOST_LINKAGE)
    yield _figure(runs, "purity", _pooled([report.purity for report in runs.reports]), limit=None)


def strongest(runs: Runs, relation: Relation) -> tuple[str, Mapping[str, Found]] | None:
    """Pool the rankings of a relation and take the score with the best top-1; None: no pair."""
    pooled = []
    for score in SCORES:
        rankings = [
            ranking
            for report in runs.reports
            for ranking in report.rankings
            if ranking.relation == relation and ranking.score == score
        ]
        found = _ranked(rankings)
        if found["top_1"].value is not None:
            pooled.append((found["top_1"].value, score, found))
    if not pooled:
        return None
    _, score, found = max(pooled, key=lambda one: one[0])
    return score, found


def _ranked(rankings: Sequence[Ranking]) -> Mapping[str, Found]:
    return {
        "top_1": _pooled([ranking.top_1 for ranking in rankings]),
        "top_5": _pooled([ranking.top_5 for ranking in rankings]),
        "auc": _pooled([ranking.auc for ranking in rankings]),
    }


def _neighbours(runs: Runs, *, asked: bool) -> Iterator[Figure]:
    """Give top-1, top-5 and AUC of the nearest pairs that were released."""
    released = [name for name in RELATIONS if any(one.n_pairs.get(name) for one in runs.reports)]
    for relation in released[:1]:
        best = strongest(runs, relation)
        if best is None:
            continue
        score, found = best
        chance = found["top_1"].chance or 0.0
        limit = max(MOST_TOP_1, TIMES_CHANCE * chance) if asked else None
        words = f"{relation} ({score})"
        yield _figure(runs, f"top_1 {words}", found["top_1"], limit=limit)
        yield _figure(runs, f"top_5 {words}", found["top_5"], limit=None)
        yield _figure(runs, f"auc {words}", found["auc"], limit=None)


def _assembly(runs: Runs, *, asked: bool) -> Iterator[Figure]:
    large = [report for report in runs.reports if report.n_tiles >= ENOUGH_TILES]
    reports = large or runs.reports
    rebuilt = [report.rebuilt for report in reports if report.rebuilt is not None]
    limit = MOST_REBUILT if asked and large else None
    yield _figure(runs, "nc", _pooled([one.nc for one in rebuilt]), limit=limit)
    yield _figure(runs, "lc", _pooled([one.lc for one in rebuilt]), limit=limit)
    yield _figure(runs, "dc", _pooled([one.dc for one in rebuilt]), limit=None)
    perfect = _worst([report.perfect["edge"] for report in runs.reports])
    yield _figure(runs, "perfect_matcher_lc", perfect, limit=MOST_REBUILT if asked else None)


def _pooled(found: Sequence[Found]) -> Found:
    counted = [(one.value, one.chance or 0.0, one.n) for one in found if one.value is not None]
    n = sum(count for _, _, count in counted)
    if not n:
        return Found(value=None, chance=None, n=0)
    value = sum(value * count for value, _, count in counted) / n
    chance = sum(chance * count for _, chance, count in counted) / n
    return Found(value=value, chance=chance, n=n)


def _worst(found: Sequence[Found]) -> Found:
    counted = [one for one in found if one.value is not None]
    return max(
        counted, key=lambda one: one.value or 0.0, default=Found(value=None, chance=None, n=0)
    )


def _figure(runs: Runs, name: str, found: Found, *, limit: float | None) -> Figure:
    """Round what was found; what was not counted fails where something is asked of it."""
    value = 1.0 if found.value is None else round(found.value, 4)
    return Figure(
        corpus=runs.corpus.name,
        seen_by=ONE,
        name=name if found.n else f"{name} (nothing to count)",
        value=value,
        chance=None if found.chance is None else round(found.chance, 4),
        limit=None if limit is None else round(limit, 4),
        n=found.n,
    )

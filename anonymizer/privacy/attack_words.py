"""The attacker's report in words for whoever answers for data protection."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from anonymizer.attack.blind import Guess
from anonymizer.attack.figures import (
    RELATIONS,
    AttackReport,
    Channel,
    Collusion,
    Figure,
    Relation,
)
from anonymizer.attack.tile_set import TileSet
from anonymizer.privacy.measure import ENOUGH_TILES, MOST_REBUILT, MOST_TOP_1, TIMES_CHANCE

_NEIGHBOURS: Final[dict[Relation, str]] = {
    "edge": "Tiles side by side",
    "diagonal": "Tiles corner to corner",
    "two apart": "Tiles with one cell between them",
}
_JOINING: Final[dict[Relation, str]] = {
    "edge": "tiles side by side",
    "diagonal": "those corner to corner, too",
    "two apart": "those with one cell between them, too",
}
_SCORES: Final = {
    "ssd": "difference of the borders",
    "pred": "borders continued in a straight line",
    "mgc": "gradients across the border",
    "gap": "patterns drawn out across the gap",
    "learned": "trees that learned on other slides",
}
_FEW_SHARES: Final = 0.01
_LUCKY_TILES: Final = 3
"""Of many small slides, one has a pair or three tiles right by luck."""
_CLEARLY: Final = 3


def report_lines(report: AttackReport, collusions: Sequence[Collusion]) -> Iterator[str]:
    """Tell what the attack found, every figure beside what guessing gives."""
    yield _held(report)
    yield ""
    yield "Does a tile find its neighbour?"
    for relation in RELATIONS:
        yield from _relation(report, relation)
    yield ""
    yield "Can the slide be put together again?"
    yield from _rebuilt(report)
    yield ""
    yield "What else gives a tile away?"
    yield from _beside(report)
    if len(collusions) > 1:
        yield ""
        yield "What if recipients put their tiles together?"
        yield from map(_collusion, collusions)
    yield ""
    yield conclusion(report)


def guess_lines(found: Guess, tiles: TileSet) -> Iterator[str]:
    """Tell what can be said when nobody tells where the tiles come from."""
    yield f"{len(tiles)} tiles of {tiles.side_px} px. Without --truth nobody can say what is right."
    yield (
        f"  {found.n_confirmed} joins are confirmed by a loop of four tiles"
        f" ({_SCORES[found.score]}; guessing gives {found.n_by_chance}); the largest part has"
        f" {found.n_largest} tiles."
    )
    for name, values in (
        ("time", tiles.times.tolist()),
        ("encoding", tiles.tables),
        *tiles.facts.items(),
    ):
        n_values = len(set(values))
        if n_values > 1:
            yield f"  Their {name} has {n_values} different values: it may tell something."
    for name in tiles.others:
        yield f"  {name} is a picture of another shape: an overview would place every tile."
    fits = found.n_confirmed > _CLEARLY * max(1, found.n_by_chance)
    yield ""
    yield (
        "Conclusion: the tiles fit together far more often than by chance: they can be put"
        " together again."
        if fits
        else "Conclusion: the tiles do not clearly fit together; only --truth tells how well."
    )


def failings(report: AttackReport) -> Iterator[str]:
    """Name what misses the acceptance line of release plans."""
    nearest = report.nearest
    best = None if nearest is None else report.strongest(nearest)
    if best is not None and (best.top_1.value or 0) > _most(best.top_1, MOST_TOP_1):
        yield f"the neighbour is named in {percent(best.top_1.value)} of all questions"
    if report.n_tiles >= ENOUGH_TILES:
        yield from _rebuilt_failings(report)
    if (report.overview.value or 0) > _most(report.overview, MOST_REBUILT):
        yield f"an overview places {percent(report.overview.value)} of the tiles"
    if report.overlap_px.value:
        yield "tiles overlap"
    if report.duplicates:
        yield "tiles came twice"
    for name in dict.fromkeys(channel.name for channel in report.open_channels):
        yield f"the tiles' {name} tells where they come from"


def _rebuilt_failings(report: AttackReport) -> Iterator[str]:
    bound = report.perfect["edge"].value or 0
    if report.rebuilt is not None and (report.rebuilt.largest_of_small.value or 0) > _LUCKY_TILES:
        n_tiles = report.rebuilt.largest_of_small.value or 0
        yield f"{n_tiles:.0f} tiles of one small slide are put together"
    if report.rebuilt is not None and (report.rebuilt.nc.value or 0) > MOST_REBUILT:
        yield f"{percent(report.rebuilt.nc.value)} of the neighbours are put together"
    if report.rebuilt is not None and (report.rebuilt.lc.value or 0) > MOST_REBUILT:
        yield f"{percent(report.rebuilt.lc.value)} of a slide is put together in one part"
    if bound > MOST_REBUILT:
        yield f"a perfect matcher would join {percent(bound)} of a slide"


def conclusion(report: AttackReport) -> str:
    """Say in one line what it comes to."""
    reasons = list(failings(report))
    if reasons:
        return f"Conclusion: these tiles give too much away: {'; '.join(reasons)}."
    if report.nearest is None:
        return "Conclusion: no neighbours were released, so there was nothing to find."
    few = report.n_tiles < ENOUGH_TILES
    limit = f" (fewer than {ENOUGH_TILES} tiles: shares of a slide were not judged)" if few else ""
    return f"Conclusion: nothing of the slide could be put together beyond the limits{limit}."


def percent(value: float | None) -> str:
    """Write a share: two digits behind the point where it is below 1 %."""
    if value is None:
        return "not counted"
    return f"{100 * value:.2f} %" if 0 < value < _FEW_SHARES else f"{100 * value:.1f} %"


def counted(figure: Figure) -> str:
    """Write a share beside its chance; what was not counted is no figure."""
    if figure.value is None:
        return "not counted, N=0"
    chance = "" if figure.chance is None else f" (chance {percent(figure.chance)})"
    return f"{percent(figure.value)}{chance}"


def _held(report: AttackReport) -> str:
    turned = "none of them turned" if report.is_upright else "turned and flipped"
    return (
        f"{report.n_tiles} tiles of {report.side_px} px, {turned}, from {report.n_slides}"
        f" {_plural(report.n_slides, 'slide')}; one cell of the grid is {report.cell_px} px;"
        f" held by {report.n_recipients} {_plural(report.n_recipients, 'recipient')}."
    )


def _relation(report: AttackReport, relation: Relation) -> Iterator[str]:
    best = report.strongest(relation)
    if best is None:
        yield f"  {_NEIGHBOURS[relation]}: not counted, N=0: no such pair was released."
        return
    yield (
        f"  {_NEIGHBOURS[relation]} ({report.n_pairs[relation]} pairs, {best.top_1.n} questions,"
        f" {best.n_candidates} possible answers each):"
    )
    yield f"    {'':<50}{'named first':<25}{'among the first 5':<25}better than another tile"
    for ranking in report.rankings:
        if ranking.relation == relation:
            mark = "*" if ranking is best else " "
            words = f"{mark} {_SCORES[ranking.score]} ({ranking.score})"
            columns = (counted(ranking.top_1), counted(ranking.top_5), counted(ranking.auc))
            yield f"    {words:<50}{columns[0]:<25}{columns[1]:<25}{columns[2]}"
    if not any(one.relation == relation and one.score == "learned" for one in report.rankings):
        yield "      learned: not run; it needs a second slide to learn on"


def _rebuilt(report: AttackReport) -> Iterator[str]:
    found = report.rebuilt
    if found is None:
        yield "  Not counted, N=0: no neighbours were released."
    else:
        yield (
            f"  By the strongest score ({found.score}), joining"
            f" {_NEIGHBOURS[found.relation].lower()}:"
        )
        yield f"    neighbours put together (Nc): {counted(found.nc)}, of {found.nc.n}"
        yield f"    largest right part of a slide (Lc): {counted(found.lc)}, of {found.lc.n} tiles"
        small = found.largest_of_small
        if small.value is not None:
            yield (
                f"    largest right part of a slide of fewer than {ENOUGH_TILES} tiles:"
                f" {small.value:.0f} tiles (chance {small.chance or 0:.0f}), of {small.n} in all"
            )
        yield f"    tiles in their right place (Dc): {counted(found.dc)}, of {found.dc.n}"
    for relation, words in _JOINING.items():
        bound = report.perfect[relation]
        yield f"  A matcher that never errs, joining {words}: {counted(bound)} of a slide at most"


def _beside(report: AttackReport) -> Iterator[str]:
    if report.same_slide.is_counted:
        yield (
            "  Look: two tiles of one slide are more alike than two of different slides in"
            f" {counted(report.same_slide)} of all cases;"
        )
        yield f"    sorted into heaps by look, {counted(report.purity)} lie with their slide"
    else:
        yield "  Look: not counted, N=0: all tiles are of one slide"
    if report.overview.is_counted:
        yield f"  Overview: it places {counted(report.overview)} of the tiles"
    else:
        yield "  Overview: not counted, N=0: no picture of another shape left beside the tiles"
    overlap = report.overlap_px
    shared = "not counted, N=0" if overlap.value is None else f"{overlap.value:.0f} px"
    yield (
        f"  Overlap: two tiles share {shared} at most ({overlap.n} pairs);"
        f" {report.duplicates} tiles came twice"
    )
    kinds = Counter(channel.name for channel in report.channels)
    for name in kinds:
        yield _channel([channel for channel in report.channels if channel.name == name])


def _channel(tests: Sequence[Channel]) -> str:
    run = [one for one in tests if one.p is not None]
    if not run:
        return f"  Their {tests[0].name}: the same for all tiles, or too few to tell"
    words = "; ".join(f"{one.tells} {_strength(one)}, p = {one.p:.4f}" for one in run)
    told = "TELLS where they come from" if any(one.is_open for one in run) else "tells nothing"
    if any(one.follows_from_pixels for one in run):
        told = "tells no more than the pixels, from which it follows"
    return f"  Their {tests[0].name} {told} ({words})"


def _strength(channel: Channel) -> str:
    value, chance = channel.strength.value or 0.0, channel.strength.chance or 0.0
    return f"{value:.3f} against {chance:.3f} by chance"


def _collusion(one: Collusion) -> str:
    nearest = next((name for name in RELATIONS if name in one.strongest), None)
    words = f"  {' + '.join(name or 'unnamed' for name in one.recipients)} ({one.n_tiles} tiles):"
    if nearest is None:
        return f"{words} not counted, N=0: no neighbours"
    best = one.strongest[nearest]
    return (
        f"{words} {_NEIGHBOURS[nearest].lower()}, named first in {counted(best.top_1)};"
        f" a perfect matcher joins {counted(one.perfect)} side by side"
    )


def _most(figure: Figure, share: float) -> float:
    return max(share, TIMES_CHANCE * (figure.chance or 0.0))


def _plural(n: int, word: str) -> str:
    return word if n == 1 else f"{word}s"

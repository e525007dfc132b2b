"""The attacker: it finds what there is to be found, and says so beside chance."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import openslide
import pytest

from anonymizer.attack.asking import interviews
from anonymizer.attack.attack import attack, collusions, launch
from anonymizer.attack.channels import channels
from anonymizer.attack.figures import SCORES, AttackReport, Ranking
from anonymizer.attack.learned import train
from anonymizer.attack.overlap import duplicates, largest_overlap
from anonymizer.attack.pairs import true_pairs
from anonymizer.attack.ranking import HAND_MADE
from anonymizer.attack.scores import density, pair_scores
from anonymizer.attack.symmetry import turned_corner, turned_side
from anonymizer.attack.tile_set import RGB, TrueTile
from anonymizer.privacy.attack_words import failings
from anonymizer.tiles.cut import turned
from tests.anonymizer.attack_tiles import Release, of_recipient, release, smooth, tile_set, together

MIDDLES = ((0, 1), (1, 2), (2, 1), (1, 0))
CORNERS = ((0, 0), (0, 2), (2, 2), (2, 0))


@pytest.fixture(scope="module")
def tissue(shared_data: Path) -> RGB:
    """Real H&E at 0.5 µm/px, 2967 rows by 2220 columns."""
    with openslide.OpenSlide(shared_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        return np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))


def best(report: AttackReport) -> Ranking:
    assert report.nearest is not None
    found = report.strongest(report.nearest)
    assert found is not None
    return found


def top_1(report: AttackReport) -> float:
    value = best(report).top_1.value
    assert value is not None
    return value


@pytest.mark.parametrize("turn", range(8))
def test_sides_and_corners_are_found_where_a_turn_has_put_them(turn: int) -> None:
    upright = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    seen = turned(upright, turn)
    for facet in range(4):
        side, corner = int(turned_side(facet, turn)), int(turned_corner(facet, turn))
        assert (seen[MIDDLES[side]] == upright[MIDDLES[facet]]).all()
        assert (seen[CORNERS[corner]] == upright[CORNERS[facet]]).all()


@pytest.mark.parametrize("score", HAND_MADE)
def test_a_pair_has_the_same_score_however_its_tiles_are_turned(score: str) -> None:
    tiles, truth = release(smooth(96, 96, seed=3), cell_px=48, crop_px=48, are_turned=False)
    upright = pair_scores(tiles.pixels, score, "edge", 48)
    turns = [3, 6, 1, 4]
    seen = np.stack([turned(tile, turn) for tile, turn in zip(tiles.pixels, turns, strict=True)])
    scores = pair_scores(seen, score, "edge", 48)
    pairs = true_pairs(truth.of(tiles), 48, "edge")
    told = {
        name: replace(tile, turn=turn)
        for (name, tile), turn in zip(truth.tiles.items(), turns, strict=True)
    }
    moved = true_pairs(replace(truth, tiles=told).of(tiles), 48, "edge")
    assert len(pairs) == 4
    for before, after in zip(_rows(pairs), _rows(moved), strict=True):
        assert scores[after] == pytest.approx(upright[before], rel=1e-3, abs=1e-3)


def _rows(pairs) -> list[tuple[int, ...]]:
    columns = (
        pairs.first, pairs.first_facet, pairs.mirrored, pairs.second, pairs.second_facet,
    )  # fmt: skip
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_ssd_and_mgc_are_what_their_papers_say() -> None:
    left, right = smooth(40, 80, seed=1)[:, :40], smooth(40, 80, seed=1)[:, 40:]
    pixels = np.stack([left, right])
    apart = density(left[:, -1]) - density(right[:, 0])
    ssd = pair_scores(pixels, "ssd", "edge", 40)[0, 1, 0, 1, 3]
    assert ssd == pytest.approx((apart**2).sum(), rel=1e-2)
    mgc = pair_scores(pixels, "mgc", "edge", 40)[0, 1, 0, 1, 3]
    expected = _gallagher(left, right) + _gallagher(right[:, ::-1], left[:, ::-1])
    assert mgc == pytest.approx(expected, rel=1e-2)


def _gallagher(left: RGB, right: RGB) -> float:
    """Mahalanobis gradient compatibility from left to right, spelled out."""
    a, b = left.astype(float), right.astype(float)
    inner = a[:, -1] - a[:, -2]
    dummies = [(0, 0, 0), (1, 1, 1), (-1, -1, -1), *np.eye(3), *-np.eye(3)]
    precision = np.linalg.inv(np.cov(np.concatenate([inner, dummies]).T))
    step = b[:, 0] - a[:, -1] - inner.mean(axis=0)
    return float(np.einsum("li,ij,lj->", step, precision, step))


def test_ranks_are_those_of_the_whole_matrix() -> None:
    tiles, truth = release(smooth(200, 200, seed=5), cell_px=40, crop_px=32, are_turned=True)
    asked = interviews(tiles, truth, scores=("ssd",))["edge"].asked
    matrix = pair_scores(tiles.pixels, "ssd", "edge", 40)
    n = len(tiles)
    matrix[np.arange(n), :, :, np.arange(n)] = np.inf
    nearest = matrix.min(axis=(2, 3, 4))
    relative = matrix / np.sqrt(nearest[None, None, None] * nearest[:, :, None, None, None])
    rows = _rows(asked.pairs)
    ahead = [(relative[row[:2]] < relative[row] * (1 - 1e-5)).sum() for row in rows]
    assert len(rows) == 80
    assert np.abs(asked.ahead[0].sum(axis=1) - ahead).max() <= 1


@pytest.mark.parametrize("are_turned", [False, True])
def test_real_tiles_without_a_plan_are_put_together_again(tissue: RGB, *, are_turned: bool) -> None:
    one = release(tissue, cell_px=128, crop_px=128, are_turned=are_turned, least_tissue=0.5)
    outcome = launch(*one, scores=("mgc",))
    report = outcome.report
    assert top_1(report) > 0.97
    assert best(report).top_1.chance == pytest.approx(
        1 / ((report.n_tiles - 1) * (8 if are_turned else 1))
    )
    assert report.rebuilt is not None
    assert (report.rebuilt.nc.value or 0) > 0.9
    assert (report.rebuilt.lc.value or 0) > 0.8
    assert (report.rebuilt.dc.value or 0) > 0.8
    assert (report.rebuilt.nc.chance or 0) < 0.02
    assert outcome.is_right is not None
    assert outcome.is_right.mean() == report.rebuilt.dc.value
    assert (report.perfect["edge"].value or 0) > 0.9


def test_margins_and_turns_together_take_the_neighbours_away(tissue: RGB) -> None:
    one = release(tissue, cell_px=128, crop_px=96, are_turned=True, least_tissue=0.5)
    report = attack(*one, scores=HAND_MADE)
    assert 0 < top_1(report) < 0.06  # 1.7 % in the literature's terms; ours is a stronger attacker
    assert report.rebuilt is not None
    assert (report.rebuilt.lc.value or 0) < 0.05
    assert (report.perfect["edge"].value or 0) > 0.9, "only a colouring bounds a perfect matcher"


def test_what_was_not_released_is_not_counted_and_the_next_nearest_is(tissue: RGB) -> None:
    one = release(tissue, cell_px=64, crop_px=48, are_turned=True, colour=(0, 0), least_tissue=0.5)
    report = attack(*one, scores=("mgc", "gap"))
    assert report.nearest == "two apart"
    assert report.n_pairs["edge"] == report.n_pairs["diagonal"] == 0
    assert report.strongest("edge") is None
    assert best(report).top_1.n == 2 * report.n_pairs["two apart"] > 300
    assert top_1(report) < 0.02
    assert report.perfect["edge"].value == pytest.approx(1 / report.n_tiles)
    assert (report.perfect["two apart"].value or 0) > 0.9
    assert not report.same_slide.is_counted
    assert report.same_slide.n == 0


def test_a_checkerboard_is_attacked_by_its_corners() -> None:
    picture = smooth(384, 384, seed=9, grain_px=48)
    halves = [
        release(picture, cell_px=48, crop_px=40, are_turned=False, colour=colour, seed=number)
        for number, colour in enumerate([(0, 0), (1, 1)])
    ]
    report = attack(*together(*halves), scores=("ssd", "mgc"))
    assert report.nearest == "diagonal"
    assert report.strongest("edge") is None
    assert report.rebuilt is not None
    assert report.rebuilt.relation == "diagonal"
    assert top_1(report) > 5 * (best(report).top_1.chance or 1), "corners of a smooth picture tell"


def test_the_attacker_that_learned_on_other_slides_finds_what_it_learned() -> None:
    first, second = (
        release(
            smooth(240, 240, seed=seed), cell_px=40, crop_px=36, are_turned=True,
            slide=str(seed), seed=seed,
        )
        for seed in (1, 2)
    )  # fmt: skip
    learned = train([first])
    report = attack(*second, learned=learned)
    assert {ranking.score for ranking in report.rankings} == set(SCORES)
    trees = next(r for r in report.rankings if (r.score, r.relation) == ("learned", "edge"))
    assert (trees.auc.value or 0) > 0.9
    assert (trees.top_1.value or 0) > 50 * (trees.top_1.chance or 1)


def test_two_slides_teach_for_each_other_and_one_teaches_nothing() -> None:
    slides = [
        release(
            smooth(200, 200, seed=s), cell_px=40, crop_px=36, are_turned=False, slide=str(s), seed=s
        )
        for s in (1, 2)
    ]
    scores = ("mgc", "learned")
    ran = {ranking.score for ranking in attack(*together(*slides), scores=scores).rankings}
    assert ran == {"mgc", "learned"}
    alone = {ranking.score for ranking in attack(*slides[0], scores=scores).rankings}
    assert alone == {"mgc"}


def test_colluding_recipients_have_what_neither_has_alone() -> None:
    picture = smooth(384, 384, seed=4)
    halves = [
        of_recipient(
            release(picture, cell_px=48, crop_px=48, are_turned=False, colour=c, seed=n), name
        )
        for n, (c, name) in enumerate([((0, 0), "a"), ((0, 1), "b")])
    ]
    found = collusions(*together(*halves))
    assert [one.recipients for one in found] == [("a",), ("b",), ("a", "b")]
    assert [one.n_pairs["edge"] for one in found] == [0, 0, 28]
    assert "edge" not in found[0].strongest
    assert (found[2].strongest["edge"].top_1.value or 0) > 0.9
    assert found[2].perfect.value == pytest.approx(8 / 50), "rows of 8; 32 tiles count as 50"
    alone = best(attack(*halves[0], scores=HAND_MADE))
    assert alone.relation == "two apart"
    counted_apart = found[0].strongest["two apart"]
    assert counted_apart.n_candidates == alone.n_candidates
    assert counted_apart.top_1.n == alone.top_1.n
    assert counted_apart.auc.value == pytest.approx(alone.auc.value, abs=0.1)


def test_pairs_count_within_a_piece_only() -> None:
    places = [TrueTile(slide="s", piece=str(c // 2), row_px=0, column_px=10 * c) for c in range(4)]
    pairs = true_pairs(places, 10, "edge")
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [(0, 1), (2, 3)]


def test_one_small_slide_put_together_is_seen_among_many() -> None:
    """Of 40 slides of 9 tiles, one touches: 2.5 % of all tiles, and the whole of one patient's."""
    rng = np.random.default_rng(2)
    touching = release(
        smooth(96, 96, seed=1), cell_px=32, crop_px=32, are_turned=False, slide="whole"
    )
    others = [
        release(
            rng.integers(0, 256, (96, 96, 3), dtype=np.uint8),
            cell_px=32, crop_px=32, are_turned=False, slide=f"s{n}", seed=n + 1,
        )
        for n in range(39)
    ]  # fmt: skip
    tiles, truth = together(touching, *others)
    apart = {  # no pair of the others is a pair of theirs any more
        name: tile if tile.slide == "whole" else replace(tile, piece=name)
        for name, tile in truth.tiles.items()
    }
    report = attack(tiles, replace(truth, tiles=apart), scores=("mgc",))
    assert report.rebuilt is not None
    assert (report.rebuilt.lc.value or 1) < 0.03
    assert report.rebuilt.largest_of_small.value == 9
    assert (report.rebuilt.largest_of_small.chance or 9) < 4
    assert report.perfect["edge"].value == pytest.approx(9 / 50)
    assert any("9 tiles of one small slide" in line for line in failings(report))


def test_an_overview_places_every_tile(tissue: RGB) -> None:
    one = release(tissue, cell_px=128, crop_px=96, are_turned=True, least_tissue=0.5)
    tiles, truth = one
    some = tiles.take(range(0, len(tiles), 8))
    small = cv2.resize(tissue, None, fx=1 / 16, fy=1 / 16, interpolation=cv2.INTER_AREA)
    seen = attack(replace(some, others={"thumbnail.jpg": small}), truth, scores=("ssd",)).overview
    assert (seen.value or 0) > 0.9
    assert (seen.chance or 1) < 0.01
    assert not attack(some, truth, scores=("ssd",)).overview.is_counted


def test_same_slide_is_told_by_stain() -> None:
    pale = smooth(256, 256, seed=1)
    dark = (smooth(256, 256, seed=2) * 0.7).astype(np.uint8)
    slides = [
        release(picture, cell_px=32, crop_px=32, are_turned=False, slide=name, seed=number)
        for number, (picture, name) in enumerate([(pale, "p"), (dark, "d")])
    ]
    report = attack(*together(*slides), scores=("ssd",))
    assert (report.same_slide.value or 0) > 0.9
    assert (report.purity.value or 0) > 0.9
    assert report.same_slide.chance == 0.5
    assert (report.purity.chance or 1) < 0.7


def test_overlaps_and_tiles_that_came_twice_are_seen() -> None:
    tiles, truth = release(smooth(96, 96, seed=6), cell_px=32, crop_px=32, are_turned=False)
    assert largest_overlap(truth.of(tiles), 32).value == 0
    beside = [TrueTile(slide="s", row_px=row, column_px=row) for row in (0, 30, 90)]
    assert largest_overlap(beside, 32).value == 2 * 2
    twice = tiles.pixels.copy()
    twice[3] = turned(twice[1], 6)
    assert duplicates(tiles.pixels) == 0
    assert duplicates(twice) == 2


@pytest.fixture(scope="module")
def shuffled() -> Release:
    return release(smooth(384, 384, seed=8), cell_px=32, crop_px=32, are_turned=False)


def test_random_names_in_a_random_order_tell_nothing(shuffled: Release) -> None:
    tiles, truth = shuffled
    found = channels(tiles, truth.of(tiles))
    assert {channel.name for channel in found} == {"order", "name", "size", "time", "encoding"}
    assert not any(channel.is_open for channel in found)
    assert {channel.name for channel in found if channel.p is None} == {"size", "time", "encoding"}


@pytest.mark.parametrize("channel", ["order", "time", "size", "json number"])
def test_whatever_follows_the_scan_lines_is_found(shuffled: Release, channel: str) -> None:
    tiles, truth = shuffled
    places = [(tile.row_px, tile.column_px) for tile in truth.of(tiles)]
    raster = np.argsort(np.argsort([row * 10_000 + column for row, column in places]))
    telling = {
        "order": tiles.take(np.argsort(raster)),
        "time": replace(tiles, times=1.7e9 + raster.astype(float)),
        "size": replace(tiles, sizes_bytes=9_000 - raster),
        "json number": replace(tiles, facts={"json number": tuple(map(str, raster))}),
    }[channel]
    found = channels(telling, truth.of(telling))
    assert [one.name for one in found if one.is_open] == [channel]


def test_a_size_that_follows_from_the_pixels_is_no_channel(shuffled: Release) -> None:
    tiles, truth = shuffled
    raster = np.array([tile.row_px * 10_000 + tile.column_px for tile in truth.of(tiles)])
    sizes = np.argsort(np.argsort(raster)) + 5_000
    ratios = tuple(f"{3072 / size:.4g}" for size in sizes)
    telling = replace(
        tiles, sizes_bytes=sizes, plain_sizes_bytes=sizes + 3, facts={"ratio": ratios}
    )
    found = {one.name: one for one in channels(telling, truth.of(telling))}
    for name in ("size", "ratio"):
        assert found[name].follows_from_pixels
        assert not found[name].is_open
        assert (found[name].p or 1) < 0.001, "it would be open otherwise"


def test_batches_by_slide_are_found() -> None:
    slides = [
        release(
            smooth(192, 192, seed=s), cell_px=32, crop_px=32, are_turned=False, slide=str(s), seed=s
        )
        for s in (1, 2)
    ]
    (first, _), (second, _) = slides
    _, truth = together(*slides)
    in_batches = tile_set(np.concatenate([first.pixels, second.pixels]), [*first.ids, *second.ids])
    found = channels(in_batches, truth.of(in_batches))
    assert [(one.name, one.tells) for one in found if one.is_open] == [("order", "slide")]


def test_many_facts_do_not_hide_the_one_that_tells(shuffled: Release) -> None:
    """DICOM tiles come with some sixty elements: the line is drawn lower, and still crossed."""
    tiles, truth = shuffled
    rng = np.random.default_rng(3)
    random = {f"uid {n}": tuple(map(str, rng.permutation(len(tiles)))) for n in range(80)}
    raster = np.argsort([tile.row_px * 10_000 + tile.column_px for tile in truth.of(tiles)])
    telling = replace(tiles, facts={**random, "number": tuple(map(str, np.argsort(raster)))})
    found = channels(telling, truth.of(telling))
    assert [one.name for one in found if one.is_open] == ["number"]


def test_the_same_fact_under_two_names_is_tested_once(shuffled: Release) -> None:
    tiles, truth = shuffled
    twice = replace(
        tiles, facts={"PatientID": tiles.ids, "number": tuple("12" * (len(tiles) // 2))}
    )
    names = [one.name for one in channels(twice, truth.of(twice))]
    assert "number" in names
    assert "PatientID" not in names, "it is the name once more"


def test_slides_that_lie_in_a_part_of_the_ids_are_found() -> None:
    """No tile needs to follow another of its slide: low names of some patients tell enough."""
    rng = np.random.default_rng(5)
    slides = np.repeat(np.arange(20), 12)
    low = rng.random(len(slides)) * 0.75 + np.where(slides < 10, 0.0, 0.25)
    names = [f"{int(value * 1e9):012}" for value in low]
    pixels = rng.integers(0, 256, (len(slides), 8, 8, 3), dtype=np.uint8)
    order = rng.permutation(len(slides))
    tiles = tile_set(pixels[order], [names[index] for index in order])
    placed = [
        TrueTile(slide=str(slides[index]), row_px=int(rng.integers(999)), column_px=0)
        for index in order
    ]
    assert [(one.name, one.tells) for one in channels(tiles, placed) if one.is_open] == [
        ("name", "slide")
    ]

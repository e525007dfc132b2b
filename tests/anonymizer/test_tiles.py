"""The release plan: no two tiles touch, none shows an artifact, and there is one plan for ever."""

import gc
import io
import itertools
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from anonymizer.tiles.cut import encode, turned
from anonymizer.tiles.plan import (
    Placement,
    Sampler,
    candidate_cells,
    colour_of,
    grid_digest,
    placements_from_bytes,
    placements_to_bytes,
    plan_tiles,
)
from anonymizer.tiles.pool import batch_id, compose
from anonymizer.tiles.shards import Tile, shard
from appliance.settings import ColouredTiles
from appliance.slides.classes import SlideClass
from appliance.stores.vault import PooledTile

KEY = bytes(range(32))


def policy(**changes) -> ColouredTiles:
    values = {
        "mechanism": "coloured_tiles",
        "statement": "does not protect against whoever holds the original",
        "um_px": 0.5,
        "cell_px": 256,
        "crop_px": 192,
        "colours": 4,
        "colour": 0,
    }
    return ColouredTiles(**(values | changes))


policies = st.builds(
    lambda cell, share, um_px, colours, colour: policy(
        cell_px=cell,
        crop_px=max(32, int(cell * share)),
        um_px=um_px,
        colours=colours,
        colour=colour % colours,
    ),
    cell=st.integers(min_value=128, max_value=512),
    share=st.floats(min_value=0.3, max_value=0.75),
    um_px=st.sampled_from([0.5, 0.75, 1.0, 2.0]),
    colours=st.sampled_from([2, 4]),
    colour=st.integers(min_value=0, max_value=3),
)
maps = st.builds(
    lambda rows, columns, seed, share: (
        np.random.default_rng(seed).random((rows, columns)) >= share
    ).astype(np.uint8),
    rows=st.integers(min_value=1, max_value=120),
    columns=st.integers(min_value=1, max_value=120),
    seed=st.integers(min_value=0, max_value=1000),
    share=st.sampled_from([0.0, 0.0, 0.001, 0.01]),
)


def plan(class_map, terms, *, recipient="university", container="C", n_at_most=10_000):
    return plan_tiles(
        class_map,
        class_map_um_px=8.0,
        policy=terms,
        sampler=Sampler.derive(KEY, container=container, recipient=recipient),
        n_at_most=n_at_most,
    )


def clean(rows: int = 128, columns: int = 128):
    return np.full((rows, columns), SlideClass.TISSUE, dtype=np.uint8)


def apart(one: Placement, other: Placement, gap_px: int) -> bool:
    return any(
        low + one.side_px + gap_px <= high
        for low, high in (
            sorted((one.row_px, other.row_px)),
            sorted((one.column_px, other.column_px)),
        )
    )


@settings(max_examples=60, deadline=None)
@given(class_map=maps, terms=policies)
def test_no_two_tiles_of_any_recipients_touch_or_overlap(class_map, terms):
    tiles = []
    for colour in range(terms.colours):
        one = terms.model_copy(update={"colour": colour})
        tiles += plan(class_map, one, recipient=f"recipient-{colour}")
    for one, other in itertools.combinations(tiles[:150], 2):
        assert apart(one, other, 1)


@settings(max_examples=60, deadline=None)
@given(class_map=maps, terms=policies)
def test_one_recipient_of_four_gets_no_two_tiles_closer_than_a_cell(class_map, terms):
    four = terms.model_copy(update={"colours": 4})
    for one, other in itertools.combinations(plan(class_map, four)[:100], 2):
        assert apart(one, other, four.cell_px)


@settings(max_examples=60, deadline=None)
@given(class_map=maps, terms=policies)
def test_every_tile_is_clean_tissue_all_over(class_map, terms):
    for tile in plan(class_map, terms):
        scale = terms.um_px / 8.0
        rows = slice(int(tile.row_px * scale), int(-(-(tile.row_px + tile.side_px) * scale // 1)))
        columns = slice(
            int(tile.column_px * scale), int(-(-(tile.column_px + tile.side_px) * scale // 1))
        )
        assert (class_map[rows, columns] == SlideClass.TISSUE).all()
        assert tile.row_px + tile.side_px <= class_map.shape[0] / scale
        assert tile.column_px + tile.side_px <= class_map.shape[1] / scale


@settings(max_examples=40, deadline=None)
@given(class_map=maps, terms=policies)
def test_one_recipient_of_two_gets_no_two_cells_that_share_an_edge(class_map, terms):
    two = terms.model_copy(update={"colours": 2, "colour": terms.colour % 2})
    cells = {
        (tile.row_px // two.cell_px, tile.column_px // two.cell_px) for tile in plan(class_map, two)
    }
    assert not any(
        (row + 1, column) in cells or (row, column + 1) in cells for row, column in cells
    )


@settings(max_examples=40, deadline=None)
@given(class_map=maps, terms=policies, more=st.integers(0, 40), fewer=st.integers(-1, 40))
def test_a_smaller_budget_gives_some_of_the_tiles_of_a_larger_one(class_map, terms, more, fewer):
    small, large = sorted((more, fewer))
    some = {tile.tile_id for tile in plan(class_map, terms, n_at_most=small)}
    assert some <= {tile.tile_id for tile in plan(class_map, terms, n_at_most=large)}
    assert len(some) <= max(0, small)


@settings(max_examples=40, deadline=None)
@given(class_map=maps, terms=policies, row=st.integers(0, 119), column=st.integers(0, 119))
def test_tissue_that_turns_out_unclean_takes_tiles_away_and_moves_none(
    class_map, terms, row, column
):
    before = set(plan(class_map, terms))
    class_map[row % class_map.shape[0], column % class_map.shape[1]] = SlideClass.PEN
    assert set(plan(class_map, terms)) <= before


@settings(max_examples=30, deadline=None)
@given(class_map=maps, terms=policies)
def test_the_same_key_gives_the_same_plan(class_map, terms):
    assert plan(class_map, terms) == plan(class_map.copy(), terms)


@pytest.mark.parametrize("kind", [kind for kind in SlideClass if kind is not SlideClass.TISSUE])
def test_a_single_spot_that_is_not_clean_tissue_takes_its_cell_out(kind):
    class_map = clean()
    before = candidate_cells(class_map, class_map_um_px=8.0, policy=policy())
    class_map[3, 3] = kind
    after = candidate_cells(class_map, class_map_um_px=8.0, policy=policy())
    assert set(before) - set(after) == {(0, 0)}


def test_a_spot_on_the_border_takes_both_cells_out():
    class_map = clean()
    fine = policy(cell_px=250, crop_px=180)  # a cell ends within a pixel of the class map
    class_map[15, 3] = SlideClass.PEN
    cells = candidate_cells(class_map, class_map_um_px=8.0, policy=fine)
    assert (0, 0) not in cells
    assert (1, 0) not in cells
    assert (2, 0) in cells


def test_a_recipient_gets_its_own_class_of_the_colouring_and_a_quarter_of_the_cells():
    tiles = plan(clean(), policy(colour=3))
    assert len(tiles) == 64 // 4
    assert all((tile.row_px // 256) % 2 == 1 and (tile.column_px // 256) % 2 == 1 for tile in tiles)


def test_touching_cells_never_share_a_colour():
    for row, column in itertools.product(range(1, 6), repeat=2):
        neighbours = itertools.product((-1, 0, 1), repeat=2)
        for down, right in neighbours:
            if (down, right) == (0, 0):
                continue
            other = colour_of(row + down, column + right, colours=4)
            assert other != colour_of(row, column, colours=4)
            if 0 in (down, right):
                two = colour_of(row + down, column + right, colours=2)
                assert two != colour_of(row, column, colours=2)


def test_other_containers_and_recipients_get_other_tiles():
    one, other, third = (
        plan(clean(), policy()),
        plan(clean(), policy(), container="D"),
        plan(clean(), policy(), recipient="company"),
    )
    ids = [{tile.tile_id for tile in tiles} for tiles in (one, other, third)]
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]
    assert [(t.row_px, t.column_px) for t in one] != [(t.row_px, t.column_px) for t in other]


def test_ids_are_128_bits_and_their_order_tells_nothing_of_the_place():
    tiles = plan(clean(512, 512), policy())
    assert all(len(bytes.fromhex(tile.tile_id)) == 16 for tile in tiles)
    assert [tile.tile_id for tile in tiles] == sorted(tile.tile_id for tile in tiles)
    raster = [tile.row_px * 10**6 + tile.column_px for tile in tiles]
    ranks = np.argsort(np.argsort(raster))
    correlation = np.corrcoef(ranks, np.arange(len(tiles)))[0, 1]
    assert abs(correlation) < 4 / np.sqrt(len(tiles))


def test_all_eight_turns_and_the_whole_cell_are_used():
    tiles = plan(clean(512, 512), policy())
    assert {tile.turn for tile in tiles} == set(range(8))
    offsets = [tile.row_px % 256 for tile in tiles]
    assert min(offsets) >= 1
    assert max(offsets) <= 256 - 192 - 1
    assert max(offsets) - min(offsets) > 50


def test_a_budget_takes_some_of_the_tiles_and_never_others():
    all_tiles = {tile.tile_id for tile in plan(clean(), policy())}
    few = {tile.tile_id for tile in plan(clean(), policy(), n_at_most=5)}
    fewer = {tile.tile_id for tile in plan(clean(), policy(), n_at_most=3)}
    assert len(few) == 5
    assert fewer < few < all_tiles
    assert plan(clean(), policy(), n_at_most=0) == ()


def test_a_plan_comes_back_from_the_ledger():
    tiles = plan(clean(), policy())
    assert placements_from_bytes(placements_to_bytes(tiles)) == tiles


def test_the_digest_of_the_grid_is_the_same_for_all_recipients_only():
    assert grid_digest(policy(colour=0)) == grid_digest(policy(colour=3))
    assert grid_digest(policy()) != grid_digest(policy(crop_px=180))


def test_turns_are_the_eight_symmetries_of_the_square():
    square = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert len({turned(square, turn).tobytes() for turn in range(8)}) == 8
    assert np.array_equal(turned(square, 0), square)


def test_a_tile_is_a_plain_jpeg_without_metadata():
    content = encode(np.full((64, 64, 3), 200, dtype=np.uint8), 90)
    with Image.open(io.BytesIO(content)) as image:
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert encode(np.full((64, 64, 3), 200, dtype=np.uint8), 90) == content


pools = st.lists(st.integers(min_value=0, max_value=8), max_size=200).map(
    lambda patients: [
        PooledTile(
            tile_id=f"{hash((n, p)) & 0xFFFFFFFF:08x}{n:04x}", patient=f"p{p}", slide_id=f"s{p}"
        )
        for n, p in enumerate(patients)
    ]
)


@settings(max_examples=80, deadline=None)
@given(waiting=pools, patients=st.integers(1, 5), more=st.integers(0, 25))
def test_every_batch_is_full_and_mixes_enough_patients(waiting, patients, more):
    size = max(2, patients + more)
    terms = policy(min_patients=patients, tiles_per_shard=size, max_share_of_batch=1.0)
    batches = compose(waiting, terms, key=KEY)
    of = {tile.tile_id: tile.patient for tile in waiting}
    seen = [tile_id for batch in batches for tile_id in batch]
    assert len(set(seen)) == len(seen)
    for batch in batches:
        assert len(batch) == size
        assert len({of[tile_id] for tile_id in batch}) >= patients
        assert list(batch) == sorted(batch)
    left = [tile for tile in waiting if tile.tile_id not in set(seen)]
    enough = len({tile.patient for tile in left}) >= patients and len(left) >= size
    assert not enough


def test_no_patient_fills_a_batch_alone():
    waiting = [PooledTile(tile_id=f"{n:04x}", patient="many", slide_id="s") for n in range(100)]
    waiting += [
        PooledTile(tile_id=f"f{n:04x}", patient=f"p{n % 3}", slide_id="s") for n in range(30)
    ]
    (batch, *_) = compose(waiting, policy(min_patients=4, tiles_per_shard=40), key=KEY)
    many = [tile_id for tile_id in batch if not tile_id.startswith("f")]
    assert len(many) == 10


def test_ids_in_a_batch_do_not_tell_whose_tiles_they_are():
    """Patients of very different size come one after the other, as slides do."""
    rng = np.random.default_rng(5)
    terms = policy(min_patients=10, tiles_per_shard=64, max_share_of_batch=0.2)
    waiting: list[PooledTile] = []
    ratios = []
    for number in range(40):
        waiting += [
            PooledTile(tile_id=rng.bytes(16).hex(), patient=f"p{number}", slide_id=f"s{number}")
            for _ in range(int(rng.choice([15, 60, 400])))
        ]
        patient = {tile.tile_id: tile.patient for tile in waiting}
        for batch in compose(waiting, terms, key=KEY):
            places = np.array([int(tile_id[:12], 16) for tile_id in batch]) / 16**12
            same = np.equal.outer(*[np.array([patient[tile_id] for tile_id in batch])] * 2)
            gaps = np.abs(np.subtract.outer(places, places))
            apart = ~np.eye(len(batch), dtype=bool)
            ratios.append(gaps[same & apart].mean() / gaps[~same].mean())
            waiting = [tile for tile in waiting if tile.tile_id not in set(batch)]
    assert len(ratios) > 20
    assert 0.93 < np.mean(ratios) < 1.07


def test_a_batch_is_named_by_its_tiles_and_the_key():
    name = batch_id(KEY, route="tiles", tile_ids=("a", "b"))
    assert name == batch_id(KEY, route="tiles", tile_ids=("a", "b"))
    assert len(name) == 26
    assert name != batch_id(KEY, route="tiles", tile_ids=("a", "c"))
    assert name != batch_id(KEY[::-1], route="tiles", tile_ids=("a", "b"))


def tiles_for_shard(n: int = 5) -> dict[str, Tile]:
    jpeg = encode(np.full((32, 32, 3), 180, dtype=np.uint8), 90)
    return {f"{n:032x}": Tile(jpeg=jpeg, um_px=0.5, stain="H&E") for n in range(n)}


def test_a_shard_has_no_owner_and_no_time_and_is_the_same_every_time():
    content = shard(tiles_for_shard())
    assert content == shard(dict(reversed(tiles_for_shard().items())))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for entry in tar:
            owner = (entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime)
            assert owner == (0, 0, "", "", 0)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it closes no file
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_webdataset_package_reads_a_shard(tmp_path):
    import webdataset

    path = tmp_path / "shard.tar"
    path.write_bytes(shard(tiles_for_shard()))
    samples = list(webdataset.WebDataset(str(path), shardshuffle=False).decode("rgb8"))
    gc.collect()
    assert len(samples) == 5
    assert samples[0]["json"] == {"id": f"{0:032x}", "stain": "H&E", "um_px": 0.5}
    assert samples[0]["jpg"].shape == (32, 32, 3)


def test_a_tile_is_the_same_after_the_pool():
    tile = Tile(jpeg=b"\xff\xd8\n\n\xff\xd9", um_px=0.5, stain="H&E")
    assert Tile.from_bytes(tile.to_bytes()) == tile

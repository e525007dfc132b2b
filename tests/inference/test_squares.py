"""Tiles are grouped so that each is judged once, and workers end together."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from appliance.slides.classes import by_key
from inference.model.bundle import Models
from inference.running.artifacts import Classifier
from inference.running.squares import squares
from inference.running.tiles import TileGrid
from inference.running.tissue import TissueView


def grid(rows: int, columns: int) -> TileGrid:
    return TileGrid(rows=rows, columns=columns, tile_px=256, margin_px=16)


@given(
    rows=st.integers(1, 9000),
    columns=st.integers(1, 9000),
    share=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    ratio=st.sampled_from([0.9, 1.0, 3.7, 40.0]),
    workers=st.integers(1, 16),
)
def test_each_wanted_tile_is_in_one_square(
    rows: int, columns: int, share: float, ratio: float, workers: int
) -> None:
    tiles = grid(rows, columns)
    rng = np.random.default_rng(rows * columns)
    wanted = rng.random((tiles.tile_rows, tiles.tile_columns)) < share
    seen = np.zeros(wanted.shape, int)
    for square in squares(tiles, wanted, ratio=ratio, workers=workers):
        for tile in square.tiles:
            seen[tile.row // tiles.step_px, tile.column // tiles.step_px] += 1
    np.testing.assert_array_equal(seen, wanted)


def test_large_squares_come_first_and_small_ones_last() -> None:
    tiles = grid(20_000, 20_000)
    wanted = np.ones((tiles.tile_rows, tiles.tile_columns), bool)
    sizes = [len(one.tiles) for one in squares(tiles, wanted, ratio=1.0, workers=2)]
    assert sizes[0] == 81
    assert sizes[-1] <= 4
    assert sizes == sorted(sizes, reverse=True)


def is_worth_a_look(view: TissueView, top_um: float, left_um: float, side_um: float) -> bool:
    rows = slice(int(top_um / view.um_px), int((top_um + side_um) / view.um_px) + 1)
    columns = slice(int(left_um / view.um_px), int((left_um + side_um) / view.um_px) + 1)
    tissue = view.probability[rows, columns] >= view.threshold
    return bool(tissue.any()) or bool(view.something[rows, columns].any())


@given(
    rows=st.integers(1, 400),
    columns=st.integers(1, 400),
    um_px=st.sampled_from([2.0, 2.0017, 3.1]),
    seed=st.integers(0, 100),
)
def test_all_tiles_at_once_are_judged_as_each_by_itself(
    rows: int, columns: int, um_px: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = (-(-rows // 4), -(-columns // 4))
    view = TissueView(
        um_px=4 * um_px,
        probability=(rng.random(shape) > 0.97).astype(np.float32),
        something=rng.random(shape) > 0.99,
        threshold=0.5,
    )
    tiles = TileGrid(rows=rows, columns=columns, tile_px=64, margin_px=16)
    side_um = tiles.step_px * um_px
    one_by_one = [
        [
            is_worth_a_look(
                view, row * tiles.step_px * um_px, column * tiles.step_px * um_px, side_um
            )
            for column in range(tiles.tile_columns)
        ]
        for row in range(tiles.tile_rows)
    ]
    np.testing.assert_array_equal(view.worth_a_look(tiles, um_px=um_px), one_by_one)


def numbers(models: Models) -> npt.NDArray[np.uint8]:
    """Give the class map's number of each class of the model."""
    return np.array([by_key(one.name) for one in models.artifact.classes], np.uint8)


def test_a_class_below_its_threshold_cannot_win(models: Models) -> None:
    rng = np.random.default_rng(5)
    weights = rng.random((224, 224, len(models.artifact.classes))).astype(np.float32) ** 8
    probability = weights / weights.sum(axis=-1, keepdims=True)
    least = [models.artifact.thresholds.get(one.name, 0.0) for one in models.artifact.classes]
    assert any(least)
    winners = np.where(probability >= least, probability, 0).argmax(axis=-1)
    assert (winners != probability.argmax(axis=-1)).any()
    found = Classifier(models.artifact, 1).classes(probability)
    np.testing.assert_array_equal(found, numbers(models)[winners])


def test_a_coarser_map_is_made_of_mean_probabilities(models: Models) -> None:
    rng = np.random.default_rng(6)
    weights = rng.random((224, 224, len(models.artifact.classes))).astype(np.float32)
    probability = weights / weights.sum(axis=-1, keepdims=True)
    mean = probability.reshape(56, 4, 56, 4, -1).mean(axis=(1, 3))
    least = [models.artifact.thresholds.get(one.name, 0.0) for one in models.artifact.classes]
    expected = numbers(models)[np.where(mean >= least, mean, 0).argmax(axis=-1)]
    found = Classifier(models.artifact, 4).classes(probability)
    assert found.shape == (56, 56)
    assert np.count_nonzero(found != expected) <= 2  # ties within the last bit

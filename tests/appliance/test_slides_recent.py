"""Tiles that neighbours share are decoded once, and the memory for that is bounded."""

import numpy as np

from appliance.slides.grey import Pixels
from appliance.slides.recent import RecentTiles


def tile(value: int) -> Pixels:
    return np.full((10, 10, 3), value, np.uint8)


def test_what_nobody_asked_for_the_longest_goes_first() -> None:
    recent = RecentTiles(limit_bytes=2 * 300)
    recent.keep((0, 1, 1), tile(1))
    recent.keep((0, 2, 1), tile(2))
    assert recent.get((0, 1, 1)) is not None
    recent.keep((0, 3, 1), tile(3))
    assert recent.get((0, 2, 1)) is None
    assert [recent.get((0, number, 1)) is not None for number in (1, 3)] == [True, True]


def test_the_same_tile_at_another_size_is_another() -> None:
    recent = RecentTiles(limit_bytes=1000)
    recent.keep((0, 1, 1), tile(1))
    assert recent.get((0, 1, 2)) is None


def test_a_tile_that_comes_twice_counts_once() -> None:
    recent = RecentTiles(limit_bytes=2 * 300)
    for _ in range(5):
        recent.keep((0, 1, 1), tile(1))
    recent.keep((0, 2, 1), tile(2))
    assert recent.get((0, 1, 1)) is not None


def test_a_tile_larger_than_the_limit_is_not_kept() -> None:
    recent = RecentTiles(limit_bytes=100)
    recent.keep((0, 1, 1), tile(1))
    assert recent.get((0, 1, 1)) is None
    recent.keep((0, 2, 1), np.zeros((5, 5, 3), np.uint8))
    assert recent.get((0, 2, 1)) is not None

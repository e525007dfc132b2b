"""A slide is seen at the resolution that is asked for, from the cheapest pixels there are."""

from pathlib import Path

import numpy as np
import pytest

from inference.running.sampling import Sampler
from tests.inference.conftest import open_folder


@pytest.mark.parametrize(
    ("um_px", "ratio", "is_coarser"),
    [(2.0, 1.0, False), (4.0, 1.0, False), (6.0, 1.5, False), (0.9, 1.8, False), (0.1, 1.0, True)],
)
def test_the_level_at_or_just_above_is_read_and_shrunk_by_halves(
    slide: Path, um_px: float, ratio: float, *, is_coarser: bool
) -> None:
    with open_folder(slide) as reader:
        assert [level.um_px for level in reader.levels] == pytest.approx([0.5, 2.0, 8.0])
        sampler = Sampler(reader, um_px)
        assert sampler.ratio == pytest.approx(ratio)
        assert sampler.coarser is is_coarser
        assert sampler.um_px == pytest.approx(max(um_px, 0.5))


@pytest.mark.parametrize("um_px", [1.0, 1.5])
def test_a_sample_is_about_the_mean_of_the_pixels_it_covers(slide: Path, um_px: float) -> None:
    side, factor = 64, round(um_px / 0.5)
    with open_folder(slide) as reader:
        found = Sampler(reader, um_px).region(1000, 1200, side, side).astype(float)
        full = reader.region(0, 1000 * factor, 1200 * factor, side * factor, side * factor)
    mean = full.reshape(side, factor, side, factor, 3).mean(axis=(1, 3))
    assert full.std() > 5
    assert np.abs(found - mean).mean() < 1


def test_tiles_side_by_side_fit_together(slide: Path) -> None:
    with open_folder(slide) as reader:
        sampler = Sampler(reader, 4.0)
        whole = sampler.region(0, 0, sampler.rows, sampler.columns)
        right = sampler.region(0, 100, sampler.rows, sampler.columns - 100)
    np.testing.assert_array_equal(whole[:, 100:], right)

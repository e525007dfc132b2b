"""A slide is seen at the resolution that is asked for, from the cheapest pixels there are."""

import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pytest
import simplejpeg

from appliance.slides.reader import open_slide
from appliance.slides.sampling import Sampler
from tests.appliance.sparse_slides import write_sparse
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


def test_a_whole_slide_of_one_fine_level_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path, side_px = tmp_path / "volume.dcm", 512
    frame = simplejpeg.encode_jpeg(np.full((side_px, side_px, 3), 90, np.uint8))
    place = (1 + 100 * side_px, 1 + 60 * side_px, 0.0, "1")
    write_sparse(path, [place], iter([frame]), rows=60_000, columns=60_000)
    dataset = pydicom.dcmread(path)
    dataset.Rows = dataset.Columns = side_px
    dataset.save_as(path)
    with open_slide([path]) as reader:
        sampler = Sampler(reader, 50.0)
        tracemalloc.start()
        whole = sampler.region(0, 0, sampler.rows, sampler.columns)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert whole.shape == (600, 600, 3)
    assert whole[513:516, 309:311] == pytest.approx(90, abs=1)
    assert (whole < 255).any(axis=2).sum() <= 49
    assert peak_bytes < 100 << 20

"""Tissue is a function of the place: no seams, no repeats, stained as H&E is."""

import numpy as np
import pytest

from appliance.synthetic.fields import Window, hashed, smooth_noise
from appliance.synthetic.outline import Piece
from appliance.synthetic.picture import block
from appliance.synthetic.plan import SlidePlan
from appliance.synthetic.staining import GLASS
from appliance.synthetic.tissue import Tissue

TISSUE = Tissue(seed=3, pieces=(Piece(centre_um=(0.0, 0.0), radius_um=(4000.0, 4000.0)),))


def _window(y_um: float, x_um: float, rows: int = 256, columns: int = 256) -> Window:
    return Window(y_um=y_um, x_um=x_um, rows=rows, columns=columns, um_px=0.5)


def test_blocks_meet_without_a_seam() -> None:
    whole = TISSUE.render(_window(-700, 300, 512, 512)).astype(int)
    for y, x in ((0, 0), (0, 256), (256, 0), (256, 256)):
        part = TISSUE.render(_window(-700 + y / 2, 300 + x / 2)).astype(int)
        difference = np.abs(part - whole[y : y + 256, x : x + 256])
        assert difference.max() <= 40
        assert difference.mean() < 0.05


def test_artifacts_cross_block_borders_without_a_seam() -> None:
    plan = SlidePlan.tiny()
    whole = block(plan, _window(0, 0, 1024, 1536))
    left, right = block(plan, _window(0, 0, 1024, 768)), block(plan, _window(0, 384, 1024, 768))
    assert whole is not None
    assert left is not None
    assert right is not None
    difference = np.abs(np.hstack([left, right]).astype(int) - whole.astype(int))
    assert difference.mean() < 0.05
    assert difference[:, 760:776].mean() < 0.5


def test_tissue_is_pink_with_purple_nuclei() -> None:
    rgb = TISSUE.render(_window(-300, -300, 1024, 1024)).astype(int)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    nuclei = rgb.max(axis=2) < 150
    assert 0.02 < nuclei.mean() < 0.5
    assert (blue > red)[nuclei].mean() > 0.8
    stroma = (green < 200) & ~nuclei
    assert stroma.mean() > 0.2
    assert ((red > blue) & (blue > green))[stroma].mean() > 0.8


def test_no_two_places_look_alike() -> None:
    first, second = (TISSUE.render(_window(-300, x)).astype(float) for x in (-512.0, 512.0))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.5


def test_a_coarser_look_is_the_average_of_the_finer() -> None:
    fine = TISSUE.render(_window(0, 0, 512, 512)).astype(float)
    coarse = TISSUE.render(Window(y_um=0, x_um=0, rows=64, columns=64, um_px=4.0)).astype(float)
    averaged = fine.reshape(64, 8, 64, 8, 3).mean(axis=(1, 3))
    assert np.abs(averaged - coarse).mean() < 8


def test_without_pieces_there_is_only_glass() -> None:
    bare = Tissue(seed=1, pieces=())
    assert bare.is_bare(_window(0, 0))
    assert (bare.render(_window(0, 0)) == GLASS).all()


@pytest.mark.parametrize("seed", range(4))
def test_every_seed_leaves_glass_around_tissue(seed: int) -> None:
    plan = SlidePlan.demo(seed)
    look = Window(
        y_um=0,
        x_um=0,
        rows=int(plan.height_mm * 1000 / 16),
        columns=int(plan.width_mm * 1000 / 16),
        um_px=16.0,
    )
    inside = plan.tissue.depth_um(look) > 0
    assert 0.2 < inside.mean() < 0.6
    edge = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    assert edge.mean() < 0.05
    assert len(plan.artifacts) == 5


def test_noise_is_the_same_in_overlapping_windows() -> None:
    wide, narrow = _window(0, 0, 200, 200), _window(40, 30, 50, 60)
    expected = smooth_noise(wide, 70, 5)[80:130, 60:120]
    assert np.allclose(smooth_noise(narrow, 70, 5), expected, atol=1e-5)


def test_hashed_numbers_are_spread_evenly() -> None:
    index = np.arange(20000)
    numbers = hashed(9, index, index * 3)
    assert abs(numbers.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.02

"""How a slide looks: sharpness, colours, and whether it is like what the models learnt from."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from inference.judging import focus, unlike
from inference.model.bundle import bundled
from inference.model.manifest import Likeness
from inference.running.look import CELL_PX, Look, look_at, nothing
from inference.training import generated

Rgb = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def tissue() -> Rgb:
    """Generated H&E at 2 um/px, sides multiples of a cell."""
    picture = generated.load(share=1.0, pictures=1, seed=720)[0].rgb
    half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    side = 512
    rows, columns = half.shape[:2]
    top, left = (rows - side) // 2, (columns - side) // 2
    return np.ascontiguousarray(half[top : top + side, left : left + side], np.uint8)


@pytest.fixture(scope="module")
def likeness() -> Likeness:
    found = bundled().artifact.likeness
    assert found is not None
    return found


def test_the_more_a_picture_is_blurred_the_less_sharp_it_is(tissue: Rgb) -> None:
    blurred = [
        np.asarray(cv2.GaussianBlur(tissue, (0, 0), sigma), np.uint8) for sigma in (0.7, 1.5, 3.0)
    ]
    medians = [float(np.nanmedian(look_at(rgb)[0])) for rgb in (tissue, *blurred)]
    assert medians == sorted(medians, reverse=True)
    assert medians[0] > focus.GRADES[focus.SHARP]
    assert medians[2] < focus.GRADES[focus.SOFT]


def test_stain_and_contrast_leave_sharpness_as_it_is(tissue: Rgb) -> None:
    pale = np.rint(255 - 0.6 * (255.0 - tissue)).astype(np.uint8)
    before, after = (float(np.nanmedian(look_at(rgb)[0])) for rgb in (tissue, pale))
    assert after == pytest.approx(before, rel=0.2)


def test_glass_has_no_sharpness_and_no_look() -> None:
    sharpness, look = look_at(np.full((96, 130, 3), 240, np.uint8))
    assert sharpness.shape == (3, 4)
    assert np.isnan(sharpness).all()
    assert look.stained == 0
    assert np.isnan(look.quantile("green density", 0.5))


def test_an_area_smaller_than_a_cell_says_nothing() -> None:
    sharpness, look = look_at(np.zeros((CELL_PX - 1, 500, 3), np.uint8))
    assert sharpness.size == 0
    assert look.stained == 0


def test_the_looks_of_parts_add_up_to_the_look_of_the_whole(tissue: Rgb) -> None:
    parts = sum((look_at(half)[1] for half in np.split(tissue, 2)), start=nothing())
    whole = look_at(tissue)[1]
    assert parts.stained == whole.stained
    assert (parts.counts[:5] == whole.counts[:5]).all()


def test_a_quantile_lies_where_the_pixels_are() -> None:
    rgb = np.full((64, 64, 3), (200, 100, 150), np.uint8)
    look = look_at(rgb)[1]
    expected = -np.log(np.array([201, 101, 151]) / 256)
    for name, density in zip(("red", "green", "blue"), expected, strict=True):
        assert look.quantile(f"{name} density", 0.5) == pytest.approx(density, abs=4 / 64)


def test_generated_tissue_is_like_the_training_data(tissue: Rgb, likeness: Likeness) -> None:
    value = unlike.unlikeness(look_at(tissue)[1], likeness)
    assert value is not None
    assert value < unlike.LIMIT
    assert unlike.warning(value) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda rgb: rgb[..., [0, 2, 1]],  # brown: blue light is taken most, as by DAB
        lambda rgb: 255 - rgb,  # bright on black, as fluorescence is
        lambda rgb: np.repeat(rgb[..., 1:2] // 4, 3, axis=2),  # dark grey
    ],
    ids=["brown", "inverted", "dark grey"],
)
def test_other_colours_are_told_as_unlike(change: object, tissue: Rgb, likeness: Likeness) -> None:
    assert callable(change)
    value = unlike.unlikeness(look_at(np.ascontiguousarray(change(tissue)))[1], likeness)
    assert value is not None
    assert value > unlike.LIMIT
    sentence = unlike.warning(value)
    assert sentence is not None
    assert sentence.endswith(".")


def test_ink_that_the_model_found_is_no_strange_stain(tissue: Rgb, likeness: Likeness) -> None:
    inked, ink = tissue.copy(), np.zeros(tissue.shape[:2], np.bool_)
    ink[:100] = True
    inked[ink] = (0, 0, 90)
    seen, known = (look_at(inked, mask)[1] for mask in (None, ink))
    assert known.inked > 0
    assert (unlike.unlikeness(seen, likeness) or 0) > unlike.LIMIT
    assert (unlike.unlikeness(known, likeness) or 9) < unlike.LIMIT


def test_more_ink_than_tissue_is_unlike_and_too_little_is_not_judged(
    tissue: Rgb, likeness: Likeness
) -> None:
    ink = np.ones(tissue.shape[:2], np.bool_)
    ink[:64] = False
    assert (unlike.unlikeness(look_at(tissue, ink)[1], likeness) or 0) > unlike.LIMIT
    speck: Look = look_at(tissue[:32, :32])[1]
    assert unlike.unlikeness(speck, likeness) is None
    assert unlike.unlikeness(look_at(tissue)[1], None) is None
    assert unlike.warning(None) is None


def test_the_focus_map_shows_glass_as_0_and_sharpness_from_1_to_255() -> None:
    values = np.array([[np.nan, 0.0, 0.05], [0.13, focus.SHARPEST, 3.0]], np.float32)
    shown = focus.focus_map(values)
    assert shown.dtype == np.uint8
    assert shown.ravel().tolist() == [0, 1, 26, 67, 255, 255]
    assert focus.shares(values) == pytest.approx(
        {focus.BLURRED: 0.4, focus.SOFT: 0.2, focus.SHARP: 0.4}
    )
    assert sum(focus.shares(np.full((2, 2), np.nan, np.float32)).values()) == 0

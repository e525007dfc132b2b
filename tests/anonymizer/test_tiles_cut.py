"""Cutting: a tile shows the place that the plan names, at the policy's magnification."""

import io

import numpy as np
import pytest
from PIL import Image

from anonymizer.tiles.cut import cut_tiles, stain_of, turned
from anonymizer.tiles.plan import Placement
from appliance.errors import PolicyRefused
from appliance.settings import ColouredTiles
from appliance.slides.reader import open_slide
from tests.anonymizer.release_parts import original_slide, save


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "volume-00.dcm"
    save(original_slide(tiles_across=4), path)
    with open_slide([path]) as opened:
        yield opened


def policy(um_px: float) -> ColouredTiles:
    return ColouredTiles(
        mechanism="coloured_tiles",
        statement="does not protect the original",
        um_px=um_px,
        jpeg_quality=95,
    )


def placement(row: int, column: int, turn: int = 0) -> Placement:
    return Placement(tile_id="0" * 32, row_px=row, column_px=column, side_px=192, turn=turn)


def pixels_of(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)


def mean_difference(one, other) -> float:
    return float(np.abs(one - other).mean())


@pytest.mark.parametrize("turn", range(8))
def test_a_tile_is_the_region_of_the_plan_turned(reader, turn):
    ((_, jpeg),) = cut_tiles(reader, (placement(100, 300, turn),), policy(0.5))
    expected = turned(reader.region(0, 100, 300, 192, 192), turn).astype(np.int16)
    assert mean_difference(pixels_of(jpeg), expected) < 4


def test_another_magnification_shows_the_same_place_smaller(reader):
    ((_, jpeg),) = cut_tiles(reader, (placement(40, 60),), policy(1.0))
    region = Image.fromarray(reader.region(0, 80, 120, 384, 384))
    expected = np.asarray(region.resize((192, 192), Image.Resampling.BOX), dtype=np.int16)
    assert mean_difference(pixels_of(jpeg), expected) < 4


def test_a_slide_that_is_too_coarse_for_the_route_is_refused(reader):
    with pytest.raises(PolicyRefused, match="too coarse"):
        list(cut_tiles(reader, (placement(0, 0),), policy(0.25)))


def test_the_stain_is_named_only_when_it_is_known():
    slide = original_slide(tiles_across=1)
    assert stain_of(slide) == "H&E"
    del slide.SpecimenDescriptionSequence[0].SpecimenPreparationSequence[1]
    assert stain_of(slide) == "other"
    del slide.SpecimenDescriptionSequence
    assert stain_of(slide) == "other"


def test_the_same_tile_gives_the_same_bytes(reader):
    first, second = (list(cut_tiles(reader, (placement(5, 7, 3),), policy(0.5))) for _ in range(2))
    assert first == second

"""Tile classifiers judge tissue, tile by tile, and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.slides.classes import SlideClass
from appliance.synthetic.truth import PlantedTruth
from inference.model.bundle import Models
from inference.model.manifest import TILES, Model
from inference.running.predict import Prediction, Predictor
from inference.running.tiles import TileGrid
from inference.running.tissue import TissueView
from tests.inference.conftest import open_folder, quiet
from tests.inference.small_models import instead, says


@pytest.fixture(scope="module")
def classifier(models: Models) -> Model:
    """A classifier of 96 px tiles at 1 um/px that always says the same."""
    model = replace(
        models.tissue,
        name="test-tiles",
        task=TILES,
        um_px=1.0,
        tile_px=96,
        thresholds={"tissue": 0.5},
    )
    return instead(model, says([0.25, 0.75], tiles=True))


@pytest.fixture(scope="module")
def prediction(slide: Path, models: Models, classifier: Model) -> Prediction:
    """The generated slide, seen by the classifier too."""
    predictor = Predictor(replace(models, classifiers=(classifier,)), device="cpu", workers=2)
    with open_folder(slide) as reader:
        found = predictor.predict(reader, quiet)
    predictor.close()
    return found


def test_there_is_a_map_for_each_class_that_is_reported(
    prediction: Prediction, truth: PlantedTruth
) -> None:
    (found,) = prediction.tile_maps
    assert (found.name, found.class_index, found.um_px) == ("tissue", 1, 96.0)
    rows, columns = (side * truth.class_map_um_px for side in truth.class_map.shape)
    assert found.probability.shape == (-(-rows // 96), -(-columns // 96))
    assert found.probability.dtype == np.float32
    assert np.nanmin(found.probability) == np.nanmax(found.probability) == 0.75
    assert [use.name for use in prediction.models][-1] == "test-tiles"


def test_only_tissue_is_judged(prediction: Prediction, truth: PlantedTruth) -> None:
    (found,) = prediction.tile_maps
    judged_mm2 = np.count_nonzero(~np.isnan(found.probability)) * found.um_px**2 / 1e6
    assert judged_mm2 == pytest.approx(truth.tissue_area_mm2, rel=0.2)
    k = round(found.um_px / truth.class_map_um_px)
    glass = truth.class_map == SlideClass.BACKGROUND
    rows, columns = (side // k for side in glass.shape)
    share = glass[: rows * k, : columns * k].reshape(rows, k, columns, k).mean(axis=(1, 3))
    assert np.isnan(found.probability[:rows, :columns][share > 0.9]).all()


def test_the_share_of_tissue_ends_where_the_slide_ends() -> None:
    view = TissueView(
        um_px=8.0,
        probability=np.ones((25, 25), np.float32),  # 200 um
        something=np.ones((25, 25), bool),
        threshold=0.5,
    )
    grid = TileGrid(rows=200, columns=200, tile_px=96, margin_px=0)
    share = view.share(grid, um_px=1.0)
    np.testing.assert_allclose(np.diag(share), [1, 1, (1 / 8) ** 2])


def test_the_focus_map_covers_the_tissue(prediction: Prediction) -> None:
    k = round(prediction.focus_um_px / prediction.um_px)
    rows, columns = prediction.focus.shape
    assert rows * k >= prediction.class_map.shape[0] > (rows - 1) * k
    assert columns * k >= prediction.class_map.shape[1] > (columns - 1) * k
    measured = ~np.isnan(prediction.focus)
    clean = prediction.class_map == SlideClass.TISSUE
    whole = clean[: (rows - 1) * k, : (columns - 1) * k].reshape(rows - 1, k, columns - 1, k)
    assert measured[:-1, :-1][whole.mean(axis=(1, 3)) > 0.9].mean() > 0.9
    assert prediction.look.stained > 0

"""Tile maps become areas of tissue; a slide unlike the training data is never accepted."""

from dataclasses import replace

import numpy as np
import pytest

from appliance.line import Verdict
from appliance.settings import VerdictRules
from appliance.slides.findings import ArtifactArea
from inference.judging import quality, tiles
from inference.model.bundle import Models
from inference.model.manifest import Concept, ModelClass
from inference.running.classify import TileMap

UM_PX = 4.0
TILE_UM = 50.0
NAN = float("nan")


def tile_map(models: Models, probability: list[list[float]]) -> TileMap:
    code = Concept(value="94391008", scheme="SCT", meaning="Metastasis")
    classes = (
        ModelClass(index=0, name="other", code=code),
        ModelClass(index=1, name="tumour", code=code),
    )
    model = replace(
        models.artifact, name="Seeker", task="tiles", classes=classes, thresholds={"tumour": 0.5}
    )
    return TileMap(
        model=model,
        class_index=1,
        name="tumour",
        um_px=TILE_UM,
        probability=np.array(probability, np.float32),
    )


def test_a_tile_counts_with_the_tissue_in_it(models: Models) -> None:
    tissue = np.zeros((25, 40), bool)  # two rows and more than three columns of tiles
    tissue[:, :25] = True
    found = tile_map(models, [[0.9, 0.2, NAN, NAN], [0.5, 0.1, NAN, 0.8]])
    (result,) = tiles.tile_results([found], tissue, um_px=UM_PX)
    judged_mm2 = 25 * 25 * UM_PX**2 / 1e6
    above_mm2 = (12 * 12 + 13 * 12) * UM_PX**2 / 1e6
    assert result.area_mm2 == pytest.approx(above_mm2, rel=0.05)
    assert result.share_of_tissue == pytest.approx(above_mm2 / judged_mm2, rel=0.05)
    assert (result.highest, result.threshold) == (pytest.approx(0.9), 0.5)
    assert (result.model, result.name, result.map_file) == ("Seeker", "tumour", "tiles-1.png")
    assert result.code == ("94391008", "SCT", "Metastasis")


def test_the_tiles_share_out_all_tissue() -> None:
    tissue = np.random.default_rng(1).random((83, 131)) < 0.5
    shares = tiles.tissue_um2(tissue, um_px=2.0, shape=(9, 14), tile_um=19.7)
    assert shares.sum() == pytest.approx(np.count_nonzero(tissue) * 4.0)


def test_a_map_without_a_judged_tile_says_nothing(models: Models) -> None:
    found = tile_map(models, [[NAN, NAN]])
    (result,) = tiles.tile_results([found], np.ones((5, 5), bool), um_px=UM_PX)
    assert (result.area_mm2, result.share_of_tissue, result.highest) == (0.0, 0.0, 0.0)


def test_a_map_is_written_with_what_was_not_judged_apart() -> None:
    written = tiles.encoded(np.array([[0.0, 1.0, NAN, 0.5]], np.float32))
    assert written.tolist() == [[1, 255, 0, 128]]
    assert written.dtype == np.uint8


RULES = VerdictRules(rescan={"fold": 0.2}, review={"fold": 0.1}, minimum_tissue_mm2=0.1)


def folded(share: float) -> tuple[ArtifactArea, ...]:
    return (ArtifactArea(name="fold", area_mm2=share, share_of_tissue=share),)


@pytest.mark.parametrize(
    ("share", "unlikeness", "verdict"),
    [
        (0.0, None, Verdict.ACCEPT),
        (0.0, 0.99, Verdict.ACCEPT),
        (0.0, 1.0, Verdict.REVIEW),
        (0.15, 1.0, Verdict.REVIEW),
        (0.3, 5.0, Verdict.RESCAN),
    ],
)
def test_a_slide_unlike_the_training_data_is_never_accepted(
    share: float, unlikeness: float | None, verdict: Verdict
) -> None:
    found = quality.judge(folded(share), 1.0, RULES, unlikeness=unlikeness)
    assert found.verdict is verdict
    assert ("looks unlike" in found.reason) == (unlikeness is not None and unlikeness >= 1)
    assert ("folded" in found.reason) == (share >= 0.1)
    assert found.reason.endswith(".")


def test_how_unlike_is_too_unlike_is_a_setting() -> None:
    lenient = RULES.model_copy(update={"unlikeness": 2.0})
    assert quality.judge(folded(0.0), 1.0, lenient, unlikeness=1.5).verdict is Verdict.ACCEPT


def test_blood_asks_for_a_look() -> None:
    bloody = (ArtifactArea(name="blood", area_mm2=0.2, share_of_tissue=0.2),)
    found = quality.judge(bloody, 1.0, VerdictRules())
    assert (found.verdict, found.reason) == (
        Verdict.REVIEW,
        "20 % of the tissue is covered by blood (limit 10 %).",
    )

"""Training scenes: reproducible, with every class in them, and spoiled where their labels say."""

import numpy as np
import pytest

from appliance.slides.classes import SlideClass
from inference.training import generated, scenes
from inference.training.sources import IGNORE, TissueImage


@pytest.fixture(scope="module")
def images() -> list[TissueImage]:
    return generated.load(share=1.0, pictures=1, seed=720)


def test_a_seed_makes_the_same_scene_again(images: list[TissueImage]) -> None:
    first, again, other = (
        scenes.scene(np.random.default_rng(seed), images, scenes.ARTIFACT_RECIPE)
        for seed in (3, 3, 4)
    )
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    assert (first[0] != other[0]).any()


def test_scenes_show_every_class_of_the_class_map(images: list[TissueImage]) -> None:
    draw = np.random.default_rng(1)
    shown: set[int] = set()
    for _ in range(60):
        rgb, labels = scenes.scene(draw, images, scenes.ARTIFACT_RECIPE)
        assert rgb.shape == (*labels.shape, 3)
        shown |= set(np.unique(labels).tolist())
    assert shown == {*SlideClass, IGNORE}


def test_the_tissue_model_is_asked_for_tissue_alone(images: list[TissueImage]) -> None:
    draw = np.random.default_rng(2)
    for _ in range(20):
        _, labels = scenes.scene(draw, images, scenes.TISSUE_RECIPE)
        assert set(np.unique(labels).tolist()) <= {0, 1, IGNORE}

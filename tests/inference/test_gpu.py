"""The same numbers on a GPU, when there is one: `pytest -m gpu` on a machine that has it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.errors import ConfigError
from inference.model.bundle import Models
from inference.running import engine
from inference.running.binding import BoundSession
from inference.running.predict import Predictor
from inference.running.watchdog import Watchdog
from tests.inference.conftest import open_folder, quiet

on_a_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not engine.may_have_gpu(), reason="this machine has no CUDA device"),
]


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    watchdog = Watchdog()
    yield watchdog
    watchdog.close()


class TestOnAGpu:
    pytestmark = on_a_gpu

    def test_a_session_says_that_it_runs_there(self, models: Models) -> None:
        assert engine.Session(models.artifact, device="gpu").device == "gpu"

    def test_recorded_runs_give_the_numbers_of_the_cpu(
        self, models: Models, watchdog: Watchdog
    ) -> None:
        model = models.artifact
        session = BoundSession(model, device="gpu", batch=4, side_px=256, watchdog=watchdog)
        plain = engine.Session(model, device="cpu")
        rng = np.random.default_rng(3)
        for n in (4, 4, 4, 3, 1):  # CUDA records the second run and repeats it from then on
            images = rng.integers(0, 255, (n, 256, 256, 3), dtype=np.uint8)
            session.put(0, images)
            np.testing.assert_allclose(session.run(n), plain.run(images), atol=0.02)

    def test_a_slide_is_judged_as_on_the_cpu(
        self, slide: Path, models: Models, predictor: Predictor
    ) -> None:
        there = Predictor(models, device="gpu", workers=4)
        with open_folder(slide) as reader:
            found, expected = there.predict(reader, quiet), predictor.predict(reader, quiet)
        there.close()
        assert {use.device for use in found.models} == {"gpu"}
        different = np.count_nonzero(found.class_map != expected.class_map)
        assert different < 0.005 * found.class_map.size


@pytest.mark.skipif(engine.may_have_gpu(), reason="this machine has a CUDA device")
def test_a_demanded_gpu_that_is_not_there_stops_the_start(models: Models) -> None:
    with pytest.raises(ConfigError, match="demand a GPU"):
        Predictor(models, device="gpu", workers=1)

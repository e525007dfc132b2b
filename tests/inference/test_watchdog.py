"""A model that never ends sets its slide aside; one that cannot be ended ends the process."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from appliance.errors import ModelError
from inference.model.bundle import Models
from inference.running import engine
from inference.running.predict import Predictor
from inference.running.watchdog import EXIT_HANGS, Watchdog
from tests.inference.conftest import open_folder, quiet
from tests.inference.small_models import FOR_EVER, instead, says

HANGS = """
import threading
from inference.running.watchdog import Watchdog
with Watchdog(0.05).watching():
    threading.Event().wait()
"""


def test_a_model_that_never_ends_sets_the_slide_aside(slide: Path, models: Models) -> None:
    n_classes = len(models.artifact.classes)
    endless = instead(models.artifact, says([1 / n_classes] * n_classes, rounds=FOR_EVER))
    hangs = Models(tissue=models.tissue, artifact=endless)
    predictor = Predictor(hangs, device="cpu", workers=2, limit_s=0.5)
    with (
        open_folder(slide) as reader,
        pytest.raises(ModelError, match=r"took longer than a model may \(inference.model_limit_s"),
    ):
        predictor.predict(reader, quiet)
    predictor.close()


def test_a_model_within_the_limit_is_left_alone(models: Models) -> None:
    n_classes = len(models.artifact.classes)
    slow = instead(models.artifact, says([1 / n_classes] * n_classes, rounds=1000))
    watchdog = Watchdog(30.0)
    session = engine.Session(slow, device="cpu", watchdog=watchdog)
    assert session.run(engine.blank(32)).shape == (1, 32, 32, n_classes)
    watchdog.close()


def test_a_run_that_does_not_end_when_asked_is_given_up() -> None:
    given_up = threading.Event()
    watchdog = Watchdog(0.05, give_up=given_up.set)
    with watchdog.watching() as watch:
        assert given_up.wait(20)
        assert watch.expired
        assert watch.options.terminate
    watchdog.close()


def test_giving_up_ends_the_process_whatever_its_threads_do() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HANGS], timeout=60, check=False, capture_output=True
    )
    assert ended.returncode == EXIT_HANGS
    assert b"A model hangs" in ended.stderr

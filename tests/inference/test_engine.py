"""Sessions run where they say they run, and refuse what they cannot run."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from appliance.errors import ConfigError, DeviceUnavailable, ModelError
from inference.model import bundle
from inference.model.bundle import Models
from inference.model.manifest import load_model
from inference.running import engine


def has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()


def test_a_session_gives_probabilities(models: Models) -> None:
    session = engine.Session(models.artifact, device="cpu")
    probability = session.run(engine.blank(models.artifact.tile_px))
    assert session.device == "cpu"
    assert probability.shape == (1, 256, 256, 7)
    np.testing.assert_allclose(probability.sum(axis=-1), 1, atol=1e-4)


def test_tissue_takes_any_multiple_of_32(models: Models) -> None:
    session = engine.Session(models.tissue, device="cpu")
    image = np.full((1, 96, 160, 3), 255, np.uint8)
    assert session.run(image).shape == (1, 96, 160, 2)


def test_auto_says_what_it_got(models: Models) -> None:
    expected = "gpu" if has_gpu() else "cpu"
    assert engine.Session(models.tissue, device="auto").device == expected


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_a_gpu_that_is_demanded_and_missing_is_an_error_at_once(models: Models) -> None:
    with pytest.raises(ConfigError, match="demand a GPU"):
        engine.require_device("gpu")
    with pytest.raises(DeviceUnavailable, match="demand a GPU"):
        engine.Session(models.tissue, device="gpu")


def test_a_file_that_is_not_the_model_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle.BUNDLED / "tissue", tmp_path / "tissue"))
    (folder / "model.onnx").write_bytes(b"\x3a\x00")  # an empty graph
    with pytest.raises(ModelError, match="cannot load the model"):
        engine.Session(load_model(folder), device="cpu")


def test_a_model_of_another_task_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle.BUNDLED / "artifact", tmp_path / "artifact"))
    shutil.copy(bundle.BUNDLED / "tissue" / "model.onnx", folder / "model.onnx")
    session = engine.Session(load_model(folder), device="cpu")
    with pytest.raises(ModelError):
        session.run(engine.blank(256))


def test_workers_default_to_one_a_core() -> None:
    assert engine.worker_count(3) == 3
    assert engine.worker_count(0) >= 1

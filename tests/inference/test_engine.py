"""Sessions run where they say they run, and refuse what they cannot run."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as state

from appliance.errors import ConfigError, DeviceUnavailable, ModelError
from inference.model import bundle
from inference.model.bundle import Models
from inference.model.manifest import Model, load_model
from inference.running import engine
from tests.inference.small_models import instead, says


def has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()


def test_a_session_gives_probabilities(models: Models) -> None:
    session = engine.Session(models.artifact, device="cpu")
    probability = session.run(engine.blank(models.artifact.tile_px))
    assert session.device == "cpu"
    assert probability.shape == (1, 256, 256, len(models.artifact.classes))
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


def with_seven(model: Model) -> Model:
    """Give a model with seven classes, whatever it has."""
    return replace(model, classes=model.classes[:7])


@pytest.mark.parametrize(
    "values",
    [
        [float("nan")] * 7,
        [float("inf"), *[0.0] * 6],
        [2 / 7] * 7,
        [-1.0, 2.0, *[0.0] * 5],
        [0.5, 0.5],
    ],
    ids=["NaN", "infinity", "sum of two", "negative", "too few classes"],
)
def test_numbers_that_are_no_probabilities_are_refused(models: Models, values: list[float]) -> None:
    model = instead(with_seven(models.artifact), says(values))
    session = engine.Session(model, device="cpu")
    with pytest.raises(ModelError, match="gave numbers that cannot be used"):
        session.run(engine.blank(32))


def test_a_tile_classifier_gives_one_answer_a_tile(models: Models) -> None:
    model = replace(models.artifact, task="tiles", classes=models.tissue.classes)
    session = engine.Session(instead(model, says([0.25, 0.75], tiles=True)), device="cpu")
    images = np.zeros((3, 96, 96, 3), np.uint8)
    np.testing.assert_array_equal(session.run(images), [[0.25, 0.75]] * 3)


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        (
            state.RuntimeException(
                "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while "
                "running Conv node. Name:'Conv_3' Status Message: bfc_arena.cc:376 void* "
                "onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) "
                "Failed to allocate memory for requested buffer of size 8388608000"
            ),
            engine.DeviceMemoryFull,
        ),
        (
            state.Fail(
                "[ONNXRuntimeError] : 1 : FAIL : CUDA failure 2: out of memory ; GPU=0 ; "
                "expr=cudaMalloc((void**)&p, size);"
            ),
            engine.DeviceMemoryFull,
        ),
        (
            state.RuntimeException("CUDNN failure 2: CUDNN_STATUS_ALLOC_FAILED ; GPU=0"),
            engine.DeviceMemoryFull,
        ),
        (
            state.Fail(
                "[ONNXRuntimeError] : 1 : FAIL : CUDA failure 700: an illegal memory access was "
                "encountered ; GPU=0 ; expr=cudaStreamSynchronize(stream);"
            ),
            DeviceUnavailable,
        ),
        (state.RuntimeException("CUDA failure 79: GPU has fallen off the bus"), DeviceUnavailable),
        (state.EPFail("[ONNXRuntimeError] : 11 : EP_FAIL : device removed"), DeviceUnavailable),
        (
            state.InvalidArgument(
                "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input"
            ),
            ModelError,
        ),
        (state.NotImplemented("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED"), ModelError),
    ],
    ids=["arena", "cudaMalloc", "cuDNN", "illegal access", "off the bus", "EP", "shape", "missing"],
)
def test_a_gpu_that_is_full_or_lost_is_told_from_a_model_that_is_wrong(
    models: Models, said: Exception, becomes: type[Exception]
) -> None:
    with pytest.raises(becomes) as caught, engine.running(models.artifact, "gpu", None):
        raise said
    assert type(caught.value) is becomes
    assert "ONNX" not in str(caught.value)
    with pytest.raises(ModelError), engine.running(models.artifact, "cpu", None):
        raise said


def test_onnx_runtime_never_goes_on_by_itself_on_another_device(models: Models) -> None:
    session = engine.open_session(models.tissue, "cpu")
    assert session._enable_fallback is False


def test_workers_default_to_one_a_core() -> None:
    assert engine.worker_count(3) == 3
    assert engine.worker_count(0) >= 1

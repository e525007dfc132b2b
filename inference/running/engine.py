"""The one door to ONNX Runtime: sessions, the device they really run on, and their errors."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state
from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession

from appliance.errors import ConfigError, DeviceUnavailable, ModelError
from inference.model.manifest import Model

AUTO, CPU, GPU = "auto", "cpu", "gpu"
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_INPUT, _OUTPUT = "image", "probability"
_NO_GPU = "The settings demand a GPU (inference.device), and ONNX Runtime cannot use one here."
_ONNX_ERRORS: tuple[type[Exception], ...] = (
    state.EPFail,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NotImplemented,
    state.RuntimeException,
    RuntimeError,
    ValueError,
)
_T = TypeVar("_T")
Probabilities = npt.NDArray[np.float32]


class Session:
    """One model, loaded for one worker; one thread of computation.

    Parameters
    ----------
    model
        Checked model.
    device
        `auto`, `cpu` or `gpu`.

    Raises
    ------
    DeviceUnavailable
        `gpu` is demanded and there is none.
    ModelError
        ONNX Runtime cannot load the model, or its input and output are not as DESIGN 7 says.
    """

    def __init__(self, model: Model, *, device: str = AUTO) -> None:
        self._model = model
        self._session = _open(model, device)
        self._check_shapes()

    @property
    def device(self) -> str:
        """`cpu` or `gpu`: what the session says after its creation, nothing else is true."""
        return GPU if self._session.get_providers()[0] == _CUDA else CPU

    def run(self, image: npt.NDArray[np.uint8]) -> Probabilities:
        """Run the model.

        Parameters
        ----------
        image
            `(n, rows, columns, 3)` uint8 RGB.

        Returns
        -------
        numpy.ndarray
            `(n, rows, columns, classes)` float32, softmax over the last axis.

        Raises
        ------
        ModelError
            The model fails or gives numbers that are no probabilities.
        DeviceUnavailable
            The GPU is lost or out of memory; safe to try again.
        """
        outputs = _translated(
            lambda: self._session.run([_OUTPUT], {_INPUT: image}),
            ModelError(f"The model {self._model.name} failed while it ran.")
            if self.device == CPU
            else DeviceUnavailable("The GPU was lost or ran out of memory."),
        )
        probability: Probabilities = np.asarray(outputs[0], dtype=np.float32)
        expected = (*image.shape[:3], len(self._model.classes))
        if probability.shape != expected or not np.isfinite(probability).all():
            raise ModelError(f"The model {self._model.name} gave numbers that cannot be used.")
        return probability

    def _check_shapes(self) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        fits = (
            [item.name for item in inputs] == [_INPUT]
            and inputs[0].type == "tensor(uint8)"
            and _OUTPUT in [item.name for item in outputs]
        )
        if not fits:
            raise ModelError(f"The model {self._model.name} has not the input and output it needs.")


def require_device(device: str) -> None:
    """Stop a daemon whose settings demand a GPU on a machine without one.

    Raises
    ------
    ConfigError
        `gpu` is demanded and no NVIDIA device or no CUDA build of ONNX Runtime is there.
    """
    if device == GPU and not _may_have_gpu():
        raise ConfigError(_NO_GPU)


def worker_count(configured: int) -> int:
    """Give the number of workers: as configured, or one a usable core for 0."""
    return configured if configured > 0 else len(os.sched_getaffinity(0))


def runtime_version() -> str:
    """Give the version of ONNX Runtime."""
    return str(onnxruntime.__version__)


def _may_have_gpu() -> bool:
    """Whether trying CUDA makes sense. A listed provider proves nothing; a device file is cheap."""
    return _CUDA in state.get_available_providers() and Path("/dev/nvidiactl").exists()


def _open(model: Model, device: str) -> InferenceSession:
    wants_gpu = device == GPU or (device == AUTO and _may_have_gpu())
    if device == GPU and not _may_have_gpu():
        raise DeviceUnavailable(_NO_GPU)
    providers = [_CUDA, _CPU] if wants_gpu else [_CPU]
    session = _translated(
        lambda: InferenceSession(model.onnx, _options(), providers=providers),
        ModelError(f"ONNX Runtime cannot load the model {model.name}."),
    )
    if device == GPU and session.get_providers()[0] != _CUDA:
        raise DeviceUnavailable(_NO_GPU)
    return session


def _options() -> state.SessionOptions:
    """One thread a session and no spinning: the workers are the parallelism."""
    options = state.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _translated(run: Callable[[], _T], ours: ModelError | DeviceUnavailable) -> _T:
    try:
        return run()
    except _ONNX_ERRORS as error:
        raise ours from error


def blank(tile_px: int) -> npt.NDArray[np.uint8]:
    """Give one white tile `(1, tile_px, tile_px, 3)` to try a model on."""
    return np.full((1, tile_px, tile_px, 3), 255, np.uint8)

"""The one door to ONNX Runtime: sessions, the device they really run on, and their errors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state
from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession

from appliance.errors import ConfigError, DeviceUnavailable, ModelError
from inference.model.manifest import TILES, Model
from inference.running.watchdog import Watch, Watchdog

AUTO, CPU, GPU = "auto", "cpu", "gpu"
INPUT, OUTPUT = "image", "probability"
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_NO_GPU = "The settings demand a GPU (inference.device), and ONNX Runtime cannot use one here."
_SUM_TOLERANCE = 0.02
"""A softmax in half or eight-bit numbers does not add up to one exactly."""
ONNX_ERRORS: tuple[type[Exception], ...] = (
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
_MEMORY_WORDS = (
    "failed to allocate memory",
    "out of memory",
    "memoryallocation",
    "alloc_failed",
    "available memory of",
)
"""How ONNX Runtime, CUDA, cuDNN and cuBLAS say that device memory is full; there is no code."""
_DEVICE_WORDS = ("cuda", "cudnn", "cublas", "cufft", "gpu")
_EVERY = 16
"""The sums of a map are looked at in every 16th row; its numbers one by one everywhere."""
Probabilities = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]


class Runner(Protocol):
    """A model that a worker can run; see `Session`."""

    def run(self, images: Images) -> Probabilities:
        """Run the model."""


class DeviceMemoryFull(DeviceUnavailable):
    """The memory of the GPU was not enough for one batch."""


class Session:
    """One model, loaded for one worker; one thread of computation.

    Parameters
    ----------
    model
        Checked model.
    device
        `auto`, `cpu` or `gpu`.
    watchdog
        Ends runs that take too long; without one a run may take for ever.

    Raises
    ------
    DeviceUnavailable
        `gpu` is demanded and there is none.
    ModelError
        ONNX Runtime cannot load the model, or its input and output are not as DESIGN 7 says.
    """

    def __init__(
        self, model: Model, *, device: str = AUTO, watchdog: Watchdog | None = None
    ) -> None:
        self._model = model
        self._watchdog = watchdog
        self._session = open_session(model, device)

    @property
    def device(self) -> str:
        """`cpu` or `gpu`: what the session says after its creation, nothing else is true."""
        return device_of(self._session)

    def run(self, images: Images) -> Probabilities:
        """Run the model.

        Parameters
        ----------
        images
            `(n, rows, columns, 3)` uint8 RGB.

        Returns
        -------
        numpy.ndarray
            float32, softmax over the last axis: `(n, rows, columns, classes)`, of a tile
            classifier `(n, classes)`.

        Raises
        ------
        ModelError
            The model fails, takes too long, or gives numbers that are no probabilities.
        DeviceUnavailable
            The GPU is lost or out of memory; safe to try again.
        """
        with running(self._model, self.device, self._watchdog) as options:
            outputs = self._session.run([OUTPUT], {INPUT: images}, options)
        probability: Probabilities = np.asarray(outputs[0], dtype=np.float32)
        check_probabilities(self._model, probability, output_shape(self._model, images.shape))
        return probability


def require_device(device: str) -> None:
    """Stop a daemon whose settings demand a GPU on a machine without one.

    Raises
    ------
    ConfigError
        `gpu` is demanded and no NVIDIA device or no CUDA build of ONNX Runtime is there.
    """
    if device == GPU and not may_have_gpu():
        raise ConfigError(_NO_GPU)


def worker_count(configured: int) -> int:
    """Give the number of workers: as configured, or one a usable core for 0."""
    return configured if configured > 0 else len(os.sched_getaffinity(0))


def runtime_version() -> str:
    """Give the version of ONNX Runtime."""
    return str(onnxruntime.__version__)


def may_have_gpu() -> bool:
    """Whether trying CUDA makes sense. A listed provider proves nothing; a device file is cheap."""
    return _CUDA in state.get_available_providers() and Path("/dev/nvidiactl").exists()


def blank(tile_px: int) -> Images:
    """Give one white tile `(1, tile_px, tile_px, 3)` to try a model on."""
    return np.full((1, tile_px, tile_px, 3), 255, np.uint8)


def open_session(model: Model, device: str, *, graph: bool = False) -> InferenceSession:
    """Load a model on a device and check its input and output.

    Parameters
    ----------
    model
        Checked model.
    device
        `auto`, `cpu` or `gpu`.
    graph
        On a GPU, let CUDA record the run once and repeat it: only for bound buffers.

    Raises
    ------
    DeviceUnavailable
        `gpu` is demanded and there is none.
    ModelError
        ONNX Runtime cannot load the model, or its input and output are not as DESIGN 7 says.
    """
    if device == GPU and not may_have_gpu():
        raise DeviceUnavailable(_NO_GPU)
    wants_gpu = device == GPU or (device == AUTO and may_have_gpu())
    providers: list[str | tuple[str, dict[str, str]]] = [_CPU]
    if wants_gpu:
        onnxruntime.preload_dlls()
        providers.insert(0, (_CUDA, _cuda_options(graph=graph)))
    try:
        session = InferenceSession(model.onnx, _options(), providers=providers, enable_fallback=0)
    except ONNX_ERRORS as error:
        sentence = f"ONNX Runtime cannot load the model {model.name}."
        raise (_ours(error, sentence) if wants_gpu else ModelError(sentence)) from error
    session.disable_fallback()  # it would go on in silence on the CPU when the GPU is lost
    if device == GPU and device_of(session) != GPU:
        raise DeviceUnavailable(_NO_GPU)
    _check_ends(model, session)
    return session


def device_of(session: InferenceSession) -> str:
    """Give the device of a session: what it says after its creation, nothing else is true."""
    return GPU if session.get_providers()[0] == _CUDA else CPU


def output_shape(model: Model, images: tuple[int, ...]) -> tuple[int, ...]:
    """Give the shape that a model must answer with to images of one shape."""
    n, rows, columns, _ = images
    n_classes = len(model.classes)
    return (n, n_classes) if model.task == TILES else (n, rows, columns, n_classes)


def check_probabilities(
    model: Model, probability: Probabilities, shape: tuple[int, ...] | None = None
) -> None:
    """Refuse what a network must not say.

    Raises
    ------
    ModelError
        Another shape, NaN, infinity, negative numbers, or classes that do not add up to one.
    """
    good = shape is None or probability.shape == shape
    if good and probability.size:
        lowest, highest = float(probability.min()), float(probability.max())  # NaN if one is
        some = probability if probability.ndim == 2 else probability[:, ::_EVERY]  # noqa: PLR2004
        with np.errstate(invalid="ignore", over="ignore"):
            far = float(np.abs(np.einsum("...c->...", some) - 1).max())
        good = lowest >= -_SUM_TOLERANCE and highest <= 1 + _SUM_TOLERANCE and far <= _SUM_TOLERANCE
    if not good:
        raise ModelError(f"The model {model.name} gave numbers that cannot be used.")


@contextmanager
def running(
    model: Model, device: str, watchdog: Watchdog | None
) -> Iterator[state.RunOptions | None]:
    """Look after one run and say in our words what went wrong.

    Raises
    ------
    ModelError
        The model failed or took too long.
    DeviceUnavailable
        The GPU is lost or out of memory.
    """
    if watchdog is None:
        with _translated(model, device, None):
            yield None
        return
    with watchdog.watching() as watch, _translated(model, device, watch):
        yield watch.options


@contextmanager
def _translated(model: Model, device: str, watch: Watch | None) -> Iterator[None]:
    try:
        yield
    except ONNX_ERRORS as error:
        if watch is not None and watch.expired:
            raise ModelError(
                f"The model {model.name} took longer than a model may (inference.model_limit_s)."
            ) from error
        sentence = f"The model {model.name} failed while it ran."
        raise (_ours(error, sentence) if device == GPU else ModelError(sentence)) from error


def _ours(error: Exception, sentence: str) -> ModelError | DeviceUnavailable:
    """Tell a GPU that is full or lost from a model that is wrong, which no retry mends."""
    said = str(error).lower()
    on_device = isinstance(error, state.EPFail) or any(word in said for word in _DEVICE_WORDS)
    if any(word in said for word in _MEMORY_WORDS):
        return DeviceMemoryFull("The memory of the GPU is full.")
    if on_device:
        return DeviceUnavailable("The GPU was lost or refused the work.")
    return ModelError(sentence)


def _check_ends(model: Model, session: InferenceSession) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    fits = (
        [item.name for item in inputs] == [INPUT]
        and inputs[0].type == "tensor(uint8)"
        and OUTPUT in [item.name for item in outputs]
    )
    if not fits:
        raise ModelError(f"The model {model.name} has not the input and output it needs.")


def _options() -> state.SessionOptions:
    """One thread a session and no spinning: the workers are the parallelism."""
    options = state.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _cuda_options(*, graph: bool) -> dict[str, str]:
    """Give the options of CUDA: search the best algorithm once, take memory as it is needed."""
    return {
        "enable_cuda_graph": "1" if graph else "0",
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "cudnn_conv_use_max_workspace": "1",
        "arena_extend_strategy": "kSameAsRequested",
        "do_copy_in_default_stream": "1",
    }

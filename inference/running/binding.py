"""A model with buffers that are made once: batches of one size and shape, padded when short.

That is what a GPU wants: fixed addresses and shapes, so that cuDNN searches its algorithms once
and CUDA records the whole run as a graph and repeats it. On the CPU the same code runs over the
same buffers without a copy, which is how it is tested on machines without a GPU.

Not pinned: ONNX Runtime's Python interface gives page-locked memory only through the devices of
plug-in providers (`OrtEpDevice.memory_info`), and the CUDA provider that we use is built in.
"""

import numpy as np
from onnxruntime.capi.onnxruntime_inference_collection import (
    InferenceSession,
    IOBinding,
    OrtValue,
)

from appliance.errors import DeviceUnavailable, ModelError
from inference.model.manifest import Model
from inference.running.engine import (
    GPU,
    INPUT,
    OUTPUT,
    Images,
    Probabilities,
    device_of,
    may_have_gpu,
    open_session,
    output_shape,
    running,
)
from inference.running.watchdog import Watchdog

_WHITE = 255
_CUDA_DEVICE, _FIRST = "cuda", 0
_WARM = 3
"""Runs until cuDNN has chosen its algorithms and CUDA has recorded and repeated the graph."""


class BoundSession:
    """One model for batches of one size; to be used by the thread that made it.

    Parameters
    ----------
    model
        Checked model.
    device
        `auto`, `cpu` or `gpu`.
    batch
        Number of images of a run.
    side_px
        Rows and columns of an image of a run.
    watchdog
        Ends runs that take too long.

    Raises
    ------
    DeviceUnavailable
        `gpu` is demanded and there is none, or its memory is full.
    ModelError
        ONNX Runtime cannot load the model, or its input and output are not as DESIGN 7 says.
    """

    def __init__(
        self, model: Model, *, device: str, batch: int, side_px: int, watchdog: Watchdog
    ) -> None:
        self._model = model
        self._watchdog = watchdog
        shape = (batch, side_px, side_px, 3)
        self._images = np.full(shape, _WHITE, np.uint8)
        self._probability = np.zeros(output_shape(model, shape), np.float32)
        try:
            self._open(device, graph=True)
        except (DeviceUnavailable, ModelError):
            if not may_have_gpu():
                raise
        else:
            return
        for first_try in ("_binding", "_output", "_input", "_session"):
            self.__dict__.pop(first_try, None)  # its memory is needed
        self._open(device, graph=False)  # not every model, and driver, can be recorded

    def _open(self, device: str, *, graph: bool) -> None:
        self._session = open_session(self._model, device, graph=graph)
        self.device = device_of(self._session)
        """`cpu` or `gpu`: what the session says."""
        with running(self._model, self.device, None):
            self._input = self._buffer(self._images)
            self._output = self._buffer(self._probability)
            self._binding = _bound(self._session, self._input, self._output)
        if self.device == GPU:
            for _ in range(_WARM):
                self.run(len(self._images))

    def put(self, first: int, images: Images) -> None:
        """Lay images, `(n, rows, columns, 3)`, into the batch; smaller ones are padded white."""
        n, rows, columns, _ = images.shape
        some = self._images[first : first + n]
        some[:, :rows, :columns] = images
        some[:, rows:] = _WHITE
        some[:, :rows, columns:] = _WHITE

    def run(self, n: int) -> Probabilities:
        """Run the model on the batch.

        Parameters
        ----------
        n
            How many images were put; what lies behind them is left over and counts for nothing.

        Returns
        -------
        numpy.ndarray
            float32, not checked yet: `(n, side_px, side_px, classes)`, of a tile classifier
            `(n, classes)`.

        Raises
        ------
        ModelError, DeviceUnavailable
            See `Session.run`; `DeviceMemoryFull` when a smaller batch may fit.
        """
        with running(self._model, self.device, self._watchdog) as options:
            if self.device == GPU:
                self._input.update_inplace(self._images)
            # onnxruntime has no types for what takes a binding.
            self._session.run_with_iobinding(self._binding, options)  # type: ignore[no-untyped-call]
            if self.device == GPU:
                fetched: Probabilities = self._output.numpy()[:n]
                return fetched
        return self._probability[:n].copy()

    def _buffer(self, array: Images | Probabilities) -> OrtValue:
        """Make the buffer on the device that goes with an array; on the CPU it is the array."""
        if self.device == GPU:
            return OrtValue.ortvalue_from_shape_and_type(
                array.shape, array.dtype.type, _CUDA_DEVICE, _FIRST
            )
        return OrtValue.ortvalue_from_numpy(array)


def _bound(session: InferenceSession, given: OrtValue, answer: OrtValue) -> IOBinding:
    binding = session.io_binding()
    binding.bind_ortvalue_input(INPUT, given)  # type: ignore[no-untyped-call]  # as above
    binding.bind_ortvalue_output(OUTPUT, answer)  # type: ignore[no-untyped-call]  # as above
    return binding

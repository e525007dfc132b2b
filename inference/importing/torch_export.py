"""The one door to PyTorch for models that are brought: TorchScript to ONNX.

TorchScript is a program of PyTorch's operators, read and run by a reader of its own. An archive of
`torch.export` is not taken: its reader evaluates text of the file as Python.
"""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from appliance.errors import ModelError
from inference.importing.wanted import CHANNELS_FIRST, Wanted

OPSET = 17
_COLOURS = 3
_INPUT, _OUTPUT = "input", "output"
_ERRORS = (AttributeError, ImportError, KeyError, OSError, RuntimeError, TypeError, ValueError)

Run = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def exported(path: Path, wanted: Wanted) -> tuple[bytes, Run]:
    """Export a model to ONNX with a batch that may vary.

    Parameters
    ----------
    path
        TorchScript.
    wanted
        Its layout and tile size.

    Returns
    -------
    bytes
        ONNX.
    Callable
        Runs the original in PyTorch: float32 in, float32 out.

    Raises
    ------
    ModelError
        PyTorch cannot read, run or export it, or it gives more than one tensor.
    """
    if wanted.tile_px is None:
        raise ModelError("A PyTorch file does not tell the size of its tiles; give --tile-px.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and warns of it at every call
        try:
            return _script(path, wanted)
        except _ERRORS as error:
            raise ModelError(
                "PyTorch cannot turn this file into ONNX for tiles of the stated size and axes; "
                "correct --tile-px or --layout, or export it where it was trained."
            ) from error


def _script(path: Path, wanted: Wanted) -> tuple[bytes, Run]:
    module = torch.jit.load(str(path), map_location="cpu").eval()
    side = wanted.tile_px
    first = wanted.layout == CHANNELS_FIRST
    shape = (2, _COLOURS, side, side) if first else (2, side, side, _COLOURS)
    free = {0: "n"}
    if wanted.task == "tissue":
        free |= {2: "rows", 3: "columns"} if first else {1: "rows", 2: "columns"}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.onnx"
        torch.onnx.export(
            module,
            (torch.zeros(shape),),
            str(target),
            input_names=[_INPUT],
            output_names=[_OUTPUT],
            dynamic_axes={_INPUT: free, _OUTPUT: {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )
        return target.read_bytes(), _runner(module)


def _runner(module: Any) -> Run:
    def run(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        try:
            with torch.inference_mode():
                given = module(torch.from_numpy(np.ascontiguousarray(array)))
        except _ERRORS as error:
            raise ModelError(
                "PyTorch cannot run this model on tiles of the stated size."
            ) from error
        if not isinstance(given, torch.Tensor):
            raise ModelError("The model gives more than one tensor; wrap it so that it gives one.")
        return np.asarray(given.numpy())

    return run

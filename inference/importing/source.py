"""The model as it came: an ONNX file, or PyTorch exported to one."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxruntime.capi import onnxruntime_pybind11_state as state
from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession

from appliance.errors import ModelError
from inference.importing.wanted import Wanted
from inference.running.engine import ONNX_ERRORS

Array = npt.NDArray[Any]
Run = Callable[[Array], Array]

_CPU = "CPUExecutionProvider"
_PROGRAMS = ("models/", "serialized_exported_program")
"""Where `torch.export.save` puts what is run, now and in earlier versions."""
_ARCHIVE = (
    "The file is an archive of torch.export, and to read one can run code; turn it into ONNX where "
    "it was trained: torch.onnx.export(program, (), FILE, dynamo=True, external_data=False)."
)
_BARE = (
    "The file holds weights without their network, or a pickled network, which could run code; "
    "save it with torch.jit.save(torch.jit.trace(network, example), FILE) where it was trained."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model as it came."""

    onnx: bytes
    run: Run | None
    """Runs the original on what it takes, `(n, ...)`; None for ONNX, which ONNX Runtime runs."""


def open_source(path: Path, wanted: Wanted) -> Source:
    """Read a file: by its content, whatever its name.

    Parameters
    ----------
    path
        ONNX or TorchScript (`torch.jit.save`).
    wanted
        Layout and tile size, which an export of PyTorch needs.

    Raises
    ------
    ModelError
        The file is none of these, or cannot be exported.
    """
    try:
        with path.open("rb") as file:
            head = file.read(2)
        names = zipfile.ZipFile(path).namelist() if head == b"PK" else []
        if names:
            return _torch(path, names, wanted)
        content = path.read_bytes()
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelError(f"The file {path.name} cannot be read.") from error
    if head[:1] == b"\x80":  # a pickle, as old versions of PyTorch wrote
        raise ModelError(_BARE)
    return Source(onnx=content, run=None)


def _torch(path: Path, names: list[str], wanted: Wanted) -> Source:
    inner = [name.partition("/")[2] for name in names]  # all lies in one folder
    if any(name.startswith(_PROGRAMS) for name in inner):
        raise ModelError(_ARCHIVE)
    if not any(name.startswith("code/") for name in inner):
        raise ModelError(_BARE)
    try:
        from inference.importing import torch_export
    except ImportError as error:
        raise ModelError(
            "PyTorch is needed to read this file; install the extra coverslip[training]."
        ) from error
    onnx, run = torch_export.exported(path, wanted)
    return Source(onnx=onnx, run=run)


class PlainSession:
    """Any ONNX model with one input, on the CPU.

    Raises
    ------
    ModelError
        ONNX Runtime cannot load it; `refusal` is the sentence.
    """

    def __init__(self, content: bytes, *, refusal: str) -> None:
        options = state.SessionOptions()
        options.log_severity_level = 4
        try:
            self._session = InferenceSession(content, options, providers=[_CPU], enable_fallback=0)
        except ONNX_ERRORS as error:
            raise ModelError(refusal) from error

    def run(self, array: Array, output: str) -> Array:
        """Run it; raises ModelError when it fails."""
        name = self._session.get_inputs()[0].name
        try:
            return np.asarray(self._session.run([output], {name: array})[0])
        except ONNX_ERRORS as error:
            raise ModelError(
                "The model cannot run two and more tiles of the stated size at a time; export it "
                "again with a batch that may vary."
            ) from error

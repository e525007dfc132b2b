"""The one door to the `onnx` package: read a graph, refuse it, put pixels and softmax into it."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, compose, defs, helper, numpy_helper

from appliance.errors import ModelError
from inference.importing.wanted import (
    BGR,
    CHANNELS_FIRST,
    LOGITS,
    ONE_LOGIT,
    WHOLE,
    Wanted,
)

_COLOURS, _AXES = 3, 4
_IR_VERSION: Final = 10
"""Later ones add types that no image model needs, and ONNX Runtime lags behind them."""
_OLDEST_OPSET: Final = 11
_PREFIX: Final = "source/"
_BROKEN: Final = "The model file is not a readable ONNX file."
_TYPES: Final[dict[int, np.dtype[Any]]] = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.UINT8: np.dtype(np.uint8),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The one input of a model as it came, and the output that is wanted."""

    dtype: np.dtype[Any]
    """float32, float16 or uint8."""
    rows: int | None
    """None when the file leaves it open."""
    columns: int | None
    input: str
    output: str


def read(content: bytes) -> onnx.ModelProto:
    """Read an ONNX file that `check_onnx` let pass.

    Raises
    ------
    ModelError
        Its opset is older than 11, or it asks for an operator that its opset does not have.
    """
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ModelError(_BROKEN) from error
    model.ir_version = min(model.ir_version, _IR_VERSION)
    opset = opset_of(model)
    if opset < _OLDEST_OPSET:
        raise ModelError(
            f"The model uses ONNX opset {opset}; export it again with opset {_OLDEST_OPSET} or "
            "later."
        )
    functions = {function.name for function in model.functions}
    for node in model.graph.node:
        if not isinstance(node.op_type, str):  # not UTF-8
            raise ModelError(_BROKEN)
        known = node.domain or node.op_type in functions
        if not known and not defs.has(node.op_type, opset, ""):
            raise ModelError(f"The model needs the operator {node.op_type}, which ONNX has not.")
    return model


def opset_of(model: onnx.ModelProto) -> int:
    """Give the opset of the standard operators."""
    found = [item.version for item in model.opset_import if item.domain in {"", "ai.onnx"}]
    return max(found, default=1)


def smallest_of_opset(model: onnx.ModelProto) -> bytes:
    """Make a model of the same opsets that does nothing, to see whether those can be loaded."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("a", "b")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])], "g", value[:1], value[1:]
    )
    probe = helper.make_model(graph, opset_imports=model.opset_import)
    probe.ir_version = model.ir_version
    return bytes(probe.SerializeToString())


def entry_of(model: onnx.ModelProto, wanted: Wanted) -> Entry:
    """Find the input and the output, and refuse an input that is no picture.

    Raises
    ------
    ModelError
        More than one input, another type, other axes, not three colours where they are said to
        be, a fixed batch, or several outputs and none named.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in weights]
    if len(inputs) != 1:
        raise ModelError(f"The model has {len(inputs)} inputs; it must take one picture.")
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type not in _TYPES:
        raise ModelError("The model takes neither float32, float16 nor uint8 pixels.")
    axes = [dim.dim_value or None for dim in tensor.shape.dim]
    if len(axes) != _AXES:
        raise ModelError("The input of the model has not the four axes of a batch of pictures.")
    batch, *rest = axes
    first = wanted.layout == CHANNELS_FIRST
    colours = rest.pop(0 if first else -1)
    if colours != _COLOURS:
        raise ModelError(_wrong_colours(axes, wanted.layout))
    if batch is not None:
        raise ModelError(
            f"The model takes exactly {batch} tiles at a time; export it again with a batch that "
            "may vary."
        )
    return Entry(
        dtype=_TYPES[tensor.elem_type],
        rows=rest[0],
        columns=rest[1],
        input=inputs[0].name,
        output=_output(model, wanted.output),
    )


def _wrong_colours(axes: list[int | None], layout: str) -> str:
    other = axes[-1] if layout == CHANNELS_FIRST else axes[1]
    if other == _COLOURS:
        turned = "NHWC" if layout == CHANNELS_FIRST else "NCHW"
        return f"The input of the model is {turned}, not {layout} as was stated."
    return "The model does not take pictures of three colours."


def _output(model: onnx.ModelProto, asked: str | None) -> str:
    names = [str(item.name) for item in model.graph.output]
    if asked is None and len(names) == 1:
        return names[0]
    if asked is not None and asked in names:
        return asked
    raise ModelError(f"The model has the outputs {', '.join(names)}; name one with --output.")


def wrapped(
    model: onnx.ModelProto, entry: Entry, wanted: Wanted, *, given: npt.NDArray[np.generic]
) -> bytes:
    """Put the pixels' way in and the probabilities' way out into the graph.

    Parameters
    ----------
    model
        As it came.
    entry
        Its input and output.
    wanted
        What a person says of them.
    given
        What the model gave for some tiles; its type and axes count.

    Returns
    -------
    bytes
        ONNX with the input `image`, `(n, rows, columns, 3)` uint8 RGB, and the output
        `probability`, `(n, classes)` or `(n, rows, columns, classes)` float32.
    """
    inner = compose.add_prefix(model, _PREFIX)
    side = wanted.tile_px if wanted.task != "tissue" else None
    graph = inner.graph
    before = _way_in(entry, wanted)
    after = _way_out(entry, wanted, given)
    nodes = [*before.nodes, *graph.node, *after.nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*before.constants, *after.constants])
    kept = [item for item in graph.input if item.name != _PREFIX + entry.input]
    del graph.input[:], graph.output[:], graph.value_info[:]
    rows, columns = (side, side) if side else ("rows", "columns")
    shape = ["n", rows, columns, _COLOURS]
    graph.input.extend([helper.make_tensor_value_info("image", TensorProto.UINT8, shape), *kept])
    shape = ["n", wanted.n_classes]
    if given.ndim == _AXES:
        shape[1:1] = [rows, columns]
    graph.output.append(helper.make_tensor_value_info("probability", TensorProto.FLOAT, shape))
    return bytes(inner.SerializeToString())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]


class _Chain:
    """Nodes one after the other, each with one input of the one before."""

    def __init__(self, start: str, name: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._at, self._name = start, name

    def then(self, operator: str, *constants: npt.NDArray[np.generic], **attributes: Any) -> None:
        number = len(self.nodes)
        names = [f"{self._name}/{number}/{index}" for index, _ in enumerate(constants)]
        self.constants += map(numpy_helper.from_array, constants, names)
        result = f"{self._name}/{number}"
        self.nodes.append(helper.make_node(operator, [self._at, *names], [result], **attributes))
        self._at = result

    def end(self, name: str) -> _Way:
        self.nodes.append(helper.make_node("Identity", [self._at], [name]))
        return _Way(nodes=self.nodes, constants=self.constants)


def _way_in(entry: Entry, wanted: Wanted) -> _Way:
    """Colours in order, numbers as the model wants them, axes as it wants them."""
    chain = _Chain("image", "pixels")
    if entry.dtype != np.uint8:
        std = np.asarray(wanted.std, np.float64)
        scale, shift = 1 / (WHOLE * std), -np.asarray(wanted.mean, np.float64) / std
        chain.then("Cast", to=TensorProto.FLOAT)
        chain.then("Mul", scale.astype(np.float32))
        chain.then("Add", shift.astype(np.float32))
    if wanted.channels == BGR:
        chain.then("Gather", np.array([2, 1, 0], np.int64), axis=3)
    if wanted.layout == CHANNELS_FIRST:
        chain.then("Transpose", perm=[0, 3, 1, 2])
    if entry.dtype == np.float16:
        chain.then("Cast", to=TensorProto.FLOAT16)
    return chain.end(_PREFIX + entry.input)


def _way_out(entry: Entry, wanted: Wanted, given: npt.NDArray[np.generic]) -> _Way:
    """Classes last, numbers as probabilities."""
    chain = _Chain(_PREFIX + entry.output, "classes")
    if given.dtype != np.float32:
        chain.then("Cast", to=TensorProto.FLOAT)
    if given.ndim == _AXES and wanted.layout == CHANNELS_FIRST:
        chain.then("Transpose", perm=[0, 2, 3, 1])
    last = given.ndim - 1
    if wanted.gives == ONE_LOGIT:
        # Softmax over (0, x) is (1 - sigmoid(x), sigmoid(x)).
        chain.then("MatMul", np.array([[0.0, 1.0]], np.float32))
    if wanted.gives in {LOGITS, ONE_LOGIT}:
        chain.then("Softmax", axis=last)
    return chain.end("probability")

"""Small ONNX models as others write them: floats in, logits out, axes and types of all kinds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = np.array([[4.0, -2.0], [0.5, 1.0], [-3.0, 2.0]], np.float32)
"""Of red, green and blue, for two classes."""
BIAS = np.array([0.25, -0.5], np.float32)
Axes = Sequence[int | str]


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, npt.NDArray[Any]],
    inputs: Sequence[tuple[str, int, Axes]],
    outputs: Sequence[tuple[str, int, Axes]],
    *,
    opset: int = 17,
    domain: str = "",
) -> bytes:
    """Write a model."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(*item) for item in inputs],
        [helper.make_tensor_value_info(*item) for item in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())


def classifier(
    *,
    axes: Axes = ("n", 3, 32, 32),
    dtype: type[np.generic] = np.float32,
    end: str = "",
    weights: npt.NDArray[np.float32] = WEIGHTS,
    bias: npt.NDArray[np.float32] = BIAS,
    opset: int = 17,
) -> bytes:
    """Write a tile classifier: a linear function of the mean colour.

    Parameters
    ----------
    axes
        Of its input; three channels in the second place or in the last.
    end
        Operator after the logits, such as `Softmax`.
    """
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inner = np.float16 if dtype == np.float16 else np.float32
    spatial = [2, 3] if axes[1] == 3 else [1, 2]
    nodes = [
        helper.make_node(
            "Cast", ["input"], ["numbers"], to=helper.np_dtype_to_tensor_dtype(np.dtype(inner))
        ),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=spatial, keepdims=0),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"]),
        helper.make_node(end or "Identity", ["logits"], ["output"]),
    ]
    constants = {"weights": weights.astype(inner), "bias": bias.astype(inner)}
    out_kind = TensorProto.FLOAT16 if inner == np.float16 else TensorProto.FLOAT
    return model(
        nodes,
        constants,
        [("input", kind, axes)],
        [("output", out_kind, ["n", len(bias)])],
        opset=opset,
    )


def segmenter(*, axes: Axes = ("n", 3, "h", "w")) -> bytes:
    """Write a model that gives the logits of two classes for every pixel, channels first."""
    kernel = WEIGHTS.T.reshape(2, 3, 1, 1).copy()
    return model(
        [helper.make_node("Conv", ["input", "kernel", "bias"], ["output"])],
        {"kernel": kernel, "bias": BIAS},
        [("input", TensorProto.FLOAT, axes)],
        [("output", TensorProto.FLOAT, ["n", 2, *axes[2:]])],
    )


def with_node(operator: str, *, domain: str = "", opset: int = 17) -> bytes:
    """Write a classifier that needs one operator more."""
    return model(
        [
            helper.make_node("ReduceMean", ["input"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"]),
            helper.make_node(operator, ["logits"], ["output"], domain=domain),
        ],
        {"weights": WEIGHTS, "bias": BIAS},
        [("input", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [("output", TensorProto.FLOAT, ["n", 2])],
        domain=domain,
        opset=opset,
    )


def two_outputs() -> bytes:
    """Write a classifier that gives its features, too."""
    return model(
        [
            helper.make_node("ReduceMean", ["input"], ["features"], axes=[2, 3], keepdims=0),
            helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"]),
        ],
        {"weights": WEIGHTS, "bias": BIAS},
        [("input", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [("features", TensorProto.FLOAT, ["n", 3]), ("logits", TensorProto.FLOAT, ["n", 2])],
    )


def two_inputs() -> bytes:
    """Write a model that takes two pictures."""
    return model(
        [helper.make_node("Add", ["input", "other"], ["output"])],
        {},
        [
            ("input", TensorProto.FLOAT, ["n", 3, 32, 32]),
            ("other", TensorProto.FLOAT, ["n", 3, 32, 32]),
        ],
        [("output", TensorProto.FLOAT, ["n", 3, 32, 32])],
    )


def external() -> bytes:
    """Write a model whose weights lie in another file."""
    whole = onnx.load_model_from_string(classifier())
    weights = whole.graph.initializer[0]
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="weights.bin")
    weights.ClearField("raw_data")
    return bytes(whole.SerializeToString())

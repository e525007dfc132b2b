"""Tiny ONNX models written byte by byte: they say what they are told, or never end.

Field numbers are those of onnx.proto3; the package `onnx` is not needed to run the appliance.
"""

import struct
from collections.abc import Sequence
from dataclasses import replace

from inference.model.manifest import Model

_FLOAT, _UINT8, _INT64, _BOOL = 1, 2, 7, 9
FOR_EVER = 2**62


def _field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = b""
    while True:
        value, low = value >> 7, value & 0x7F
        if not value:
            return out + bytes([low])
        out += bytes([low | 0x80])


def _tensor(name: str, kind: int, shape: Sequence[int], raw: bytes) -> bytes:
    dims = b"".join(_field(1, size) for size in shape)
    return dims + _field(2, kind) + _field(8, name) + _field(9, raw)


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(
        _field(1, _field(1, size) if isinstance(size, int) else _field(2, size)) for size in shape
    )
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, dims)))


def _node(kind: str, inputs: Sequence[str], outputs: Sequence[str], *attributes: bytes) -> bytes:
    return (
        b"".join(_field(1, name) for name in inputs)
        + b"".join(_field(2, name) for name in outputs)
        + _field(4, kind)
        + b"".join(_field(5, attribute) for attribute in attributes)
    )


def _number(name: str, value: int) -> bytes:
    return _field(1, name) + _field(3, value) + _field(20, 2)


def _numbers(name: str, *values: int) -> bytes:
    return _field(1, name) + b"".join(_field(8, value) for value in values) + _field(20, 7)


def _graph(
    nodes: Sequence[bytes], constants: Sequence[bytes], inputs: Sequence[bytes], output: bytes
) -> bytes:
    return (
        b"".join(_field(1, node) for node in nodes)
        + _field(2, "graph")
        + b"".join(_field(5, constant) for constant in constants)
        + b"".join(_field(11, item) for item in inputs)
        + output
    )


def says(values: Sequence[float], *, rounds: int = 0, tiles: bool = False) -> bytes:
    """Write a model that answers the same everywhere.

    Parameters
    ----------
    values
        What it says of every pixel, or of every tile: one number a class.
    rounds
        How often it does nothing before it answers.
    tiles
        One answer a tile, as a tile classifier gives.
    """
    n = len(values)
    axes = (1, 2, 3) if tiles else (3,)
    shape: tuple[int | str, ...] = ("n", n) if tiles else ("n", "rows", "columns", n)
    nodes = [
        _node("Cast", ["image"], ["floats"], _number("to", _FLOAT)),
        _node("ReduceMean", ["floats"], ["mean"], _numbers("axes", *axes), _number("keepdims", 1)),
        _node("Mul", ["mean", "zeros"], ["wide"]),
        _node("Add", ["wide", "values"], ["whole" if tiles else "answer"]),
    ]
    constants = [
        _tensor("zeros", _FLOAT, [n], bytes(4 * n)),
        _tensor("values", _FLOAT, [n], struct.pack(f"<{n}f", *values)),
    ]
    if tiles:
        nodes.append(_node("Squeeze", ["whole"], ["answer"], _numbers("axes", 1, 2)))
    if rounds:
        nodes.append(_node("Loop", ["rounds", "", "answer"], ["probability"], _nothing(shape)))
        constants.append(_tensor("rounds", _INT64, [], struct.pack("<q", rounds)))
    else:
        nodes.append(_node("Identity", ["answer"], ["probability"]))
    graph = _graph(
        nodes,
        constants,
        [_value("image", _UINT8, ["n", "rows", "columns", 3])],
        _field(12, _value("probability", _FLOAT, shape)),
    )
    return _field(1, 8) + _field(7, graph) + _field(8, _field(2, 11))


def _nothing(shape: Sequence[int | str]) -> bytes:
    """Write the body of a loop that hands on what it is given."""
    body = _graph(
        [_node("Identity", ["on"], ["still"]), _node("Identity", ["x"], ["y"])],
        [],
        [_value("i", _INT64, []), _value("on", _BOOL, []), _value("x", _FLOAT, shape)],
        _field(12, _value("still", _BOOL, [])) + _field(12, _value("y", _FLOAT, shape)),
    )
    return _field(1, "body") + _field(6, body) + _field(20, 5)


def instead(model: Model, onnx: bytes) -> Model:
    """Give a model with other contents under another digest."""
    return replace(model, onnx=onnx, digest=f"{hash(onnx) & 0xFFFF_FFFF:064x}")

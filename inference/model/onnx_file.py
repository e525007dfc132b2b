"""What an ONNX file must not contain, read straight from its protobuf wire format.

A model is data from outside: it may point to other files (external data) or ask for code of its
own (custom operators). Both are refused before ONNX Runtime sees the file.
"""

from collections.abc import Iterator

from appliance.errors import ModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_EXTERNAL = 1
_BROKEN = "The model file is not a readable ONNX file."
_SPARSE = "The model uses sparse tensors, which are not taken here."

# Field numbers of onnx.proto3.
_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_FUNCTION_NODE, _FUNCTION_DOMAIN, _FUNCTION_DEFAULT = 7, 10, 11
_NODE_ATTRIBUTE, _NODE_DOMAIN = 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_ATTRIBUTE_SPARSE, _ATTRIBUTE_SPARSES = 22, 23
_TENSOR_EXTERNAL_DATA, _TENSOR_LOCATION = 13, 14
_LAST_FIELD = 2**29 - 1
_MAX_DEPTH = 8

Field = tuple[int, int | memoryview]


def check_onnx(content: bytes) -> None:
    """Refuse a model that needs more than this one file and the standard operators.

    Raises
    ------
    ModelError
        External data, custom operators, or no ONNX at all.
    """
    try:
        model = list(_fields(memoryview(content)))
        functions = _messages(model, _MODEL_FUNCTION)
        own = {_text(function, _FUNCTION_DOMAIN) for function in functions}
        graphs = _messages(model, _MODEL_GRAPH)
        if not graphs:
            raise ModelError(_BROKEN)
        for graph in graphs:
            _check_graph(graph, allowed=_STANDARD_DOMAINS | own, depth=0)
        for function in functions:
            fields = list(_fields(function))
            for node in _messages(fields, _FUNCTION_NODE):
                _check_node(node, allowed=_STANDARD_DOMAINS | own, depth=0)
            for attribute in _messages(fields, _FUNCTION_DEFAULT):
                _check_attribute(attribute, allowed=_STANDARD_DOMAINS | own, depth=0)
    except (IndexError, ValueError) as error:
        raise ModelError(_BROKEN) from error


def _check_graph(graph: memoryview, *, allowed: frozenset[str], depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ModelError(_BROKEN)
    fields = list(_fields(graph))
    if _messages(fields, _GRAPH_SPARSE):
        raise ModelError(_SPARSE)
    for tensor in _messages(fields, _GRAPH_INITIALIZER):
        _check_tensor(tensor)
    for node in _messages(fields, _GRAPH_NODE):
        _check_node(node, allowed=allowed, depth=depth)


def _check_node(node: memoryview, *, allowed: frozenset[str], depth: int) -> None:
    fields = list(_fields(node))
    for domain in _messages(fields, _NODE_DOMAIN):
        if str(domain, "utf-8") not in allowed:
            raise ModelError("The model needs custom operators, which are not taken here.")
    for attribute in _messages(fields, _NODE_ATTRIBUTE):
        _check_attribute(attribute, allowed=allowed, depth=depth)


def _check_attribute(attribute: memoryview, *, allowed: frozenset[str], depth: int) -> None:
    fields = list(_fields(attribute))
    if _messages(fields, _ATTRIBUTE_SPARSE) + _messages(fields, _ATTRIBUTE_SPARSES):
        raise ModelError(_SPARSE)
    for tensor in _messages(fields, _ATTRIBUTE_TENSOR) + _messages(fields, _ATTRIBUTE_TENSORS):
        _check_tensor(tensor)
    for graph in _messages(fields, _ATTRIBUTE_GRAPH) + _messages(fields, _ATTRIBUTE_GRAPHS):
        _check_graph(graph, allowed=allowed, depth=depth + 1)


def _check_tensor(tensor: memoryview) -> None:
    for number, value in _fields(tensor):
        if number == _TENSOR_EXTERNAL_DATA or (number, value) == (_TENSOR_LOCATION, _EXTERNAL):
            raise ModelError("The model keeps its weights in another file; one file is needed.")


def _messages(fields: list[Field], number: int) -> list[memoryview]:
    return [value for n, value in fields if n == number and isinstance(value, memoryview)]


def _text(message: memoryview, number: int) -> str:
    found = _messages(list(_fields(message)), number)
    return str(found[0], "utf-8") if found else ""


def _fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a protobuf message; ValueError or IndexError when it is none."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if number > _LAST_FIELD:  # other readers drop the high bits and see a lower field
            raise ValueError("no such field")
        if wire == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire == _BYTES:
            size, position = _varint(message, position)
        elif wire in {_FIXED64, _FIXED32}:
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("unknown wire type")
        if position + size > len(message):
            raise ValueError("truncated")
        yield number, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004
            return value, position
        shift += 7
        if shift > 63:  # noqa: PLR2004
            raise ValueError("varint too long")

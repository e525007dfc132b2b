"""A manifest written as TOML, which the standard library only reads."""

import json
from typing import Any


def as_toml(says: dict[str, Any]) -> str:
    """Write a manifest: plain values first, then tables, then lists of tables."""
    plain = {key: value for key, value in says.items() if not _is_table(value)}
    tables = {key: value for key, value in says.items() if isinstance(value, dict)}
    lists = {key: value for key, value in says.items() if key not in plain | tables}
    parts = ["".join(f"{key} = {_value(value)}\n" for key, value in plain.items())]
    for key, value in tables.items():
        parts.append(f"[{key}]\n" + "".join(f"{k} = {_value(v)}\n" for k, v in value.items()))
    parts += [
        f"[[{key}]]\n" + "".join(f"{k} = {_value(v)}\n" for k, v in row.items())
        for key, rows in lists.items()
        for row in rows
    ]
    return "\n".join(parts)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and isinstance(value[0], dict)
    )


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    # JSON writes strings, numbers and booleans as TOML reads them; DEL alone must be escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

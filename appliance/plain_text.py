"""Text that is safe to show: a terminal obeys some characters, and others hide or reorder words.

Whoever shows what a scanner, another process or a database said passes it through here first.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

SHOWN_INSTEAD: Final = "·"
_OBEYED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls (escape sequences begin with one), formats (such as those that turn the order of reading
round, or have no width), halves of characters, and ends of lines and paragraphs."""


def plain(text: str) -> str:
    """Put a middle dot in place of every character that is not there to be read.

    Letters of all scripts, accents and emoji stay; emoji that are joined into one are parted.
    """
    if text.isprintable():
        return text
    return "".join(
        SHOWN_INSTEAD if unicodedata.category(each) in _OBEYED else each for each in text
    )


def all_plain(value: Any) -> Any:
    """Make every text plain in a value of JSON or a frozen one, names of keys too."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {all_plain(name): all_plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(all_plain(one) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{one.name: all_plain(getattr(value, one.name)) for one in fields(value)}
        )
    return value

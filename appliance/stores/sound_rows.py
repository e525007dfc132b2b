"""Which rows of the journal can be shown: every column holds what belongs into it.

The journal is not trusted: each daemon may write it, SQLite keeps a value of any type in any
column, and a daemon of a newer version may know more stages. One odd row must hide no other.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from types import NoneType
from typing import Any, Final, get_args, get_type_hints

from appliance.plain_text import plain

END_OF_TIME: Final = 1e11
"""Seconds since the epoch, some thousand years from now: calendars end somewhere."""
_SHARES: Final = frozenset({"progress"})


def is_moment(value: object) -> bool:
    """Whether it is a time that a calendar knows."""
    return isinstance(value, int | float) and 0.0 <= value < END_OF_TIME


class SoundRows:
    """Reads rows of one kind.

    Parameters
    ----------
    value
        Class of the values that are made of the rows; its fields say what a column must hold.
    without
        Fields that are no columns.
    also
        Columns that are no fields, before them, with their types.
    key
        Column that others know the row by, which is never mended.
    """

    def __init__(
        self,
        value: type,
        *,
        without: str = "",
        also: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> None:
        hints = dict(also or {}) | get_type_hints(value)
        hints.pop(without, None)
        types = {name: _types(hint) for name, hint in hints.items()}
        self._columns = tuple(_stored(of_one) for of_one in types.values())
        self._names = tuple(hints)
        self._key = key
        self._texts = tuple(name for name, of_one in types.items() if str in of_one)
        self._known = tuple(
            (name, frozenset(one.value for one in each))
            for name, of_one in types.items()
            for each in of_one
            if issubclass(each, StrEnum)
        )
        numbers = [name for name, of_one in types.items() if float in of_one]
        self._limits = tuple((name, 1.0 if name in _SHARES else END_OF_TIME) for name in numbers)
        self._fits = lru_cache(maxsize=256)(self._types_fit)

    def read(self, row: Sequence[Any]) -> dict[str, Any] | None:
        """Give a row's values by name, with plain texts; None when one of them does not fit."""
        if not self._fits(tuple(map(type, row))):
            return None
        values = dict(zip(self._names, row, strict=True))
        if not self._are_known(values):
            return None
        for name in self._texts:
            text = values[name]
            if text and not text.isprintable():
                if name == self._key:
                    return None
                values[name] = plain(text)
        return values

    def _are_known(self, values: Mapping[str, Any]) -> bool:
        """Whether times, shares and words are such as there are."""
        for name, limit in self._limits:
            number = values[name]
            if number is not None and not 0.0 <= number <= limit:
                return False
        return all(values[name] is None or values[name] in known for name, known in self._known)

    def _types_fit(self, found: tuple[type, ...]) -> bool:
        # Most rows of a table hold the same types, so that this is asked a few times only.
        return len(found) == len(self._columns) and all(
            one in allowed for one, allowed in zip(found, self._columns, strict=True)
        )


def _types(hint: Any) -> tuple[type, ...]:
    return get_args(hint) or (hint,)


def _stored(types: tuple[type, ...]) -> frozenset[type]:
    """Give the types that a database gives for a field of these types."""
    found: set[type] = set()
    for one in types:
        if one is float:
            found |= {int, float}
        else:
            found.add(str if issubclass(one, StrEnum) else one)
    return frozenset(found | ({NoneType} & set(types)))

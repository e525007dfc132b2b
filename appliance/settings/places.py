"""At which line of a TOML file each key stands; `tomllib` reads values and forgets their places.

The text has been read by `tomllib` before, so this reader trusts its shape and only counts lines.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

Place = tuple[str | int, ...]
"""Keys and positions from the root of the file down to a value."""

_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_SPACE: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_STRINGS: Final = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_BARE: Final = re.compile(r"[^,\]}#\n]+")


def lines_of(text: str) -> Mapping[Place, int]:
    """Give the line, counted from 1, at which every key, table and list item of a file begins."""
    lines: dict[Place, int] = {}
    for place, line in _Reader(text).read():
        for end in range(1, len(place)):
            lines.setdefault(place[:end], line)
        lines[place] = line
    return lines


def line_of(place: Place, lines: Mapping[Place, int]) -> int | None:
    """Give the line of a place, else of the innermost thing around it that the file has."""
    for end in range(len(place), 0, -1):
        if place[:end] in lines:
            return lines[place[:end]]
    return None


class _Reader:
    """Walks through the text once; `_at` is how far."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counts: dict[Place, int] = {}
        """How many tables a list of tables has so far."""

    def read(self) -> Iterator[tuple[Place, int]]:
        table: Place = ()
        while self._more():
            line = self._line()
            if self._takes("["):
                many = self._takes("[")
                table = self._table(self._keys(), many=many)
                self._takes("]" * (1 + many))
                yield table, line
            else:
                yield from self._pair(table)

    def _table(self, keys: Place, *, many: bool) -> Place:
        """Place of a header: a name on the way that is a list of tables means its last table."""
        place: Place = ()
        for number, key in enumerate(keys):
            place = (*place, key)
            is_last = number == len(keys) - 1
            if is_last and many:
                self._counts[place] = self._counts.get(place, 0) + 1
            if place in self._counts:
                place = (*place, self._counts[place] - 1)
        return place

    def _pair(self, table: Place) -> Iterator[tuple[Place, int]]:
        line = self._line()
        keys = self._keys()
        self._more()
        self._takes("=")
        for end in range(1, len(keys) + 1):
            yield (*table, *keys[:end]), line
        yield from self._value((*table, *keys))

    def _value(self, place: Place) -> Iterator[tuple[Place, int]]:
        self._more()
        if self._takes("["):
            yield from self._items(place)
        elif self._takes("{"):
            while self._more() and not self._takes("}"):
                yield from self._pair(place)
                self._more()
                self._takes(",")
        else:
            self._skip(*_STRINGS, _BARE)

    def _items(self, place: Place) -> Iterator[tuple[Place, int]]:
        number = 0
        while self._more() and not self._takes("]"):
            yield (*place, number), self._line()
            yield from self._value((*place, number))
            number += 1
            self._more()
            self._takes(",")

    def _keys(self) -> Place:
        keys: list[str] = []
        while self._more() and (found := _KEY.match(self._text, self._at)):
            self._at = found.end()
            keys.append(found[0].strip("\"'") if found[0][0] in "\"'" else found[0])
            self._more()
            if not self._takes("."):
                break
        return tuple(keys)

    def _more(self) -> bool:
        """Go to what is neither space nor comment; False at the end of the text."""
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at < len(self._text)

    def _takes(self, sign: str) -> bool:
        there = self._text.startswith(sign, self._at)
        self._at += len(sign) * there
        return there

    def _skip(self, *kinds: re.Pattern[str]) -> None:
        for kind in kinds:
            found = kind.match(self._text, self._at)
            if found:
                self._at = found.end()
                return

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

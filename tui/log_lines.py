"""What a line of a daemon's log says, and which lines are wanted. Pure values."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from appliance.plain_text import plain
from tui.words import Word

Level = Literal["debug", "info", "warning", "error"]

LEVELS: Mapping[Level, Word] = MappingProxyType(
    {
        "debug": Word(text="debug", glyph="D", tone="quiet"),
        "info": Word(text="info", glyph="I", tone="quiet"),
        "warning": Word(text="warning", glyph="W", tone="warn"),
        "error": Word(text="error", glyph="E", tone="bad"),
    }
)
"""How a level is shown: its letter stands beside its colour."""
LEAST: Mapping[Level, str] = MappingProxyType(
    {"debug": "all levels", "warning": "warnings and errors", "error": "errors only"}
)
"""The levels from which on lines may be shown, in the order of the key that changes them."""

NAMES: Mapping[str, Level] = MappingProxyType(
    {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "ERROR": "error", "CRITICAL": "error"}
)
LAYOUT = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d) (?P<time>\d\d:\d\d:\d\d)\S* (?P<daemon>\S+) "
    r"(?P<level>[A-Z]+) \[(?P<slide>[^\]]*)\] (?P<words>.*)"
)
NO_SLIDE = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a log, as `appliance.logs` writes it."""

    words: str
    day: str = ""
    time: str = ""
    daemon: str = ""
    level: Level = "info"
    slide_id: str | None = None
    sought_in: str = ""
    """All of it in small letters."""


def read_line(text: str) -> LogLine:
    """Read a line; one that has another form, such as of a crash, is words alone."""
    text = plain(text.expandtabs(4))
    found = LAYOUT.fullmatch(text)
    if found is None:
        return LogLine(words=text, sought_in=text.casefold())
    slide = found["slide"]
    return LogLine(
        words=found["words"],
        day=found["day"],
        time=found["time"],
        daemon=found["daemon"],
        level=NAMES.get(found["level"], "info"),
        slide_id=None if slide == NO_SLIDE else slide,
        sought_in=text.casefold(),
    )


def next_least(level: Level) -> Level:
    """Give the level that the key goes to."""
    order = list(LEAST)
    return order[(order.index(level) + 1) % len(order)]


def wanted(
    lines: Iterable[LogLine], sought: str, *, least: Level, name_of: Callable[[str], str]
) -> list[LogLine]:
    """Keep the lines of at least this level that contain every word that is sought.

    Parameters
    ----------
    lines
        In their order.
    sought
        Words; any case of letters. They are also looked for in the name of the line's slide.
    least
        Lowest level.
    name_of
        Gives the container identifier of a slide where it is known.
    """
    order = list(LEVELS)
    levels = frozenset(order[order.index(least) :])
    parts = sought.casefold().split()
    return [line for line in lines if line.level in levels and _has(line, parts, name_of)]


def _has(line: LogLine, parts: list[str], name_of: Callable[[str], str]) -> bool:
    missing = [part for part in parts if part not in line.sought_in]
    if not missing or line.slide_id is None:
        return not missing
    name = name_of(line.slide_id).casefold()
    return all(part in name for part in missing)

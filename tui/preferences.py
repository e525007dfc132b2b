"""A technician's own file for the screen: keys, theme, bell. What is wrong in it is a sentence.

It is never needed and never fatal: what is wrong is left out, and the rest is taken.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from textual.keys import Keys, _character_to_key

from appliance.plain_text import plain
from tui.keys import default_keys, shown_key
from tui.themes import SHORT_NAMES

Desktop = Literal["auto", "off", "osc9", "osc777", "osc99"]

FILE: Final = "screen.toml"
RESERVED: Final = frozenset(
    {"enter", "escape", "tab", "shift+tab", "up", "down", "left", "right", "home", "end"}
    | {"pageup", "pagedown", "ctrl+c", "ctrl+p"}
)
"""Keys that move through the screen."""
EATEN: Final = frozenset(f"ctrl+{letter}" for letter in "hjmsqz")
"""Keys that terminals keep for themselves or send for other keys."""
_NAMED_KEYS: Final = frozenset(key.value for key in Keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """How one person likes the screen."""

    keys: Mapping[str, str] = field(default_factory=dict)
    """Key by the name of an action or move, where it is not the one of the table."""
    theme: str = ""
    """Short name of a theme; empty when none was chosen."""
    bell: bool = True
    desktop: Desktop = "auto"
    """How the terminal is asked for a desktop notification."""
    mistakes: tuple[str, ...] = ()
    """What is wrong in the file, a sentence each."""


def place(environ: Mapping[str, str] = os.environ) -> Path:
    """Give the file's path (XDG Base Directory)."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "coverslip" / FILE


def read(path: Path) -> Preferences:
    """Read the file; one that is not there says nothing."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Preferences()
    except OSError:
        return Preferences(mistakes=(f"{path} cannot be read.",))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        where = f": {error}" if isinstance(error, tomllib.TOMLDecodeError) else ""
        return Preferences(mistakes=(plain(f"{path} is no valid TOML{where}."),))
    return _checked(table)


def _checked(table: Mapping[str, Any]) -> Preferences:
    mistakes = [
        f"{FILE}: there is no setting {name}{_nearest(name, ('theme', 'bell', 'desktop', 'keys'))}."
        for name in table
        if name not in ("theme", "bell", "desktop", "keys")
    ]
    theme = table.get("theme", "")
    if theme not in ("", *SHORT_NAMES):
        mistakes.append(f"{FILE}: theme is one of {', '.join(SHORT_NAMES)}.")
        theme = ""
    bell = table.get("bell", True)
    if not isinstance(bell, bool):
        mistakes.append(f"{FILE}: bell is true or false.")
        bell = True
    desktop = table.get("desktop", "auto")
    if desktop not in get_args(Desktop):
        mistakes.append(f"{FILE}: desktop is one of {', '.join(get_args(Desktop))}.")
        desktop = "auto"
    keys, wrong_keys = checked_keys(table.get("keys", {}))
    told = tuple(map(plain, (*mistakes, *wrong_keys)))  # a name in quotes may be anything
    return Preferences(keys=keys, theme=theme, bell=bell, desktop=desktop, mistakes=told)


def checked_keys(table: object) -> tuple[dict[str, str], list[str]]:
    """Give the keys that can be bound, and what is wrong with the others.

    Where two would have the same key, all that the file says of this key is left out.
    """
    if not isinstance(table, Mapping):
        return {}, [f'{FILE}: [keys] holds lines such as hold = "h".']
    known = default_keys()
    mistakes: list[str] = []
    taken: dict[str, str] = {}
    for name, key in table.items():
        reason = _wrong_key(name, key, known)
        if reason:
            mistakes.append(f"{FILE}: {reason}")
        else:
            taken[name] = _plain(key)
    while clashing := _clashing(known | taken, taken):
        key = shown_key(taken[clashing[0]])
        mistakes.append(f"{FILE}: the key {key} is given to {' and '.join(clashing)}.")
        for name in clashing:
            taken.pop(name, None)
    return taken, mistakes


def _wrong_key(name: str, key: object, known: Mapping[str, str]) -> str:
    if name not in known:
        return f"there is no action {name}{_nearest(name, known)}."
    if not isinstance(key, str) or not _is_key(key):
        return f"{name}: that is no key; write a character, or a name such as f5 or ctrl+r."
    if _plain(key) in RESERVED:
        return f"{name}: {key} moves through the screen; choose another key."
    if _plain(key) in EATEN:
        return f"{name}: terminals keep {key} for themselves; choose another key."
    return ""


def _is_key(key: str) -> bool:
    return (len(key) == 1 and key.isprintable() and key != " ") or _plain(key) in _NAMED_KEYS


def _plain(key: str) -> str:
    """Write a key as Textual names it: "?" is question_mark."""
    return _character_to_key(key) if len(key) == 1 else key.lower()


def _clashing(bound: Mapping[str, str], taken: Mapping[str, str]) -> list[str]:
    """Name those that share a key with one of the file; nobody when no two do."""
    for name, key in taken.items():
        same = [other for other, its in bound.items() if its == key]
        if len(same) > 1:
            return sorted(same, key=lambda other: other != name)
    return []


def _nearest(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]}" if found else ""


def keep_theme(path: Path, name: str) -> str:
    """Write the theme into the file and leave the rest of it as it is; say why not, if so.

    A file that is not understood, before or after, is left alone; a link stays a link.
    """
    try:
        place = path.resolve()
        text = place.read_text(encoding="utf-8") if place.exists() else ""
        changed = _with_theme(text, name)
        if tomllib.loads(changed) != tomllib.loads(text) | {"theme": name}:
            return f"The theme could not be kept in {path}."
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        part.write_text(changed, encoding="utf-8")
        part.replace(place)
    except (OSError, RuntimeError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return f"The theme could not be kept in {path}."
    return ""


def _with_theme(text: str, name: str) -> str:
    wanted = f'theme = "{name}"'
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.lstrip().startswith("["):
            break
        if line.partition("=")[0].strip().strip("\"'") == "theme":
            return "\n".join([*lines[:number], wanted, *lines[number + 1 :]]) + "\n"
    return "\n".join([wanted, *lines]) + "\n"

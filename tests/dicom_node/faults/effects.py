"""What a node does to the world, seen from inside its process: every write, fsync, rename, commit.

The launcher of the tests wraps these calls before the node starts, so that a process can be killed
just before or just after any one of them. The product knows nothing of it.
"""

import errno
import os
import signal
import socket
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

BEFORE: Final = "before"
AFTER: Final = "after"

Watch = Callable[[str, str], None]
"""Told the name of an effect, and whether it comes or was."""

_BY_DESCRIPTOR: Final = ("fsync", "fdatasync", "write", "writev", "pwrite", "ftruncate")
_NAMING: Final = ("rename", "replace", "link")
"""By which of them a file gets a name is all one."""
_BY_PATH: Final = ("open", "unlink", "remove", "mkdir", *_NAMING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Where a process is to die: before or after the n-th effect of a name, once armed."""

    effect: str
    n: int
    when: str
    error: int | None = None
    """The effect fails with this error of the system instead."""


class Recorder:
    """Writes the effects of an armed process to a file, in their order, and dies where it must."""

    def __init__(self, *, armed: Path, record: Path, death: Death | None) -> None:
        self._armed = armed
        self._file = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._death = death
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._write = os.write

    def __call__(self, effect: str, when: str) -> None:
        if not self._armed.exists():
            return
        with self._lock:
            if when == BEFORE:
                self._seen[effect] += 1
            self._write(self._file, f"{when} {effect}\n".encode())
            if self._death is not None and self._is_due(self._death, effect, when):
                _happen(self._death)

    def _is_due(self, death: Death, effect: str, when: str) -> bool:
        return (effect, when) == (death.effect, death.when) and self._seen[effect] == death.n


def _happen(death: Death) -> None:
    if death.error is None:
        os.kill(os.getpid(), signal.SIGKILL)
    elif death.effect.startswith("commit"):
        full = death.error == errno.ENOSPC
        raise sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")
    else:
        raise OSError(death.error, os.strerror(death.error or 0))


def install(root: Path, watch: Watch) -> None:
    """Wrap what makes or ends things in this process; effects outside of `root` are not told."""
    for name in _BY_DESCRIPTOR:
        setattr(
            os,
            name,
            _wrapped(getattr(os, name), _descriptor_named(name.removesuffix("v"), root), watch),
        )
    for name in _BY_PATH:
        setattr(os, name, _wrapped(getattr(os, name), _path_named(name, root), watch))
    for name in ("send", "sendall", "sendmsg"):
        setattr(socket.socket, name, _wrapped(getattr(socket.socket, name), _named_send, watch))
    _watch_commits(root, watch)


def _wrapped(function: Any, named: Callable[..., str | None], watch: Watch) -> Any:
    def call(*arguments: Any, **words: Any) -> Any:
        effect = named(*arguments, **words)
        if effect is None:
            return function(*arguments, **words)
        watch(effect, BEFORE)
        result = function(*arguments, **words)
        watch(effect, AFTER)
        return result

    return call


def _descriptor_named(name: str, root: Path) -> Callable[..., str | None]:
    def named(descriptor: int, *_: Any, **__: Any) -> str | None:
        try:
            place = _place(str(Path(f"/proc/self/fd/{descriptor}").readlink()), root)
        except OSError:
            return None
        return None if place is None else f"{name} {place}"

    return named


def _path_named(name: str, root: Path) -> Callable[..., str | None]:
    def named(path: Any, *others: Any, **_: Any) -> str | None:
        if name == "open" and not (others and others[0] & os.O_CREAT):
            return None
        places = [_place(os.fspath(path), root) if isinstance(path, str | os.PathLike) else None]
        if name in _NAMING:
            places.append(_place(os.fspath(others[0]), root))
        told = [one for one in places if one is not None]
        return f"{'name' if name in _NAMING else name} {' '.join(told)}" if told else None

    return named


def _named_send(connection: socket.socket, *_: Any, **__: Any) -> str | None:
    return "send" if connection.family in (socket.AF_INET, socket.AF_INET6) else None


def _place(path: str, root: Path) -> str | None:
    """Name a place below the root without what is random in it."""
    path = path.removesuffix(" (deleted)")
    if not path.startswith(f"{root}/"):
        return None
    parts = Path(path).relative_to(root).parts
    if parts[0] in ("run", "log"):
        return None
    if parts[0] == "spool":
        is_entry = len(parts) > 2
        return f"{parts[0]}/{parts[1]}" + ("/*" if is_entry else "") if len(parts) > 1 else "spool"
    return parts[0] + ("/*" if len(parts) > 1 else "")


def _watch_commits(root: Path, watch: Watch) -> None:
    """Tell of commits; SQLite's own fsyncs happen between before and after."""
    connect = sqlite3.dbapi2.connect

    def watching(database: Any, *arguments: Any, **words: Any) -> Any:
        effect = f"commit {Path(str(database)).stem}"

        class Connection(sqlite3.Connection):
            def commit(self) -> None:
                if not self.in_transaction:
                    return
                watch(effect, BEFORE)
                super().commit()
                watch(effect, AFTER)

        return connect(database, *arguments, **{**words, "factory": Connection})

    sqlite3.dbapi2.connect = watching  # type: ignore[assignment]
    sqlite3.connect = watching  # type: ignore[assignment]

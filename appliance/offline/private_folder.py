"""The folder of a temporary line: originals and keys lie in it, so it goes whatever happens."""

import fcntl
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from appliance.errors import ConfigError
from appliance.storage import PRIVATE_FOLDER_MODE

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PREFIX: Final = "coverslip-line-"
_LOCK: Final = "lock"
_LONGEST_PATH: Final = 80
"""A socket's path has at most 107 bytes (unix(7)), and ours lie below."""


@contextmanager
def private_folder(parent: Path | None = None) -> Iterator[Path]:
    """Give a folder that only we may read, and remove it at the end.

    First those are removed that a run left behind which was killed: their lock is free.

    Raises
    ------
    ConfigError
        The path is too long for sockets.
    """
    parent = parent or Path(tempfile.gettempdir())
    sweep(parent)
    name = f"{_PREFIX}{secrets.token_hex(4)}"
    folder = parent / name
    if len(str(folder)) > _LONGEST_PATH:
        raise ConfigError("TMPDIR is too long a path for the sockets in it; name a shorter one.")
    part = parent / f".{name}"
    part.mkdir(mode=PRIVATE_FOLDER_MODE)
    lock = os.open(part / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        part.rename(folder)  # only now may others look whether its lock is free
        yield folder
    finally:
        with undisturbed():
            for left in (part, folder):
                shutil.rmtree(left, ignore_errors=True)
            os.close(lock)


def sweep(parent: Path) -> None:
    """Remove the folders whose run is not there any more."""
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue  # another user's, or gone
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # its run goes on
        finally:
            os.close(lock)


def interruptible() -> None:
    """Let every signal that asks us to end do so in order; what comes after it is not heard."""
    for number in ENDING:
        signal.signal(number, _interrupt)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hear no signal that asks us to end while the block runs."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt

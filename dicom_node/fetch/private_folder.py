"""A folder in the spool for one command, that goes with it however it ends."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from appliance.storage import PRIVATE_FOLDER_MODE, Root

FOLDER: Final = "import"
"""In `spool/`: the folders of the imports that run."""


@contextmanager
def private_folder(root: Root) -> Iterator[Path]:
    """Make a folder for one import, and remove it at the end.

    It is locked for as long as we live; what killed imports left is removed.
    """
    zone = root.zone("spool") / FOLDER
    zone.mkdir(exist_ok=True, mode=PRIVATE_FOLDER_MODE)
    folder = zone / secrets.token_hex(8)
    with _locked(zone, wait=True):  # nobody sweeps between making and locking
        for left in sorted(zone.iterdir()):
            _sweep(left)
        folder.mkdir(mode=PRIVATE_FOLDER_MODE)
        lock = _lock(folder, wait=False)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(left: Path) -> None:
    try:
        with _locked(left, wait=False):
            shutil.rmtree(left, ignore_errors=True)
    except (BlockingIOError, FileNotFoundError):  # another import works there, or just ended
        return


@contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[None]:
    descriptor = _lock(folder, wait=wait)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, *, wait: bool) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor

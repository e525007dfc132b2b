"""Folders of the line: zones, durable writes, publishing by rename, sweeping what is not named."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import IdentityDoubt, StorageFull

PRIVATE_FOLDER_MODE = 0o700
NO_SPACE_ERRNOS = frozenset({28, 122})
"""ENOSPC and EDQUOT."""


@dataclass(frozen=True, slots=True)
class Root:
    """The folder that holds all zones, one tree a zone so that a sandbox is a static list."""

    path: Path

    def zone(self, name: str) -> Path:
        """Give the folder of a zone, made if it is missing."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER_MODE)
        return folder

    def outbox(self, route: str) -> Path:
        """Give the outbox of a route."""
        return self.zone(f"outbox/{route}")

    def answers(self, route: str) -> Path:
        """Give the folder of what came back on a route."""
        return self.zone(f"answers/{route}")

    def socket(self, daemon: str) -> Path:
        """Path of a daemon's control socket."""
        return self.zone("run") / f"{daemon}.sock"


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make the content of a file durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a whole file so that after a crash it is there whole or not at all."""
    with storage_errors():
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        fsync_folder(path.parent)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Translate a full disk into StorageFull; every other OSError stays a bug."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE_ERRNOS:
            raise StorageFull("The disk of the appliance is full.") from error
        raise


def plain_folder(name: str, slide_id: str) -> str:
    """See that a folder which the journal names is this slide's, and in the zone of its stage.

    Every daemon can write the journal, so a row of it must not lead anywhere else.

    Raises
    ------
    IdentityDoubt
        It is not.
    """
    if Path(name).name != name or not name.startswith(f"{slide_id}@"):
        raise IdentityDoubt("The journal names a folder that is not this slide's.")
    return name


def private_folder(zone: Path, folder: str) -> Path:
    """Path of the folder that a claim fills; nobody reads a `.part` folder."""
    return zone / f".{folder}.part"


def start_publication(zone: Path, folder: str) -> Path:
    """Make the private folder that a claim fills, empty."""
    part = private_folder(zone, folder)
    with storage_errors():
        if part.exists():
            shutil.rmtree(part)
        part.mkdir(mode=PRIVATE_FOLDER_MODE)
    return part


def publish(part: Path) -> Path:
    """Make a filled private folder durable and give it its name, `.<folder>.part` to `<folder>`.

    The folder's name carries a lease token, so no two claims ever publish under one name.
    Readers still see nothing: the journal has to name it first.
    """
    with storage_errors():
        for directory, _, names in os.walk(part, topdown=False):
            for name in names:
                fsync_file(Path(directory) / name)
            fsync_folder(Path(directory))
        target = part.with_name(part.name.removeprefix(".").removesuffix(".part"))
        part.rename(target)
        fsync_folder(target.parent)
    return target


def discard(folder: Path) -> None:
    """Remove a folder that no journal row names."""
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)


def sweep(
    entries: Iterable[Path], *, named: Iterable[str], live_tokens: Iterable[str]
) -> tuple[str, ...]:
    """Remove what neither a journal row names nor a live lease may still be writing.

    Parameters
    ----------
    entries
        What lies in a zone, listed before `named` and `live_tokens` were read: so a folder that
        was begun meanwhile is never among them.
    named
        Folder names that journal rows name.
    live_tokens
        Lease tokens that have not run out.

    Returns
    -------
    tuple of str
        Names of what was removed.
    """
    keep = frozenset(named)
    live = frozenset(live_tokens)
    removed = []
    for entry in sorted(entries):
        folder = entry.name.removeprefix(".").removesuffix(".part")
        token = folder.rpartition("@")[2]
        if "@" in folder and folder not in keep and token not in live:
            discard(entry)
            removed.append(entry.name)
    return tuple(removed)


def free_bytes(folder: Path) -> int:
    """Bytes that are free for us on the file system of a folder."""
    return shutil.disk_usage(folder).free

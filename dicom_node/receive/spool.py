"""The spool: where objects lie while they come in, and where they stay once they are durable.

`spool/incoming/<listener>/` holds what one process is receiving, `spool/instances/` what was
received whole. A file gets its second name there after its content was made durable, and loses the
first one when its receipt was committed. Several processes receive into one spool: each locks its
own folder for as long as it lives, and says with a file for each association that it is open. So
what is going on is read from the disk, whoever asks, and what a dead process left is known as such.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import ConfigError, TransientError
from appliance.facts import OpenAssociation
from appliance.storage import NO_SPACE_ERRNOS, fsync_folder
from dicom_node.headers import Instance, peek
from dicom_node.receive.transfer import Transfer

FreeBytes = Callable[[Path], int]

_OPEN: Final = ".open"
_PART: Final = ".part"
_REST_LIMIT_S: Final = 10.0
"""A listener whose node died ends at once; one that writes to a slow disk may need a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """An object that is being received, by whichever process."""

    path: Path
    association: str
    scanner: str
    """Calling AE title."""
    instance: Instance | None
    """What its header says; None until it is there whole."""


class Spool:
    """Folder of received objects, as one process sees it.

    Parameters
    ----------
    folder
        `spool/`; both folders below it lie on one file system.
    soft_free_bytes, hard_free_bytes
        Below the first no new storage association begins; below the second nothing is kept.
    free_bytes
        Tells how much is free on the file system of a folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        soft_free_bytes: float,
        hard_free_bytes: float,
        free_bytes: FreeBytes,
    ) -> None:
        self.incoming = folder / "incoming"
        self.instances = folder / "instances"
        for one in (self.incoming, self.instances):
            one.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._soft_free_bytes = soft_free_bytes
        self._hard_free_bytes = hard_free_bytes
        self._free_bytes = free_bytes
        self._owning = -1
        self._mine: _ListenerFolder | None = None
        self._transfers: set[Transfer] = set()
        self._peeked: dict[Path, Instance] = {}
        self._lock = threading.Lock()

    # Who works on it.

    def own(self, *, limit_s: float = _REST_LIMIT_S) -> None:
        """Become the node of this spool; the right ends with the process.

        What earlier processes left is removed. Listeners of a node that died end by themselves and
        are waited for.

        Raises
        ------
        ConfigError
            Another node works on it.
        TransientError
            A listener of an earlier node has not ended yet.
        """
        owning = _locked(self.incoming)
        if owning is None:
            raise ConfigError(f"Another process receives into {self.incoming.parent}.")
        self._owning = owning
        deadline = time.monotonic() + limit_s
        while self._sweep_dead():
            if time.monotonic() > deadline:
                self.disown()
                raise TransientError("A listener of an earlier node has not ended yet.")
            time.sleep(0.02)

    def join(self) -> None:
        """Begin to receive, in a folder of this process."""
        self._mine = _ListenerFolder(self.incoming)

    def leave(self) -> None:
        """Stop receiving; what was half received is removed."""
        for transfer in tuple(self._transfers):
            self.close(transfer)
        if self._mine is not None:
            self._mine.remove()
            self._mine = None

    def disown(self) -> None:
        """Let another node work on this spool."""
        if self._owning >= 0:
            os.close(self._owning)
            self._owning = -1

    @property
    def scratch(self) -> Path:
        """Folder of this process; what others leave there goes when the process does."""
        return self._folder()

    # Room.

    def takes_new(self) -> bool:
        """Whether there is room for new associations that propose storage."""
        return self._free_bytes(self.incoming) >= self._soft_free_bytes

    def has_room(self) -> bool:
        """Whether free space is above the hard limit."""
        return self._free_bytes(self.incoming) >= self._hard_free_bytes

    # What this process receives.

    def begin_association(self, association: str, *, scanner: str) -> None:
        """Say that an association is open.

        Parameters
        ----------
        association
            Opaque name, without a dot or slash.
        scanner
            Its calling AE title.
        """
        try:
            (self._folder() / f"{association}{_OPEN}").write_text(scanner)
        except OSError as error:
            if error.errno not in NO_SPACE_ERRNOS:  # Verification goes on when the disk is full
                raise

    def end_association(self, association: str) -> None:
        """Say that an association ended; what it had half received is removed."""
        for transfer in tuple(self._transfers):
            if transfer.association == association:
                self.close(transfer)
        if self._mine is not None:
            (self._mine.path / f"{association}{_OPEN}").unlink(missing_ok=True)

    def open(self, *, association: str, scanner: str) -> Transfer:
        """Begin a transfer in a private file with a random name (never one that a peer chose)."""
        transfer = Transfer(
            self._folder() / f"{association}.{secrets.token_hex(8)}{_PART}",
            association=association,
            scanner=scanner,
            hard_free=self.has_room,
        )
        with self._lock:
            self._transfers.add(transfer)
        return transfer

    def publish(self, transfer: Transfer) -> Path:
        """Give a durable transfer its name: the hash of its content, so nothing is overwritten.

        It keeps its first name until `close`, so that it counts as coming until it is receipted.
        """
        target = self.path(transfer.sha256)
        with self._naming():
            try:
                os.link(transfer.path, target)
            except FileExistsError:  # of a transfer that was never receipted, or was damaged since
                transfer.path.replace(target)
        fsync_folder(self.instances)
        return target

    def withdraw(self, transfer: Transfer) -> None:
        """Take back the name of a transfer that could not be receipted, so that it takes no room.

        The same content of another transfer stays: it may be receipted.
        """
        target = self.path(transfer.sha256)
        with self._naming(), contextlib.suppress(FileNotFoundError):
            if target.samefile(transfer.path):
                target.unlink()

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """One thread of one process at a time gives names, or takes them back."""
        descriptor = os.open(self.instances, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def close(self, transfer: Transfer) -> None:
        """End a transfer; what was not published is removed."""
        with self._lock:
            self._transfers.discard(transfer)
        transfer.discard()

    # What any process receives.

    def in_flight(self) -> tuple[Coming, ...]:
        """Objects that are being received, or are not receipted yet."""
        scanners = self.open_associations()
        found = []
        for path in self._entries(_PART):
            association = path.name.partition(".")[0]
            found.append(
                Coming(
                    path=path,
                    association=association,
                    scanner=scanners.get(association, ""),
                    instance=self._peek(path),
                )
            )
        self._peeked = {one.path: one.instance for one in found if one.instance is not None}
        return tuple(found)

    def open_associations(self) -> dict[str, str]:
        """Opaque names of the open associations, with the calling AE title of each."""
        found = {}
        for path in self._entries(_OPEN):
            with contextlib.suppress(FileNotFoundError):
                found[path.name.removesuffix(_OPEN)] = path.read_text()
        return found

    def associations(self) -> tuple[OpenAssociation, ...]:
        """Open associations with the size of what each is bringing; the scanner is its AE title."""
        coming: dict[str, int] = {}
        for path in self._entries(_PART):
            with contextlib.suppress(FileNotFoundError):
                name = path.name.partition(".")[0]
                coming[name] = coming.get(name, 0) + path.stat().st_size
        found = []
        for path in self._entries(_OPEN):
            with contextlib.suppress(FileNotFoundError):
                name = path.name.removesuffix(_OPEN)
                found.append(
                    OpenAssociation(
                        name=name,
                        scanner=path.read_text(),
                        since=path.stat().st_mtime,
                        n_bytes=coming.get(name, 0),
                    )
                )
        return tuple(found)

    def path(self, sha256: str) -> Path:
        """Where the object with this content lies."""
        return self.instances / f"{sha256}.dcm"

    # Cleaning, by the node.

    def sweep_incoming(self) -> int:
        """Remove what dead listeners left; give how many files that were."""
        before = len(self._entries(_PART))
        self._sweep_dead()
        return max(0, before - len(self._entries(_PART)))

    def sweep_instances(self, receipted: Collection[str]) -> int:
        """Remove objects without a receipt: they were never answered with success.

        Only safe while nothing is being received, that is between `own` and the first listener.
        """
        stale = [path for path in sorted(self.instances.iterdir()) if path.stem not in receipted]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def _sweep_dead(self) -> bool:
        """Remove the folders of listeners that died; give whether one is still alive."""
        alive = False
        for folder in self._listeners():
            lock = _locked(folder)
            if lock is None:
                alive = True
                continue
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
        return alive

    def _folder(self) -> Path:
        assert self._mine is not None, "join() first"  # noqa: S101
        return self._mine.path

    def _listeners(self) -> list[Path]:
        return [path for path in sorted(self.incoming.iterdir()) if path.is_dir()]

    def _entries(self, suffix: str) -> list[Path]:
        return [path for folder in self._listeners() for path in _files(folder, suffix)]

    def _peek(self, path: Path) -> Instance | None:
        return self._peeked.get(path) or peek(path)


class _ListenerFolder:
    """A folder that is locked for as long as its process lives."""

    def __init__(self, incoming: Path) -> None:
        while True:  # a sweeper may take it for a dead one's before it is locked
            self.path = incoming / secrets.token_hex(8)
            self.path.mkdir(mode=0o700)
            lock = _locked(self.path)
            if lock is not None:
                self._lock = lock
                if self.path.exists():
                    return
                os.close(lock)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _locked(folder: Path) -> int | None:
    """Lock a folder and give its descriptor; None when another process has it, or it is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _files(folder: Path, suffix: str) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):
        yield from (path for path in sorted(folder.iterdir()) if path.name.endswith(suffix))

"""The spool: where objects lie while they come in, and where they stay once they are durable.

`spool/incoming/` holds what is being received, `spool/instances/` what was received whole. A file
goes from one to the other by an atomic rename after its content was made durable; nobody but the
receiver looks into `incoming/`, and what a dropped transfer leaves there is swept.
"""

import errno
import fcntl
import hashlib
import io
import logging
import os
import secrets
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

from pydicom.filewriter import write_file_meta_info
from pynetdicom.dsutils import create_file_meta

from appliance.errors import ConfigError, StorageFull
from appliance.storage import NO_SPACE_ERRNOS, fsync_folder
from dicom_node.headers import Instance, peek

log = logging.getLogger(__name__)

SYNC_EVERY_BYTES: Final = 64 << 20
"""Data is forced to disk as it comes, so that the last fsync of 5 GB does not outlast a scanner."""

FreeBytes = Callable[[Path], int]


class Transfer:
    """One object on its way in: a private file, the hash of its data set, its length.

    A failure to write does not end the association: the rest of the object is read and thrown
    away, and `failure` says why, so that the sender gets a status (PS3.4 B.2.3).
    """

    def __init__(
        self, path: Path, *, association: str, scanner: str, hard_free: Callable[[], bool]
    ) -> None:
        self.path = path
        self.association = association
        self.scanner = scanner
        self.size_bytes = 0
        self.failure: StorageFull | None = None
        self._digest = hashlib.sha256()
        self._hard_free = hard_free
        self._unsynced_bytes = 0
        self._instance: Instance | None = None
        self._lock = threading.Lock()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    @property
    def sha256(self) -> str:
        """Hash of the data set as the peer encoded it, without our file meta information."""
        return self._digest.hexdigest()

    def begin(self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> None:
        """Write preamble and file meta information (PS3.10 7.1)."""
        buffer = io.BytesIO()
        buffer.write(b"\0" * 128 + b"DICM")
        write_file_meta_info(
            buffer,  # type: ignore[arg-type]
            create_file_meta(
                sop_class_uid=sop_class_uid,  # type: ignore[arg-type]
                sop_instance_uid=sop_instance_uid,  # type: ignore[arg-type]
                transfer_syntax=transfer_syntax_uid,  # type: ignore[arg-type]
            ),
        )
        self._write(buffer.getvalue())

    def write(self, fragment: bytes | memoryview) -> None:
        """Append a fragment of the data set."""
        self._digest.update(fragment)
        self._write(fragment)

    def make_durable(self) -> None:
        """Force the content to disk and close the file; a full disk is a `failure`."""
        with self._storage_failure():
            os.fsync(self._descriptor)
        self._close()

    def discard(self) -> None:
        """Close and remove the file; does nothing once it was published."""
        self._close()
        self.path.unlink(missing_ok=True)

    def instance(self) -> Instance | None:
        """Tell what is coming in, as soon as its header is there whole."""
        if self._instance is None and self.failure is None:
            self._instance = peek(self.path)
        return self._instance

    def _write(self, content: bytes | memoryview) -> None:
        if self.failure is not None:
            return
        with self._storage_failure():
            view = memoryview(content)
            while view:
                view = view[os.write(self._descriptor, view) :]
            self._unsynced_bytes += len(content)
            if self._unsynced_bytes >= SYNC_EVERY_BYTES:
                self._unsynced_bytes = 0
                os.fdatasync(self._descriptor)
                if not self._hard_free():
                    raise OSError(errno.ENOSPC, "below the hard limit")
        self.size_bytes += len(content)

    def _storage_failure(self) -> "_NoteFullDisk":
        return _NoteFullDisk(self)

    def refuse(self) -> None:
        """Give up what was written, to make room at once."""
        self.failure = StorageFull("The disk of the appliance is full.")
        os.ftruncate(self._descriptor, 0)

    def _close(self) -> None:
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class _NoteFullDisk:
    """Turn a full disk into the transfer's failure; any other OSError stays a bug."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, OSError) and error.errno in NO_SPACE_ERRNOS:
            self._transfer.refuse()
            return True
        return False


class Spool:
    """Folder of received objects.

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
        self._transfers: set[Transfer] = set()
        self._lock = threading.Lock()
        self._folder = -1

    def own(self) -> None:
        """Become the only process that works on this spool; the right ends with the process.

        Raises
        ------
        ConfigError
            Another process does.
        """
        self._folder = os.open(self.incoming, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.disown()
            raise ConfigError(f"Another process receives into {self.incoming.parent}.") from error

    def disown(self) -> None:
        """Let another process work on this spool."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def takes_new(self) -> bool:
        """Whether there is room for new associations that propose storage."""
        return self._free_bytes(self.incoming) >= self._soft_free_bytes

    def has_room(self) -> bool:
        """Whether free space is above the hard limit."""
        return self._free_bytes(self.incoming) >= self._hard_free_bytes

    def open(self, *, association: str, scanner: str) -> Transfer:
        """Begin a transfer in a private file with a random name (never one that a peer chose)."""
        transfer = Transfer(
            self.incoming / f"{secrets.token_hex(16)}.part",
            association=association,
            scanner=scanner,
            hard_free=self.has_room,
        )
        with self._lock:
            self._transfers.add(transfer)
        return transfer

    def close(self, transfer: Transfer) -> None:
        """End a transfer; what was not published is removed."""
        with self._lock:
            self._transfers.discard(transfer)
        transfer.discard()

    def in_flight(self) -> tuple[Transfer, ...]:
        """Transfers that have not ended."""
        with self._lock:
            return tuple(self._transfers)

    def path(self, sha256: str) -> Path:
        """Where the object with this content lies."""
        return self.instances / f"{sha256}.dcm"

    def publish(self, transfer: Transfer) -> Path:
        """Give a durable transfer its name: the hash of its content, so nothing is overwritten."""
        target = self.path(transfer.sha256)
        transfer.path.rename(target)
        fsync_folder(self.instances)
        return target

    def sweep_incoming(self, *, open_associations: Collection[str]) -> int:
        """Remove what dropped transfers left; give how many files that were."""
        for transfer in self.in_flight():
            if transfer.association not in open_associations:
                self.close(transfer)
        live = {transfer.path for transfer in self.in_flight()}
        stale = [path for path in self._files(self.incoming) if path not in live]
        return _remove(stale)

    def sweep_instances(self, receipted: Collection[str]) -> int:
        """Remove objects without a receipt: they were never answered with success.

        Only safe while nothing is being received, that is before the receiver starts.
        """
        stale = [path for path in self._files(self.instances) if path.stem not in receipted]
        return _remove(stale)

    def _files(self, folder: Path) -> Iterator[Path]:
        return (path for path in sorted(folder.iterdir()) if path.is_file())


def _remove(paths: list[Path]) -> int:
    for path in paths:
        path.unlink(missing_ok=True)
    return len(paths)

"""One object on its way into the spool."""

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import StorageFull
from appliance.storage import NO_SPACE_ERRNOS
from dicom_node.receive.file_meta import file_meta

_GATHERED: Final = 512
"""The kernel takes 1024 pieces at once."""
SYNC_EVERY_BYTES: Final = 64 << 20
"""Data is forced to disk as it comes, so that the last fsync of 5 GB does not outlast a scanner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a C-STORE command said about its object."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


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
        self._gathered: list[bytes | memoryview] = []
        self._unsynced_bytes = 0
        self._syncing: threading.Thread | None = None
        self._sync_error: OSError | None = None
        self._lock = threading.Lock()
        self._descriptor = -1
        with self._storage_failure():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o600)

    @property
    def sha256(self) -> str:
        """Hash of the data set as the peer encoded it, without our file meta information."""
        return self._digest.hexdigest()

    def begin(self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> None:
        """Begin with preamble and file meta information (PS3.10 7.1), written with what follows."""
        self._gathered.append(
            file_meta(
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                transfer_syntax_uid=transfer_syntax_uid,
            )
        )

    def write(self, fragment: bytes | memoryview) -> None:
        """Append a fragment of the data set."""
        self.gather(fragment)
        self.flush()

    def gather(self, fragment: bytes | memoryview) -> None:
        """Append a fragment that must not change before `flush`: several are written at once."""
        self._digest.update(fragment)
        self._gathered.append(fragment)
        if len(self._gathered) >= _GATHERED:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._write(*gathered)

    def make_durable(self) -> None:
        """Force the content to disk and close the file; a full disk is a `failure`."""
        self.flush()
        if self.failure is None:
            with self._storage_failure():
                self._await_sync()
                os.fsync(self._descriptor)
        self._close()

    def discard(self) -> None:
        """Close and remove the file; does nothing once it was published."""
        self._close()
        self.path.unlink(missing_ok=True)

    def _write(self, *fragments: bytes | memoryview) -> None:
        if self.failure is not None:
            return
        n_bytes = sum(map(len, fragments))
        with self._storage_failure():
            n_written = os.writev(self._descriptor, fragments)
            if n_written < n_bytes:  # a signal, or a disk that is nearly full
                rest = memoryview(b"".join(fragments))[n_written:]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            self._unsynced_bytes += n_bytes
            if self._unsynced_bytes >= SYNC_EVERY_BYTES:
                self._unsynced_bytes = 0
                self._sync_meanwhile()
                if not self._hard_free():
                    raise OSError(errno.ENOSPC, "below the hard limit")
        self.size_bytes += n_bytes

    def _sync_meanwhile(self) -> None:
        """Force what is there to disk while more comes; a slow disk holds the sender back."""
        self._await_sync()
        self._syncing = threading.Thread(target=self._sync, name="sync", daemon=True)
        self._syncing.start()

    def _sync(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._sync_error = error

    def _await_sync(self) -> None:
        """Wait until nothing is being forced to disk; raises what went wrong with it."""
        syncing, self._syncing = self._syncing, None
        if syncing is not None:
            syncing.join()
        if self._sync_error is not None:
            raise self._sync_error

    def _storage_failure(self) -> "_NoteFullDisk":
        return _NoteFullDisk(self)

    def refuse(self) -> None:
        """Give up what was written, to make room at once."""
        self.failure = StorageFull("The disk of the appliance is full.")
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)

    def _close(self) -> None:
        syncing = self._syncing
        if syncing is not None:  # the descriptor's number must not become another file's meanwhile
            syncing.join()
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

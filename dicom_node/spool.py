"""The spool: where objects lie while they come in, and where they stay once they are durable.

`spool/incoming/` holds what is being received, `spool/instances/` what was received whole. A file
goes from one to the other by an atomic rename after its content was made durable; nobody but the
receiver looks into `incoming/`, and what a dropped transfer leaves there is swept.
"""

import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from appliance.errors import ConfigError
from appliance.storage import fsync_folder
from dicom_node.transfer import Transfer

log = logging.getLogger(__name__)

FreeBytes = Callable[[Path], int]


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

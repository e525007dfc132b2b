"""Our receiver with a writer that neither forces to disk nor hashes, as DCMTK's does.

The product has no setting for this. It shows what the wire costs, apart from what the promise of a
success status costs; each part of that can be added. Usage: `plain_writer.py PORT FOLDER [hash]
[fsync]`.
"""

import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from dicom_node.contexts import scanner_contexts
from dicom_node.receive.admission import Rules
from dicom_node.receive.listening import listen
from dicom_node.receive.scp import StorageSCP
from dicom_node.receive.spool import Spool
from dicom_node.receive.transfer import Announced, Transfer
from dicom_node.status import SUCCESS


class _NoDigest:
    def update(self, fragment: object) -> None:
        pass

    def hexdigest(self) -> str:
        return ""


class PlainTransfer(Transfer):
    """Writes, and does only what is asked of it besides."""

    promises: frozenset[str] = frozenset()

    def __init__(
        self, path: Path, *, association: str, scanner: str, hard_free: Callable[[], bool]
    ) -> None:
        super().__init__(path, association=association, scanner=scanner, hard_free=hard_free)
        if "hash" not in self.promises:
            self._digest = _NoDigest()  # type: ignore[assignment]
        if "fsync" not in self.promises:
            self._unsynced_bytes = -(1 << 60)

    def make_durable(self) -> None:
        """Close the file."""
        if "fsync" in self.promises:
            super().make_durable()
        else:
            self._close()


class PlainSpool(Spool):
    """A spool of such transfers."""

    def open(self, *, association: str, scanner: str) -> Transfer:
        """Begin one."""
        return PlainTransfer(
            self.scratch / f"{association}.{secrets.token_hex(8)}.part",
            association=association,
            scanner=scanner,
            hard_free=self.has_room,
        )


def main(port: int, folder: Path, promises: frozenset[str]) -> None:
    """Receive until told to stop."""
    PlainTransfer.promises = promises
    spool = PlainSpool(folder, soft_free_bytes=0, hard_free_bytes=0, free_bytes=lambda _: 1)
    stored = folder / "stored"
    stored.mkdir()

    def store(announced: Announced, transfer: Transfer) -> int:
        transfer.make_durable()
        transfer.path.rename(stored / f"{announced.sop_instance_uid}.dcm")
        return SUCCESS

    scp = StorageSCP(
        ae_title="BENCH",
        listening=listen("127.0.0.1", port),
        rules=Rules(ae_title="BENCH", peers=None, maximum_associations=64),
        contexts=scanner_contexts(),
        spool=spool,
        store=store,
    )
    spool.own()
    scp.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    scp.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), frozenset(sys.argv[3:]))

"""A stand-in for a PACS: a storage SCP that takes everything and writes it durably.

It commits at once to what it has (storage commitment), on the association that asks. For the demo
and for tests; it checks nothing, and it never overwrites.
"""

import logging
import os
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from pydicom.uid import UID

from appliance.settings import ServerTls
from appliance.storage import free_bytes, fsync_folder
from dicom_node.contexts import archive_contexts, commitment_context
from dicom_node.peer_commitment import PeerCommitment
from dicom_node.receive.admission import Rules
from dicom_node.receive.listening import listen
from dicom_node.receive.scp import StorageSCP
from dicom_node.receive.server_tls import server_context
from dicom_node.receive.spool import Spool
from dicom_node.receive.transfer import Announced, Transfer
from dicom_node.status import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, SUCCESS

log = logging.getLogger(__name__)

_INCOMING: Final = ".incoming"
_MAXIMUM_ASSOCIATIONS: Final = 64


@dataclass(slots=True, kw_only=True)
class ArchivePeer:
    """Writes each object to `<SOP Instance UID>.dcm`.

    An object that comes again byte by byte leaves the file as it is; a different one under the
    same UID is kept beside it as `<SOP Instance UID>.conflict-<n>.dcm`, for a test to find.
    """

    folder: Path
    tls: ServerTls | None = None
    """None means clear text."""
    _scp: StorageSCP | None = field(default=None)
    _spool: Spool | None = field(default=None)

    def start(self, *, ae_title: str, host: str, port: int) -> int:
        """Listen, and give the bound port."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._spool = spool = Spool(
            self.folder / _INCOMING,
            soft_free_bytes=0,
            hard_free_bytes=0,
            free_bytes=free_bytes,
        )
        spool.own()
        listening = listen(host, port)
        self._scp = StorageSCP(
            ae_title=ae_title,
            listening=listening,
            rules=Rules(ae_title=ae_title, peers=None, maximum_associations=_MAXIMUM_ASSOCIATIONS),
            contexts=[*archive_contexts(), commitment_context()],
            spool=spool,
            store=self._store,
            services=PeerCommitment(has=self._has).services,
            tls=None if self.tls is None else server_context(self.tls, key="tls"),
        )
        self._scp.start()
        return int(listening.getsockname()[1])

    def stop(self) -> None:
        """Stop listening."""
        if self._scp is not None:
            self._scp.stop()
        if self._spool is not None:
            self._spool.disown()

    def _store(self, announced: Announced, transfer: Transfer) -> int:
        if not UID(announced.sop_instance_uid).is_valid:
            return CANNOT_UNDERSTAND
        transfer.make_durable()
        if transfer.failure is not None:
            return OUT_OF_RESOURCES
        for target in self._names(announced.sop_instance_uid):
            if target.exists() and target.read_bytes() == transfer.path.read_bytes():
                break
            try:
                os.link(transfer.path, target)
            except FileExistsError:
                continue
            break
        fsync_folder(self.folder)
        return SUCCESS

    def _has(self, sop_instance_uid: str) -> bool:
        return (self.folder / f"{sop_instance_uid}.dcm").exists()

    def _names(self, sop_instance_uid: str) -> "list[Path] | map[Path]":
        return map(
            self.folder.joinpath,
            (
                f"{sop_instance_uid}.dcm" if not n else f"{sop_instance_uid}.conflict-{n}.dcm"
                for n in count()
            ),
        )

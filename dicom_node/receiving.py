"""What a process needs to receive: the node itself, and every listener that helps it."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from appliance.settings import Settings
from appliance.storage import Root, free_bytes
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.stores.receipts import Receipts
from dicom_node.admission import AllowedPeer, Rules
from dicom_node.contexts import scanner_contexts
from dicom_node.notices import Notices
from dicom_node.receiver import Receiver
from dicom_node.scp import StorageSCP
from dicom_node.spool import FreeBytes, Spool

_GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """The receiving parts of one process."""

    listening: socket.socket
    spool: Spool
    receipts: Receipts
    scp: StorageSCP


def build_receiving(
    settings: Settings,
    journal: Journal,
    listening: socket.socket,
    *,
    free: FreeBytes = free_bytes,
    clock: Callable[[], float] = time.time,
) -> Receiving:
    """Put together what receives on a bound socket.

    Parameters
    ----------
    settings
        Checked settings.
    journal
        For what the technician should read.
    listening
        From `dicom_node.listening.listen`.
    free
        Tells how many bytes are free on the file system of a folder.
    clock
        Seconds since the epoch.
    """
    root = Root(settings.storage.root)
    notices = Notices(journal)
    receipts = Receipts(open_engine(receipts_url(root), store="receipts"), clock)
    spool = open_spool(settings, free=free)
    receiver = Receiver(spool=spool, receipts=receipts, refused=notices.refused, clock=clock)
    scp = StorageSCP(
        ae_title=settings.node.ae_title,
        listening=listening,
        rules=_rules(settings),
        contexts=scanner_contexts(),
        spool=spool,
        store=receiver.store,
        refused=notices.refused,
    )
    return Receiving(listening=listening, spool=spool, receipts=receipts, scp=scp)


def open_spool(settings: Settings, *, free: FreeBytes = free_bytes) -> Spool:
    """Open the spool that the settings name."""
    return Spool(
        Root(settings.storage.root).zone("spool"),
        soft_free_bytes=settings.storage.soft_free_gib * _GIB,
        hard_free_bytes=settings.storage.hard_free_gib * _GIB,
        free_bytes=free,
    )


def receipts_url(root: Root) -> str:
    """SQLAlchemy URL of the receipts store."""
    return f"sqlite:///{root.zone('receipts') / 'receipts.db'}"


def _rules(settings: Settings) -> Rules:
    return Rules(
        ae_title=settings.node.ae_title,
        peers=[
            AllowedPeer(ae_title=one.ae_title, networks=one.addresses) for one in settings.scanners
        ],
        maximum_associations=settings.node.maximum_associations,
    )

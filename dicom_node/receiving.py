"""What a process needs to receive: the node itself, and every listener that helps it."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from appliance.pausing import NODE, Pausing
from appliance.settings import Commitment, Settings
from appliance.storage import Root, free_bytes
from appliance.stores.commitments import Commitments
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.stores.receipts import Receipts
from dicom_node.commitment.service import CommitmentSCP
from dicom_node.contexts import scanner_contexts
from dicom_node.receive.admission import AllowedPeer, Doors, PeerLimits, Rules
from dicom_node.receive.notices import Notices
from dicom_node.receive.places import open_spool, receipts_url
from dicom_node.receive.receiver import Receiver
from dicom_node.receive.scp import StorageSCP
from dicom_node.receive.server_tls import server_context
from dicom_node.receive.spool import FreeBytes, Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """The receiving parts of one process."""

    listening: socket.socket
    spool: Spool
    receipts: Receipts
    commitments: Commitments
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
        From `dicom_node.receive.listening.listen`.
    free
        Tells how many bytes are free on the file system of a folder.
    clock
        Seconds since the epoch.
    """
    root = Root(settings.storage.root)
    notices = Notices(journal)
    engine = open_engine(receipts_url(root), store="receipts")
    receipts, commitments = Receipts(engine, clock), Commitments(engine, clock)
    spool = open_spool(settings, free=free)
    receiver = Receiver(spool=spool, receipts=receipts, refused=notices.refused, clock=clock)
    commitment = CommitmentSCP(
        commitments=commitments,
        terms=commitment_terms(settings),
        open_associations=spool.open_associations,
        in_flight=lambda: {one.association for one in spool.in_flight()},
        refused=notices.refused,
    )
    scp = StorageSCP(
        ae_title=settings.node.ae_title,
        listening=listening,
        rules=_rules(settings),
        contexts=scanner_contexts(),
        spool=spool,
        store=receiver.store,
        refused=notices.refused,
        services=commitment.services,
        tls=None if settings.node.tls is None else server_context(settings.node.tls),
        doors=Doors(connections_per_address=settings.node.connections_per_address),
        is_drained=Pausing(journal, NODE, look_every_s=0.0),
    )
    return Receiving(
        listening=listening, spool=spool, receipts=receipts, commitments=commitments, scp=scp
    )


def commitment_terms(settings: Settings) -> dict[str, Commitment]:
    """By AE title what was agreed about storage commitment with the scanners that use it."""
    return {
        one.ae_title.strip(): one.commitment
        for one in settings.scanners
        if one.commitment is not None
    }


def _rules(settings: Settings) -> Rules:
    return Rules(
        ae_title=settings.node.ae_title,
        peers=[
            AllowedPeer(
                ae_title=one.ae_title,
                networks=one.addresses,
                certificate=one.certificate,
                limits=PeerLimits(
                    maximum_associations=one.maximum_associations,
                    associations_per_minute=one.associations_per_minute,
                    maximum_association_s=one.maximum_association_s,
                    maximum_mb_s=one.maximum_mb_s,
                ),
            )
            for one in settings.scanners
        ],
        maximum_associations=settings.node.maximum_associations,
    )

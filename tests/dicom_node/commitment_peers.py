"""Scanners that ask for storage commitment: a node that knows them, and what they are told."""

import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association

from appliance.settings import Commitment
from appliance.temporary import free_ports
from dicom_node.contexts import (
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
    VL_WHOLE_SLIDE_MICROSCOPY,
)
from dicom_node.send.sender import outgoing, send
from tests.dicom_node.conftest import Hospital
from tests.dicom_node.objects import Image, write


class Listening(Protocol):
    """What can be asked: a node in this process or another."""

    port: int


class CommittingHospital(Hospital):
    """A node whose scanner uses storage commitment."""

    def __init__(self, folder: Path, terms: Commitment, **scanner: object) -> None:
        self.terms = terms
        self.scanner = scanner
        super().__init__(folder)

    def start(self) -> None:
        first, *others = self.settings.scanners
        changes = {"commitment": self.terms, **self.scanner}
        scanners = (first.model_copy(update=changes), *others)
        self.settings = self.settings.model_copy(update={"scanners": scanners})
        super().start()

    def store(self, folder: Path, *images: Image) -> None:
        send([outgoing(write(one, folder)) for one in images], self.endpoint)

    def answer(self) -> None:
        """Decide and answer once, as the daemon does again and again."""
        self.node.answerer.decide()
        self.node.answerer.answer()

    def file_of(self, uid: str) -> Path:
        (held,) = self.node.receiving.commitments.held([uid])[uid]
        return self.node.spool.path(held.stored.receipt.sha256)


@contextmanager
def committing(folder: Path, terms: Commitment, **scanner: object) -> Iterator[CommittingHospital]:
    hospital = CommittingHospital(folder, terms, **scanner)
    try:
        yield hospital
    finally:
        hospital.node.stop()


@dataclass(kw_only=True)
class Report:
    """An N-EVENT-REPORT that a scanner got."""

    event_type: int
    transaction_uid: str
    committed: set[str]
    failed: dict[str, int]
    calling_ae_title: str
    transfer_syntax: str


@dataclass(kw_only=True)
class Desk:
    """Where a scanner gets its answers; it can be closed, and can refuse them."""

    port: int = field(default_factory=lambda: free_ports(1)[0])
    status: int = 0x0000
    syntaxes: Sequence[str] = ()
    reports: list[Report] = field(default_factory=list)

    def take(self, event: evt.Event) -> tuple[int, None]:
        content = event.event_information
        self.reports.append(
            Report(
                event_type=event.event_type,
                transaction_uid=str(content.TransactionUID),
                committed={
                    str(one.ReferencedSOPInstanceUID)
                    for one in content.get("ReferencedSOPSequence", [])
                },
                failed={
                    str(one.ReferencedSOPInstanceUID): int(one.FailureReason)
                    for one in content.get("FailedSOPSequence", [])
                },
                calling_ae_title=event.assoc.requestor.ae_title.strip(),
                transfer_syntax=str(event.context.transfer_syntax),
            )
        )
        return self.status, None

    @contextmanager
    def opened(self, tls: ssl.SSLContext | None = None) -> Iterator[None]:
        entity = AE(ae_title="SCANNER")
        entity.require_called_aet = True
        entity.add_supported_context(
            STORAGE_COMMITMENT, list(self.syntaxes) or None, scu_role=False, scp_role=True
        )
        server = entity.start_server(
            ("127.0.0.1", self.port),
            block=False,
            ssl_context=tls,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.take)],
        )
        try:
            yield
        finally:
            server.shutdown()

    def terms(self, **values: object) -> Commitment:
        return Commitment.model_validate(
            {"means": "own", "host": "127.0.0.1", "port": self.port, **values}
        )


def action(
    *uids: str, transaction: str | None = None, sop_class: str = VL_WHOLE_SLIDE_MICROSCOPY
) -> Dataset:
    """Make the Action Information."""
    content = Dataset()
    content.TransactionUID = transaction or generate_uid()
    content.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        content.ReferencedSOPSequence.append(item)
    return content


@contextmanager
def asking(
    hospital: "Listening",
    *,
    calling: str = "SCANNER",
    syntax: str = ExplicitVRLittleEndian,
    desk: Desk | None = None,
) -> Iterator[Association]:
    """Open an association of a scanner on which it can ask, and be answered at its desk."""
    entity = AE(ae_title=calling)
    entity.add_requested_context(STORAGE_COMMITMENT, syntax)
    handlers = [] if desk is None else [(evt.EVT_N_EVENT_REPORT, desk.take)]
    association = entity.associate(
        "127.0.0.1", hospital.port, ae_title="COVERSLIP", evt_handlers=handlers
    )
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def ask(
    association: Association,
    content: Dataset | None,
    *,
    action_type: int = 1,
    instance: str = STORAGE_COMMITMENT_INSTANCE,
) -> int | None:
    """Send an N-ACTION; give its status."""
    status, _ = association.send_n_action(
        content, action_type, UID(STORAGE_COMMITMENT), UID(instance)
    )
    found = status.get("Status")
    return None if found is None else int(found)


def in_background(work: object) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread

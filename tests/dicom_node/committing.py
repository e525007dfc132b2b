"""A PACS that stores, and answers requests for storage commitment as a test says."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.events import Event

from appliance.settings import ClientTls
from dicom_node.contexts import (
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
    archive_contexts,
    commitment_context,
)
from dicom_node.send.association import Endpoint, associated

Way = Literal["same", "new", "never"]


def reference(uid: str, sop_class: str, reason: int = 0) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = uid
    if reason:
        item.FailureReason = reason
    return item


def report_of(request: Dataset, reason_of: Callable[[str], int]) -> Dataset:
    """Make the Event Information that answers a request."""
    made = Dataset()
    made.TransactionUID = request.TransactionUID
    outcomes = [
        (one, reason_of(one.ReferencedSOPInstanceUID)) for one in request.ReferencedSOPSequence
    ]
    good = [
        reference(one.ReferencedSOPInstanceUID, one.ReferencedSOPClassUID)
        for one, reason in outcomes
        if not reason
    ]
    bad = [
        reference(one.ReferencedSOPInstanceUID, one.ReferencedSOPClassUID, reason)
        for one, reason in outcomes
        if reason
    ]
    if good:
        made.ReferencedSOPSequence = good
    if bad:
        made.FailedSOPSequence = bad
    return made


@dataclass(kw_only=True)
class Pacs:
    """What it did, and what it is to do."""

    way: Way = "same"
    reasons: dict[str, int] = field(default_factory=dict)
    """Failure Reason by SOP Instance UID; what is not in here and was stored is committed."""
    denies: bool = False
    offers: bool = True
    action_status: int = 0
    report_port: int = 0
    report_tls: ClientTls | None = None
    with_role: bool = True
    stored: list[str] = field(default_factory=list)
    requests: list[Dataset] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    """What its reports were answered."""
    port: int = 0

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(
            host="127.0.0.1",
            port=self.port,
            called_ae_title="PACS",
            calling_ae_title="COVERSLIP",
        )

    def reason_of(self, uid: str) -> int:
        if uid in self.reasons:
            return self.reasons[uid]
        return 0 if uid in self.stored and not self.denies else 0x0112

    def report(self, request: Dataset, *, event_type: int | None = None) -> int | None:
        """Answer a request on a new association; gives the status that came back."""
        return self.report_content(report_of(request, self.reason_of), event_type=event_type)

    def report_content(self, content: Dataset, *, event_type: int | None = None) -> int | None:
        to = Endpoint(
            host="127.0.0.1",
            port=self.report_port,
            called_ae_title="COVERSLIP",
            calling_ae_title="PACS",
            tls=self.report_tls,
        )
        roles = [build_role(STORAGE_COMMITMENT, scp_role=True)] if self.with_role else []
        kind = event_type or (2 if "FailedSOPSequence" in content else 1)
        with associated(to, [commitment_context()], roles=roles) as association:
            status, _ = association.send_n_event_report(
                content, kind, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
            )
        self.statuses.append(status.get("Status"))
        return status.get("Status")

    # The library's events.

    def on_store(self, event: Event) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    def on_action(self, event: Event) -> tuple[int, None]:
        request = event.action_information
        self.requests.append(request)
        if self.action_status == 0 and self.way != "never":
            answer = self._on_same if self.way == "same" else self._on_new
            threading.Thread(target=answer, args=(event, request), daemon=True).start()
        return self.action_status, None

    def _on_same(self, event: Event, request: Dataset) -> None:
        content = report_of(request, self.reason_of)
        kind = 2 if "FailedSOPSequence" in content else 1
        status, _ = event.assoc.send_n_event_report(
            content, kind, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
        )
        self.statuses.append(status.get("Status"))

    def _on_new(self, event: Event, request: Dataset) -> None:
        self.report(request)


@contextmanager
def running_pacs(pacs: Pacs) -> Iterator[Pacs]:
    """Listen until the block ends."""
    entity = AE(ae_title="PACS")
    entity.supported_contexts = archive_contexts()
    if pacs.offers:
        entity.add_supported_context(
            STORAGE_COMMITMENT, commitment_context().transfer_syntax, scu_role=True, scp_role=True
        )
    server = entity.start_server(
        ("127.0.0.1", 0),
        block=False,
        evt_handlers=[(evt.EVT_C_STORE, pacs.on_store), (evt.EVT_N_ACTION, pacs.on_action)],
    )
    assert server is not None
    pacs.port = int(server.server_address[1])
    try:
        yield pacs
    finally:
        server.shutdown()


def request_for(uids: Sequence[str], sop_class: str) -> Dataset:
    """A request of somebody else."""
    made = Dataset()
    made.TransactionUID = generate_uid()
    made.ReferencedSOPSequence = [reference(uid, sop_class) for uid in uids]
    return made

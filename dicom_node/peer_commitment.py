"""Storage commitment of the stand-in for a PACS: what it has it commits to (PS3.4 J.3)."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from appliance.stores.commitments import Reference
from dicom_node.commitment.report import ALL_COMMITTED, FAILURES_EXIST
from dicom_node.commitment.request import (
    NO_SUCH_SOP_INSTANCE,
    CommitmentRequest,
    RefusedRequest,
    read_request,
)
from dicom_node.contexts import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from dicom_node.status import PROCESSING_FAILURE, SUCCESS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCommitment:
    """Answers each request at once, on the association that brought it.

    Attributes
    ----------
    has
        Whether there is an object of a SOP Instance UID.
    """

    has: Callable[[str], bool]

    @property
    def services(self) -> Sequence[tuple[evt.EventType, Callable[..., Any]]]:
        """Events of the library and their handlers."""
        return [(evt.EVT_N_ACTION, self._on_action)]

    def _on_action(self, event: Event) -> tuple[int, None]:
        try:
            request = read_request(event.action_information)
        except RefusedRequest as refusal:
            return refusal.status, None
        except Exception:  # noqa: BLE001  what cannot be decoded must not end the association
            return PROCESSING_FAILURE, None
        threading.Thread(
            target=self._answer, args=(event.assoc, request), name="commits", daemon=True
        ).start()
        return SUCCESS, None

    def _answer(self, association: Association, request: CommitmentRequest) -> None:
        content = Dataset()
        content.TransactionUID = request.transaction_uid
        held = [one for one in request.references if self.has(one.sop_instance_uid)]
        missing = [one for one in request.references if one not in held]
        if held:
            content.ReferencedSOPSequence = [_item(one) for one in held]
        if missing:
            content.FailedSOPSequence = [_item(one, NO_SUCH_SOP_INSTANCE) for one in missing]
        try:
            association.send_n_event_report(
                content,
                FAILURES_EXIST if missing else ALL_COMMITTED,
                STORAGE_COMMITMENT,
                STORAGE_COMMITMENT_INSTANCE,
            )
        except (RuntimeError, ValueError):
            log.warning("a storage commitment could not be told: its association had ended")


def _item(one: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = one.sop_class_uid
    item.ReferencedSOPInstanceUID = one.sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item

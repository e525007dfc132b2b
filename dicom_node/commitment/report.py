"""The answer to a request for storage commitment: N-EVENT-REPORT (PS3.4 J.3.3)."""

from collections.abc import Iterable
from typing import Final

from pydicom import Dataset
from pynetdicom.association import Association

from appliance.errors import PeerUnavailable
from appliance.stores.commitments import COMMITTED, Commitment, Reference
from dicom_node.contexts import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from dicom_node.status import SUCCESS

ALL_COMMITTED: Final = 1
FAILURES_EXIST: Final = 2


def send_report(association: Association, commitment: Commitment) -> None:
    """Tell a scanner what was decided, over an open association.

    Raises
    ------
    PeerUnavailable
        It did not take the answer; it has to be told again.
    """
    try:
        status, _ = association.send_n_event_report(
            event_information(commitment),
            event_type(commitment),
            STORAGE_COMMITMENT,
            STORAGE_COMMITMENT_INSTANCE,
        )
    except (RuntimeError, ValueError) as error:
        raise PeerUnavailable("The scanner does not take answers on this association.") from error
    if status.get("Status") is None:
        raise PeerUnavailable("The scanner ended the association before it took our answer.")
    if status.Status != SUCCESS:
        raise PeerUnavailable(f"The scanner refused our answer (status 0x{status.Status:04X}).")


def event_type(commitment: Commitment) -> int:
    """Event Type ID: whether there are failures."""
    committed = all(reason == COMMITTED for reason in commitment.reasons.values())
    return ALL_COMMITTED if committed else FAILURES_EXIST


def event_information(commitment: Commitment) -> Dataset:
    """Give the Event Information: what is committed to, and what is not with the reason."""
    content = Dataset()
    content.TransactionUID = commitment.transaction_uid
    committed = [one for one, reason in commitment.reasons.items() if reason == COMMITTED]
    failed = {one: reason for one, reason in commitment.reasons.items() if reason != COMMITTED}
    if committed:
        content.ReferencedSOPSequence = list(_items(committed))
    if failed:
        content.FailedSOPSequence = list(_items(failed))
        for item, reason in zip(content.FailedSOPSequence, failed.values(), strict=True):
            item.FailureReason = reason
    return content


def _items(references: Iterable[Reference]) -> Iterable[Dataset]:
    for one in references:
        item = Dataset()
        item.ReferencedSOPClassUID = one.sop_class_uid
        item.ReferencedSOPInstanceUID = one.sop_instance_uid
        yield item

"""Reading a request for storage commitment (N-ACTION, PS3.4 J.3.2), and what it is answered.

The status is one of PS3.7 10.1.4.1.10 and annex C.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset
from pydicom.uid import UID

from appliance.stores.commitments import Reference
from dicom_node.contexts import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE

SUCCESS: Final = 0x0000
NO_SUCH_SOP_INSTANCE: Final = 0x0112
INVALID_ARGUMENT: Final = 0x0115
NO_SUCH_SOP_CLASS: Final = 0x0118
NO_SUCH_ACTION: Final = 0x0123
NOT_AUTHORIZED: Final = 0x0124
RESOURCE_LIMITATION: Final = 0x0213

REQUEST: Final = 1
"""Action Type ID: Request Storage Commitment."""
MAXIMUM_REFERENCES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """What a scanner asks for."""

    transaction_uid: str
    references: tuple[Reference, ...]


class RefusedRequest(Exception):
    """A request that is not one; `status` is the DIMSE status that says why."""

    def __init__(self, status: int) -> None:
        super().__init__(f"0x{status:04X}")
        self.status = status


def check_command(*, sop_class_uid: str, sop_instance_uid: str, action_type: int | None) -> None:
    """Check whom and what an N-ACTION addresses; raises RefusedRequest."""
    if sop_class_uid != STORAGE_COMMITMENT:
        raise RefusedRequest(NO_SUCH_SOP_CLASS)
    if sop_instance_uid != STORAGE_COMMITMENT_INSTANCE:
        raise RefusedRequest(NO_SUCH_SOP_INSTANCE)
    if action_type != REQUEST:
        raise RefusedRequest(NO_SUCH_ACTION)


def read_request(information: Dataset) -> CommitmentRequest:
    """Read the Action Information; raises RefusedRequest."""
    items = information.get("ReferencedSOPSequence")
    if not items:
        raise RefusedRequest(INVALID_ARGUMENT)
    if len(items) > MAXIMUM_REFERENCES:
        raise RefusedRequest(RESOURCE_LIMITATION)
    return CommitmentRequest(
        transaction_uid=_uid(information, "TransactionUID"),
        references=tuple(dict.fromkeys(_references(items))),
    )


def _references(items: list[Dataset]) -> Iterator[Reference]:
    for item in items:
        yield Reference(
            sop_class_uid=_uid(item, "ReferencedSOPClassUID"),
            sop_instance_uid=_uid(item, "ReferencedSOPInstanceUID"),
        )


def _uid(dataset: Dataset, keyword: str) -> str:
    value = UID(str(dataset.get(keyword) or ""))
    if not value.is_valid:
        raise RefusedRequest(INVALID_ARGUMENT)
    return str(value)

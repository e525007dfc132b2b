"""Taking in objects that a peer stores on an association that we opened (C-GET, PS3.4 C.4.3).

They go to files as they come, so memory stays flat; the library would hold each one whole, or write
it to a shared folder for temporary files.
"""

import secrets
from collections import deque
from pathlib import Path
from typing import Any, Final, cast

from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import P_DATA

from appliance.errors import ApplianceError, InvalidInstance
from dicom_node.headers import check_content, read_header
from dicom_node.receive.spool import Spool
from dicom_node.receive.transfer import Transfer
from dicom_node.send.wire import WaitingDimse
from dicom_node.status import SUCCESS, MismatchedInstance, store_status

_COMMAND: Final = 0x01
_LAST: Final = 0x02
"""Of the message control header (PS3.8 E.2)."""


class DamagedInstance(InvalidInstance):
    """A peer sent an object that was damaged already, or on the way."""

    code = "damaged-instance"


class FetchingDimse(WaitingDimse):
    """Writes the data sets of C-STORE requests to a spool, and waits for as long as some come.

    Parameters
    ----------
    association
        The one that we opened.
    spool
        Which the caller has joined.
    """

    def __init__(self, association: Association, spool: Spool) -> None:
        super().__init__(association)
        self.received: deque[Transfer] = deque()
        """Objects that came whole, in the order of their requests."""
        self._spool = spool
        self._name = secrets.token_hex(8)
        self._coming: Transfer | None = None
        self._n_bytes = -1

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take a P-DATA primitive: data sets of C-STORE to the spool, all else to the library."""
        for context_id, data in primitive.presentation_data_value_list:
            control = data[0]
            if control & _COMMAND:
                self._pass_on(context_id, data)
                if control & _LAST and isinstance(self.message, C_STORE_RQ):
                    self._coming = self._begin(context_id, self.message)
            elif self._coming is None:
                self._pass_on(context_id, data)
            else:
                self._coming.write(memoryview(data)[1:])
                if control & _LAST:
                    self.received.append(self._coming)
                    self._coming = None
                    # The library sees an empty data set, and completes the request.
                    self._pass_on(context_id, bytes([_LAST]))

    def get_msg(self, block: bool = False) -> Any:  # noqa: FBT001, FBT002  as the library calls it
        """Give the next message; however long one object takes, it is waited for while it grows."""
        while True:
            context_id, message = super().get_msg(block=block)
            if message is not None or not block or not self.assoc.is_established:
                return context_id, message
            n_bytes = sum(one.path.stat().st_size for one in self._spool.in_flight())
            if n_bytes == self._n_bytes:
                return context_id, message
            self._n_bytes = n_bytes

    def _begin(self, context_id: int, request: C_STORE_RQ) -> Transfer:
        syntaxes = {
            one.context_id: str(one.transfer_syntax[0]) for one in self.assoc.accepted_contexts
        }
        command = request.command_set
        transfer = self._spool.open(association=self._name, scanner=self.assoc.acceptor.ae_title)
        transfer.begin(
            sop_class_uid=str(command.get("AffectedSOPClassUID", "")),
            sop_instance_uid=str(command.get("AffectedSOPInstanceUID", "")),
            transfer_syntax_uid=syntaxes[context_id],
        )
        return transfer

    def _pass_on(self, context_id: int, data: bytes) -> None:
        primitive = P_DATA()
        primitive.presentation_data_value_list = [[context_id, data]]  # type: ignore[list-item]
        super().receive_primitive(primitive)


class Arriving:
    """Checks the objects of a C-GET as they come.

    Attributes
    ----------
    files
        Objects that came whole and sound.
    failure
        Why the last bad one was refused.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.failure: ApplianceError | None = None

    def store(self, event: Event) -> int:
        """Check one object that came whole; give its DIMSE status (PS3.4 B.2.3)."""
        transfer = cast("FetchingDimse", event.assoc.dimse).received.popleft()
        request = cast("C_STORE", event.request)
        try:
            _check(transfer, str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
        except ApplianceError as error:
            self.failure = error
            transfer.discard()
            return store_status(error)
        self.files.append(transfer.path)
        return SUCCESS


def _check(transfer: Transfer, sop_class_uid: str, sop_instance_uid: str) -> None:
    transfer.make_durable()
    if transfer.failure is not None:
        raise transfer.failure
    try:
        header = read_header(transfer.path)
        check_content(transfer.path, header)
    except InvalidInstance as error:
        raise DamagedInstance("The PACS sent an object that is damaged.") from error
    one = header.instance
    if (one.sop_class_uid, one.sop_instance_uid) != (sop_class_uid, sop_instance_uid):
        raise MismatchedInstance("The PACS sent another object than it announced.")

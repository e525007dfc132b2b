"""Associations that we ask for: where parts of pynetdicom 3.0.4 are replaced on our side of them.

The library would queue a whole object before it sends the first byte, leave a socket open whose
peer is gone, and gather what comes back by C-GET in memory. The private names that are used here
and in `reactor` are checked by `dicom_node.receive.contract` and `tests/dicom_node/test_wire.py`.
"""

import contextlib
import logging
import queue
import secrets
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import (
    AddressInformation,
    AssociationSocket,
)

from dicom_node.receive.pdata import COMMAND, LAST
from dicom_node.receive.storing import Intake
from dicom_node.receive.transfer import Transfer

log = logging.getLogger(__name__)


_ESTABLISHED: Final = "Sta6"
_PIPE_PDUS: Final = 64
_LOOK_EVERY_S: Final = 0.5


class SpoolingDimse(DIMSEServiceProvider):
    """Puts the data sets of C-STORE requests into the spool as they come; memory stays flat."""

    def __init__(self, assoc: Association, intake: Intake) -> None:
        super().__init__(assoc)
        self.association = secrets.token_hex(8)
        self._intake = intake
        self._coming: Transfer | None = None
        self._received: deque[Transfer] = deque()

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take a P-DATA primitive: commands to the library, data sets to the spool."""
        for context_id, data in primitive.presentation_data_value_list:
            control = data[0]
            if control & COMMAND:
                self._pass_on(context_id, data)
                if control & LAST and isinstance(self.message, C_STORE_RQ):
                    self._coming = self._begin(context_id, self.message)
            elif self._coming is None:
                self._pass_on(context_id, data)
            else:
                self._coming.write(memoryview(data)[1:])
                if control & LAST:
                    self._received.append(self._coming)
                    self._coming = None
                    # The library sees an empty data set, and completes the request.
                    self._pass_on(context_id, bytes([LAST]))

    def take(self) -> Transfer:
        """Give the transfer that belongs to the C-STORE request being served."""
        return self._received.popleft()

    def drop(self) -> None:
        """Remove what is half received; called when the association ended."""
        coming, self._coming = self._coming, None
        for transfer in (coming, *self._received):
            if transfer is not None:
                self._intake.close(transfer)
        self._received.clear()

    def _begin(self, context_id: int, request: C_STORE_RQ) -> Transfer:
        context = self.assoc._accepted_cx[context_id]  # noqa: SLF001
        command = request.command_set
        transfer = self._intake.open(
            association=self.association, scanner=self.assoc.requestor.ae_title
        )
        transfer.begin(
            sop_class_uid=_uid(command.AffectedSOPClassUID),
            sop_instance_uid=_uid(command.AffectedSOPInstanceUID),
            transfer_syntax_uid=context.transfer_syntax[0],
        )
        return transfer

    def _pass_on(self, context_id: int, data: bytes) -> None:
        primitive = P_DATA()
        primitive.presentation_data_value_list = [[context_id, data]]  # type: ignore[list-item]
        super().receive_primitive(primitive)


class ClientSocket(AssociationSocket):
    """Socket of an association that we ask for; it sends at once and is always closed."""

    def _shutdown_socket(self) -> None:
        _close(self.socket)

    def _create_socket(self, address: AddressInformation) -> socket.socket:
        made = super()._create_socket(address)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


class Client(AE):
    """An application entity whose associations need little memory, whatever they send."""

    provider: Callable[[Association], DIMSEServiceProvider] | None = None
    """Makes what takes in the peer's messages, where objects come back on our association."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: Any
    ) -> AssociationSocket:
        if self.provider is not None:
            assoc.dimse = self.provider(assoc)
        assoc.dul.to_provider_queue = _Pipe(assoc.dul)
        made = ClientSocket(assoc, address=address)
        made.tls_args = tls_args
        return made


class _Pipe(queue.Queue[Any]):
    """A short queue between an object and the socket; it lets go when the connection is lost.

    The library would queue a whole object before it sends the first byte.
    """

    def __init__(self, dul: DULServiceProvider) -> None:
        super().__init__(maxsize=_PIPE_PDUS)
        self._dul = dul

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002
        while not self.full() or is_transferring(self._dul):
            with contextlib.suppress(queue.Full):
                super().put(item, timeout=_LOOK_EVERY_S)
                return


def _close(connection: socket.socket | None) -> None:
    """Close a socket even when its peer is gone, which the library does not."""
    if connection is None:
        return
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def is_transferring(dul: DULServiceProvider) -> bool:
    """Whether an association is established (PS3.8 9.2, state 6)."""
    return bool(dul.state_machine.current_state == _ESTABLISHED)


def spooling(association: Association) -> SpoolingDimse:
    """Give the part of an association that holds its transfers."""
    assert isinstance(association.dimse, SpoolingDimse)  # noqa: S101  built by NodeHandler
    return association.dimse


def _uid(value: Any) -> UID:
    return UID(str(value or ""))

"""Where we replace parts of pynetdicom 3.0.4: the socket, the reassembly of objects, the handler.

All private names of the library that we rely on are used in this file, and a contract test
(`tests/dicom_node/test_wire.py`) checks that they mean what we think.

What the stock library does instead: it reads the socket 4096 bytes at a time, accepts a PDU of
4 GiB before any negotiation, waits for the rest of a PDU for ever, writes objects to a shared
folder for temporary files, leaves them there when a transfer is dropped, and aborts without a
status when the disk is full.
"""

import contextlib
import logging
import queue
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable
from socketserver import BaseServer
from typing import Any, Final, Protocol

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
    RequestHandler,
    ThreadedAssociationServer,
)

from dicom_node.transfer import Transfer

log = logging.getLogger(__name__)

MAXIMUM_PDU_BYTES: Final = 131_072
_NEGOTIATION_PDU_BYTES: Final = 1 << 20
"""128 presentation contexts with all their transfer syntaxes need less."""
_PDU_DEADLINE_S: Final = 30.0
"""A PDU that began must be whole within this time."""
_COMMAND: Final = 0x01
_LAST: Final = 0x02
_ESTABLISHED: Final = "Sta6"
_PIPE_PDUS: Final = 64
_LOOK_EVERY_S: Final = 0.5


class Intake(Protocol):
    """What the wire needs of the receiver."""

    def open(self, *, association: str, scanner: str) -> Transfer:
        """Begin a transfer."""

    def close(self, transfer: Transfer) -> None:
        """End a transfer and remove what was not published."""


class NodeSocket(AssociationSocket):
    """Reads a PDU in large pieces, within a limit of length and of time."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly `nr_bytes`, or less when the peer closed.

        Raises
        ------
        OSError
            The PDU is longer than we announced, or did not come in time.
        """
        transferring = is_transferring(self.assoc.dul)
        limit = MAXIMUM_PDU_BYTES + 6 if transferring else _NEGOTIATION_PDU_BYTES
        if nr_bytes > limit:
            raise OSError("the peer announced a PDU above the limit")
        assert self.socket is not None  # noqa: S101  the library reads connected sockets only
        content = bytearray(nr_bytes)
        deadline = time.monotonic() + _PDU_DEADLINE_S
        n_read = 0
        with memoryview(content) as view:
            while n_read < nr_bytes:
                self.socket.settimeout(max(0.001, deadline - time.monotonic()))
                n_new = self.socket.recv_into(view[n_read:])
                if not n_new:
                    break
                n_read += n_new
        self.socket.settimeout(_PDU_DEADLINE_S)  # for what is sent next
        del content[n_read:]
        return content

    def _shutdown_socket(self) -> None:
        _close(self.socket)


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
            if control & _COMMAND:
                self._pass_on(context_id, data)
                if control & _LAST and isinstance(self.message, C_STORE_RQ):
                    self._coming = self._begin(context_id, self.message)
            elif self._coming is None:
                self._pass_on(context_id, data)
            else:
                self._coming.write(memoryview(data)[1:])
                if control & _LAST:
                    self._received.append(self._coming)
                    self._coming = None
                    # The library sees an empty data set, and completes the request.
                    self._pass_on(context_id, bytes([_LAST]))

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


class NodeHandler(RequestHandler):
    """Builds an association out of our parts."""

    intake: Intake

    def _create_association(self) -> Association:
        association = super()._create_association()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        association.dul.event_queue.get_nowait()  # of the socket that we replace
        association.dul.socket = NodeSocket(association, client_socket=self.request)
        association.dimse = SpoolingDimse(association, self.intake)
        return association


class NodeServer(ThreadedAssociationServer):
    """A listener that takes bursts of connections, and holds only so many of them open."""

    request_queue_size = 128
    daemon_threads = True
    maximum_connections = 256
    listening: socket.socket

    def server_bind(self) -> None:
        """Take the socket that is bound already."""
        assert self.socket is not None  # noqa: S101  made by the library
        self.socket.close()
        self.socket = self.listening
        self.server_address = self.listening.getsockname()

    def server_close(self) -> None:
        """Close our share of the socket; other processes may still listen on it."""
        assert self.socket is not None  # noqa: S101  made by the library
        self.socket.close()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Refuse a connection when too many are open already."""
        return len(self.active_associations) < self.maximum_connections

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Say that a connection failed; the others go on."""
        log.warning("a connection could not be set up")

    def shutdown(self) -> None:
        """Stop listening and abort what is open."""
        BaseServer.shutdown(self)
        for association in self.active_associations:
            association.abort()
        self.server_close()


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

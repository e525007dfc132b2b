"""Associations that we ask for: where parts of pynetdicom 3.0.4 are replaced on our side of them.

The library would queue a whole object before it sends the first byte, leave a socket open whose
peer is gone, and wait minutes for an answer of such a peer. The private names that are used here
and in `reactor` are checked by `dicom_node.receive.contract` and `tests/dicom_node/test_wire.py`.
"""

import contextlib
import queue
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.transport import AddressInformation, AssociationSocket

from dicom_node.send.requestor import prepare

_ESTABLISHED: Final = "Sta6"
_PIPE_PDUS: Final = 64
_LOOK_EVERY_S: Final = 0.5


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
        prepare(assoc)
        assoc.dimse = (self.provider or WaitingDimse)(assoc)
        assoc.dul.to_provider_queue = _Pipe(assoc.dul)
        made = ClientSocket(assoc, address=address)
        made.tls_args = tls_args
        return made


class WaitingDimse(DIMSEServiceProvider):
    """Waits for the peer's answer as long as the peer is there.

    The library is told of the end by one message, which its own thread may take away first.
    """

    def get_msg(self, block: bool = False) -> Any:  # noqa: FBT001, FBT002  the library's
        """Give the next message; (None, None) when there is none, or none will come."""
        limit_s = self.dimse_timeout
        ends = None if limit_s is None else time.monotonic() + limit_s
        while block and is_transferring(self.dul) and (ends is None or time.monotonic() < ends):
            with contextlib.suppress(queue.Empty):
                return self.msg_queue.get(timeout=_LOOK_EVERY_S)
        return super().get_msg(block=False)


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

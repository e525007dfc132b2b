"""Parts of a pynetdicom association without their threads; `reactor` puts them together."""

import contextlib
import queue
import threading
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.transport import AssociationSocket

from dicom_node.receive.connection import Connection, PeerGone, TooSlow

PDU_LIMIT_S: Final = 30.0
"""A PDU that began must be whole within this time, and one that we send must be taken."""
IDLE: Final = "Sta1"
CLOSING: Final = "Sta13"
"""States of the upper layer protocol (PS3.8 9.2.1)."""
CLOSED: Final = "Evt17"
"""The transport connection is closed (PS3.8 9.2.2)."""


class SteppedDul(DULServiceProvider):
    """The upper layer without its thread: it moves when it is pumped."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self.whole = threading.RLock()
        """Held while a message is queued, whose PDUs must follow each other (PS3.8 E.2)."""

    def send_pdu(self, primitive: Any) -> None:
        """Send in the thread that serves the association, whoever asks for it."""
        super().send_pdu(primitive)
        association: Any = self.assoc
        if association.is_mine():
            self.pump()
        else:
            association.wake()

    def pump(self) -> None:
        """Take every step that is due."""
        while True:
            # An event that waits is taken first: what is to be sent would be announced twice.
            may_send = self.state_machine.current_state not in (IDLE, CLOSING)
            if may_send and self.event_queue.empty():
                with self.whole:
                    self._process_recv_primitive()
            try:
                event = self.event_queue.get_nowait()
            except queue.Empty:
                return
            if self.state_machine.current_state == IDLE and event == CLOSED:
                continue
            self.state_machine.do_action(event)


class AskingDimse(DIMSEServiceProvider):
    """Lets the thread that serves an association wait for the peer's answer to its own request."""

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message whole: answers to other requests come before it or behind it."""
        dul: Any = self.dul
        with dul.whole:
            super().send_msg(primitive, context_id)

    def get_msg(self, block: bool = False) -> Any:  # noqa: FBT001, FBT002  the library's
        """Give the next message; read until there is one where nobody else would."""
        association: Any = self.assoc
        if block and association.is_mine():
            deadline = association.connection.clock() + (self.dimse_timeout or PDU_LIMIT_S)
            with contextlib.suppress(TooSlow, PeerGone):
                while self.msg_queue.empty() and association.goes_on():
                    association.read_one(deadline - association.connection.clock())
            block = False
        return super().get_msg(block)


class SendingSocket(AssociationSocket):
    """What the library sends through, and closes."""

    def __init__(self, assoc: Association, connection: Connection) -> None:
        super().__init__(assoc, client_socket=connection.peer)
        self._connection = connection

    def send(self, bytestream: bytes) -> None:
        """Send a PDU; a peer that does not take it has closed, as far as the library goes."""
        try:
            self._connection.send(bytestream, limit_s=PDU_LIMIT_S)
        except OSError:
            self.event_queue.put(CLOSED)

    def _shutdown_socket(self) -> None:
        self._connection.close()

"""An association of pynetdicom 3.0.4 that one thread serves, without polling.

The library runs two threads an association that look for work every millisecond and hand PDUs over
through queues. Here the thread of the connection reads a PDU, steps the library's state machine or
serves C-STORE itself, and sends. Negotiation, release, abort and all other services stay the
library's. Most private names of it that the node relies on are used in this file and in `wire`;
`dicom_node.receive.contract` checks them.
"""

import contextlib
import logging
import threading
from copy import deepcopy
from typing import Any, Final

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AddressInformation, AssociationServer

from appliance.daemon import describe
from dicom_node.receive.connection import Bell, Connection, PeerGone, TooSlow
from dicom_node.receive.pdata import MAXIMUM_PDU_BYTES, P_DATA_TF, MalformedPdu, command_pdus
from dicom_node.receive.storing import Admitted, Context, Serving, Storing
from dicom_node.receive.upper_layer import (
    CLOSED,
    CLOSING,
    IDLE,
    PDU_LIMIT_S,
    AskingDimse,
    SendingSocket,
    SteppedDul,
)

log = logging.getLogger(__name__)

NEGOTIATION_PDU_BYTES: Final = 1 << 20
"""128 presentation contexts with all their transfer syntaxes need less."""
_PDUS_AT_ONCE: Final = 4
"""Go to the disk together, which is cheaper for the kernel."""
_LINGER_S: Final = 2.0
"""So long a peer may take to close after our last word (the ARTIM timer of PS3.8 9.1.5)."""
_LOOK_AGAIN_S: Final = 0.05
"""While somebody else uses the association to ask the peer something."""

A_ASSOCIATE_RQ: Final = 0x01
_KNOWN_PDUS: Final = frozenset(range(0x01, 0x08))
_ESTABLISHED: Final = "Sta6"
_INVALID_PDU: Final = "Evt19"
_ACCEPTOR: Final = "acceptor"


class _Ended(Exception):
    """Another thread ended the association."""


class NodeAssociation(Association):
    """An association of which the other side asked; `serve` runs it to its end."""

    dul: SteppedDul

    def __init__(
        self, server: AssociationServer, connection: Connection, address: Any, serving: Serving
    ) -> None:
        super().__init__(server.ae, _ACCEPTOR)
        self.dul = SteppedDul(self)
        self.dimse = AskingDimse(self)
        self.connection = connection
        self._serving = serving
        self._bell = Bell()
        self._serving_thread = threading.get_ident()
        self._storing: Storing | None = None
        self._admitted: Admitted | None = None
        self.set_socket(SendingSocket(self, connection))
        self._describe_both(server, address)
        self._take_handlers(server)

    def _describe_both(self, server: AssociationServer, address: Any) -> None:
        entity = server.ae
        self.acceptor.maximum_length = entity.maximum_pdu_size
        self.acceptor.ae_title = server.ae_title
        self.acceptor.address_info = AddressInformation.from_tuple(server.server_address)
        self.acceptor.implementation_class_uid = entity.implementation_class_uid
        self.acceptor.implementation_version_name = entity.implementation_version_name
        self.acceptor.supported_contexts = deepcopy(server.contexts)
        self.requestor.address_info = AddressInformation.from_tuple(address)

    def _take_handlers(self, server: AssociationServer) -> None:
        for event in server.get_events():
            bound: Any = server.get_handlers(event)
            for handler, arguments in [bound] if event.is_intervention else bound:
                if handler is not None:
                    self.bind(event, handler, arguments)

    # The life of an association.

    def serve(self, request: memoryview) -> None:
        """Negotiate by an A-ASSOCIATE-RQ PDU, and serve until the end.

        Nothing is raised: what goes wrong ends this association, and no other.
        """
        try:
            self._dul_ready.set()
            self._started_dul = True  # there is no thread to start
            self.dul.pump()
            self._take_other(request)
            if self.dul.peek_next_pdu() is not None:
                self.run_reactor()
        except _Ended:
            pass
        except (PeerGone, TooSlow, MalformedPdu):
            self._give_up()
        except Exception as error:  # noqa: BLE001  the association is the unit of failure
            log.error("an association failed: %s", describe(error))
            self._give_up()
        finally:
            self._end()

    def wake(self) -> None:
        """Let the serving thread see what another thread asked for."""
        self._bell.ring()

    def is_mine(self) -> bool:
        """Whether this is the thread that serves the association."""
        return threading.get_ident() == self._serving_thread

    def _run_reactor(self) -> None:
        """Serve the established association; called by the library after negotiation."""
        admitted = self._serving.admitted(self)
        if admitted is None:
            return
        self._admitted = admitted
        self._storing = Storing(
            association=admitted.name,
            scanner=admitted.scanner,
            contexts={
                number: Context(str(one.abstract_syntax), str(one.transfer_syntax[0]))
                for number, one in self._accepted_cx.items()
            },
            intake=self._serving.intake,
            store=self._serving.store,
            refused=self._serving.refused,
            answer=self._answer,
            pass_on=self._pass_on,
        )
        self.connection.make_room(MAXIMUM_PDU_BYTES, n_pdus=_PDUS_AT_ONCE)
        self.connection.reusing = self._storing.flush
        self.connection.listen_to(self._bell)
        self.connection.woken = self._send_what_waits
        self._is_paused = True
        while self.goes_on():
            waits_for_others = self._waits_for_others()
            try:
                self.read_one()
            except TooSlow:
                if not waits_for_others:
                    raise
                self._attend()

    def read_one(self, limit_s: float | None = None) -> None:
        """Read a PDU and do what it asks for.

        Raises
        ------
        TooSlow, PeerGone, MalformedPdu
            The association has to end.
        """
        assert self._admitted is not None  # noqa: S101  only established associations read
        now = self.connection.clock()
        idle_s = self.network_timeout if limit_s is None else limit_s
        if self._waits_for_others():
            idle_s = _LOOK_AGAIN_S
        pdu = self.connection.read_pdu(
            limit_bytes=MAXIMUM_PDU_BYTES,
            idle_until=now + (idle_s or PDU_LIMIT_S),
            pdu_limit_s=PDU_LIMIT_S,
            until=self._admitted.ends_at,
        )
        if pdu[0] == P_DATA_TF:
            assert self._storing is not None  # noqa: S101  made with what was admitted
            self._storing.take(pdu)
            if not self.dimse.msg_queue.empty():
                self._attend()
            self._keep_pace(len(pdu))
        else:
            self._take_other(pdu)
            self._attend()

    def _keep_pace(self, n_bytes: int) -> None:
        assert self._admitted is not None  # noqa: S101  only established associations read
        now = self.connection.clock()
        if now >= self._admitted.ends_at:
            raise TooSlow("the association lasted longer than it may")
        until = self._admitted.pace.after(n_bytes, now)
        if until > now:
            self.connection.rest(until)

    def goes_on(self) -> bool:
        """Whether the association is established still."""
        return not self._kill and self.dul.state_machine.current_state == _ESTABLISHED

    def _waits_for_others(self) -> bool:
        """Whether messages wait until somebody else has done with the association."""
        return not (self._reactor_checkpoint.is_set() or self.dimse.msg_queue.empty())

    def _take_other(self, pdu: memoryview) -> None:
        """Step the state machine by a PDU that is no data."""
        if pdu[0] not in _KNOWN_PDUS:
            raise MalformedPdu("a PDU of unknown type")
        try:
            decoded, event = self.dul._decode_pdu(bytearray(pdu))  # noqa: SLF001
        except Exception as error:  # its decoder raises what it likes on damaged input
            raise MalformedPdu("a PDU cannot be decoded") from error
        self.dul._recv_pdu.put(decoded)  # noqa: SLF001
        self.dul.event_queue.put(event)
        self.dul.pump()

    def _send_what_waits(self) -> None:
        """Send what other threads asked for, in the midst of a wait for the peer."""
        self.dul.pump()
        if not self.goes_on():
            raise _Ended

    def _attend(self) -> None:
        """Send what others asked for; serve messages, release and abort, as the library does."""
        self.dul.pump()
        self._is_paused = False
        while self._reactor_checkpoint.is_set() and not self.dimse.msg_queue.empty():
            context_id, message = self.dimse.msg_queue.get_nowait()
            if message is not None and context_id is not None:
                self._serve_request(message, context_id)
        self._is_paused = True
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released = True
            self.is_established = False
            evt.trigger(self, evt.EVT_RELEASED, {})
            self.kill()
        elif self.acse.is_aborted():
            self.dul.receive_pdu(wait=False)
            self.is_aborted = True
            self.is_established = False
            evt.trigger(self, evt.EVT_ABORTED, {})
            self.kill()

    def _answer(self, context_id: int, command: bytes) -> None:
        maximum_bytes = self.requestor.maximum_length or 0
        pdus = command_pdus(context_id, command, maximum_bytes=maximum_bytes)
        self.connection.send(pdus, limit_s=PDU_LIMIT_S)
        if self.get_handlers(evt.EVT_DIMSE_SENT):
            evt.trigger(self, evt.EVT_DIMSE_SENT, {"message": None})

    def _pass_on(self, context_id: int, control: int, content: bytes) -> None:
        primitive = P_DATA()
        value: Any = [[context_id, bytes([control]) + content]]
        primitive.presentation_data_value_list = value
        self.dimse.receive_primitive(primitive)
        self.dul.pump()

    # The end.

    def _give_up(self) -> None:
        """Abort what the peer broke off, garbled or slept over."""
        with contextlib.suppress(Exception):
            if self.dul.state_machine.current_state not in (IDLE, CLOSING):
                self.dul.event_queue.put(_INVALID_PDU)
                self.dul.pump()
        self.is_aborted = True
        self.is_established = False

    def _end(self) -> None:
        """Leave nothing behind, then let the peer read our last words."""
        self.connection.woken = self.connection.reusing = lambda: None
        self._kill = True
        self.is_established = False
        try:
            if self._storing is not None:
                self._storing.drop()
        finally:
            self._serving.ended(self)
            self._hang_up()

    def _hang_up(self) -> None:
        with contextlib.suppress(Exception):
            self.dul.pump()  # an abort that another thread asked for a moment ago
        if self.dul.state_machine.current_state == CLOSING:
            self.connection.linger(_LINGER_S)
        self.connection.close()
        with contextlib.suppress(Exception):
            if self.dul.state_machine.current_state != IDLE:
                self.dul.state_machine.do_action(CLOSED)
        self._bell.take_down()

"""A storage SCP: who is admitted, what is negotiated, and what keeps the objects.

The receiver for scanners and the stand-in for a PACS differ in whom they admit, in what they
negotiate, and in what they do with an object that came whole.
"""

import logging
import secrets
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext

from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.quiet import silence_libraries
from dicom_node.receive.admission import (
    AllowedPeer,
    Doors,
    LastMinute,
    Pace,
    Refusal,
    Request,
    Rules,
    admit,
    plain_address,
)
from dicom_node.receive.contract import contract_broken
from dicom_node.receive.pdata import MAXIMUM_PDU_BYTES
from dicom_node.receive.plain import PlainServer, PlainStoring
from dicom_node.receive.server_tls import fingerprint
from dicom_node.receive.spool import Spool
from dicom_node.receive.storing import Admitted, Serving, Store
from dicom_node.status import SUCCESS

log = logging.getLogger(__name__)

ACSE_TIMEOUT_S: Final = 10.0
NETWORK_TIMEOUT_S: Final = 120.0
DIMSE_TIMEOUT_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.1
_NO_LIMIT: Final = 1_000_000
"""The library counts connections; we count associations, so that silent sockets take no place."""


Handlers = Sequence[tuple[evt.EventType, Callable[..., Any]]]


class _Server(Protocol):
    def serve_forever(self, poll_interval: float) -> None: ...

    def shutdown(self) -> None: ...


class StorageSCP:
    """Listens for associations and hands over what was stored.

    Parameters
    ----------
    ae_title
        Ours.
    listening
        A bound socket that does not block (`dicom_node.receive.listening`).
    rules
        Who is admitted.
    contexts
        What is negotiated.
    spool
        Where data sets go while they come in.
    store
        Called in the association's thread for every object that came whole.
    refused
        Told in one sentence about a request that was not admitted.
    services
        Further DIMSE services: event of the library and its handler.
    tls
        None means clear text.
    doors
        How many connections may be open.
    is_drained
        Whether an operator lets the line run empty.
    """

    def __init__(
        self,
        *,
        ae_title: str,
        listening: socket.socket,
        rules: Rules,
        contexts: list[PresentationContext],
        spool: Spool,
        store: Store,
        refused: Callable[[str], None] = log.warning,
        services: Handlers = (),
        tls: ssl.SSLContext | None = None,
        doors: Doors = Doors(),  # noqa: B008  a frozen value
        is_drained: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ae_title = ae_title
        self._socket = listening
        self._rules = rules
        self._contexts = contexts
        self._spool = spool
        self._store = store
        self._refused = refused
        self._services = services
        self._tls = tls
        self._doors = doors
        self._is_drained = is_drained
        self._admitted: dict[Association, Admitted] = {}
        self._began = LastMinute()
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self.words = ""
        """Something that the technician should know about how it receives, or nothing."""

    def start(self) -> None:
        """Take connections."""
        silence_libraries()
        self._spool.join()
        problem = contract_broken()
        self._server = self._fast_server() if problem is None else self._plain_server(problem)
        threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_EVERY_S,), name="scp", daemon=True
        ).start()

    def _fast_server(self) -> _Server:
        from dicom_node.receive.server import NodeServer

        return NodeServer(
            self._entity(),
            self._socket,
            handlers=self._handlers(),
            serving=Serving(
                intake=self._spool,
                store=self._store,
                admitted=self._admitted.get,
                ended=self._end,
                refused=self._refused,
            ),
            doors=self._doors,
            tls=self._tls,
            noticed=self._refused,
        )

    def _plain_server(self, problem: str) -> _Server:
        self.words = f"receives slowly, because {problem}"
        log.warning("The node receives slowly, because %s.", problem)
        storing = PlainStoring(self._spool.scratch, self._spool, self._store, opaque_name)

        def on_closed(event: Event) -> None:
            self._end(event.assoc)
            if not self._admitted:
                storing.sweep()

        return PlainServer(
            self._entity(),
            self._socket,
            handlers=[*self._handlers(), storing.handler, (evt.EVT_CONN_CLOSE, on_closed)],
            tls=self._tls,
            noticed=self._refused,
        )

    def _handlers(self) -> Handlers:
        return [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            *self._services,
        ]

    def stop(self) -> None:
        """Stop listening, abort what is open, and remove what was half received."""
        assert self._server is not None, "start() first"  # noqa: S101
        self._server.shutdown()
        self._spool.leave()

    def open_associations(self) -> frozenset[str]:
        """Opaque names of the associations that are open, in this process or another."""
        return frozenset(self._spool.open_associations())

    def _entity(self) -> AE:
        entity = AE(ae_title=self._ae_title)
        entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.maximum_pdu_size = MAXIMUM_PDU_BYTES
        entity.maximum_associations = _NO_LIMIT
        entity.acse_timeout = ACSE_TIMEOUT_S
        entity.network_timeout = NETWORK_TIMEOUT_S
        entity.dimse_timeout = DIMSE_TIMEOUT_S
        entity.supported_contexts = self._contexts
        return entity

    def _on_requested(self, event: Event) -> None:
        association: Any = event.assoc
        primitive = association.requestor.primitive
        title = primitive.calling_ae_title.strip()
        address = plain_address(association.requestor.address)
        is_drained = self._is_drained()  # may wait for the journal, and nobody waits for us then
        with self._lock:
            request = self._request(primitive, title, address, association.dul.socket.socket)
            decision = admit(
                request, self._rules, has_room=self._spool.takes_new(), is_drained=is_drained
            )
            if not isinstance(decision, Refusal):
                self._begin(association, title, decision)
                return
        # The library looks at is_rejected after this handler; kill() waits until the PDU is out.
        association.acse.send_reject(decision.result, decision.source, decision.diagnostic)
        association.kill()
        self._refused(f"An association from {address} was rejected: {decision.words}.")

    def _request(self, primitive: Any, title: str, address: str, peer: object) -> Request:
        open_ones = self._spool.open_associations()
        return Request(
            calling_ae_title=title,
            called_ae_title=primitive.called_ae_title,
            address=address,
            abstract_syntaxes=tuple(
                str(one.abstract_syntax) for one in primitive.presentation_context_definition_list
            ),
            n_open=len(open_ones),
            n_open_of_caller=Counter(open_ones.values())[title],
            n_last_minute=self._began.count(title, time.monotonic()),
            certificate=fingerprint(peer),
        )

    def _begin(self, association: Any, title: str, peer: AllowedPeer) -> None:
        now = time.monotonic()
        name = secrets.token_hex(8)
        if peer.limits.associations_per_minute is not None:
            self._began.add(title, now)
        self._spool.begin_association(name, scanner=title)
        self._admitted[association] = Admitted(
            name=name,
            scanner=title,
            pace=Pace(peer.limits.maximum_mb_s),
            ends_at=now + peer.limits.maximum_association_s,
        )
        association.opaque_name = name

    def _end(self, association: Association) -> None:
        admitted = self._admitted.pop(association, None)
        if admitted is not None:
            self._spool.end_association(admitted.name)


def opaque_name(association: Association) -> str:
    """Give the opaque name of an association of which a peer asked; empty before its admission."""
    return str(getattr(association, "opaque_name", ""))

"""A storage SCP: pynetdicom's state machine with our socket, reassembly and admission.

The receiver for scanners and the stand-in for a PACS differ in whom they admit, in what they
negotiate, and in what they do with an object that came whole.
"""

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext

from dicom_node.admission import Request, Rules, admit
from dicom_node.quiet import silence_libraries
from dicom_node.spool import Spool
from dicom_node.status import SUCCESS
from dicom_node.transfer import Transfer
from dicom_node.wire import MAXIMUM_PDU_BYTES, NodeHandler, NodeServer, spooling

log = logging.getLogger(__name__)

ACSE_TIMEOUT_S: Final = 10.0
NETWORK_TIMEOUT_S: Final = 120.0
DIMSE_TIMEOUT_S: Final = 30.0
_NO_LIMIT: Final = 1_000_000
"""The library counts connections; we count associations, so that silent sockets take no place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a C-STORE command said about its object."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


Store = Callable[[Announced, Transfer], int]
"""Keeps an object that came whole, and gives the DIMSE status."""


class StorageSCP:
    """Listens for associations and hands over what was stored.

    Parameters
    ----------
    ae_title
        Ours.
    listening
        A bound socket that does not block (`dicom_node.listening`).
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
        services: Sequence[tuple[evt.EventType, Callable[..., Any]]] = (),
    ) -> None:
        self._ae_title = ae_title
        self._socket = listening
        self._rules = rules
        self._contexts = contexts
        self._spool = spool
        self._store = store
        self._refused = refused
        self._services = services
        self._server: NodeServer | None = None

    def start(self) -> None:
        """Take connections."""
        silence_libraries()
        self._spool.join()
        server = self._entity().make_server(
            self._socket.getsockname()[:2],
            evt_handlers=[
                (evt.EVT_REQUESTED, self._on_requested),
                (evt.EVT_CONN_CLOSE, self._on_closed),
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_C_ECHO, lambda _event: SUCCESS),
                *self._services,
            ],
            server_class=type("Server", (NodeServer,), {"listening": self._socket}),
            request_handler=type("Handler", (NodeHandler,), {"intake": self._spool}),
        )
        assert isinstance(server, NodeServer)  # noqa: S101  the class that was asked for
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.1,), name="scp", daemon=True).start()

    def stop(self) -> None:
        """Stop listening, abort what is open, and remove what was half received."""
        self._listening().shutdown()
        self._spool.leave()

    def open_associations(self) -> frozenset[str]:
        """Opaque names of the associations that are open, in this process or another."""
        return frozenset(self._spool.open_associations())

    def _entity(self) -> AE:
        entity = AE(ae_title=self._ae_title)
        entity.maximum_pdu_size = MAXIMUM_PDU_BYTES
        entity.maximum_associations = _NO_LIMIT
        entity.acse_timeout = ACSE_TIMEOUT_S
        entity.network_timeout = NETWORK_TIMEOUT_S
        entity.dimse_timeout = DIMSE_TIMEOUT_S
        entity.supported_contexts = self._contexts
        return entity

    def _listening(self) -> NodeServer:
        assert self._server is not None, "start() first"  # noqa: S101
        return self._server

    def _on_requested(self, event: Event) -> None:
        association = event.assoc
        request = association.requestor.primitive
        assert request is not None  # noqa: S101  the event says that it came
        refusal = admit(
            Request(
                calling_ae_title=request.calling_ae_title,
                called_ae_title=request.called_ae_title,
                address=association.requestor.address,
                abstract_syntaxes=tuple(
                    str(one.abstract_syntax) for one in request.presentation_context_definition_list
                ),
                n_open=len(self._spool.open_associations()),
            ),
            self._rules,
            has_room=self._spool.takes_new(),
        )
        if refusal is None:
            self._spool.begin_association(
                spooling(association).association, scanner=request.calling_ae_title.strip()
            )
            return
        # pynetdicom looks at is_rejected after this handler; kill() waits until the PDU is out.
        association.acse.send_reject(refusal.result, refusal.source, refusal.diagnostic)
        association.kill()
        address = association.requestor.address
        self._refused(f"An association from {address} was rejected: {refusal.words}.")

    def _on_closed(self, event: Event) -> None:
        spooling(event.assoc).drop()
        self._spool.end_association(spooling(event.assoc).association)

    def _on_store(self, event: Event) -> int:
        transfer = spooling(event.assoc).take()
        request = cast("C_STORE", event.request)
        try:
            return self._store(
                Announced(
                    sop_class_uid=str(request.AffectedSOPClassUID),
                    sop_instance_uid=str(request.AffectedSOPInstanceUID),
                    transfer_syntax_uid=str(event.context.transfer_syntax),
                ),
                transfer,
            )
        finally:
            self._spool.close(transfer)

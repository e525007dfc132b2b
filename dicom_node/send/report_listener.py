"""Listening for answers to our requests for storage commitment, on associations of the PACS."""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.errors import ConfigError
from appliance.settings import ServerTls
from dicom_node.contexts import STORAGE_COMMITMENT, commitment_context
from dicom_node.quiet import silence_libraries
from dicom_node.receive.admission import Doors, Pace
from dicom_node.receive.contract import contract_broken
from dicom_node.receive.listening import listen
from dicom_node.receive.server_tls import server_context
from dicom_node.receive.storing import Admitted, Serving
from dicom_node.status import CANNOT_UNDERSTAND, PROCESSING_FAILURE, SUCCESS

log = logging.getLogger(__name__)

MAXIMUM_ASSOCIATIONS: Final = 8
_DOORS: Final = Doors(connections_per_address=16, maximum_connections=64, maximum_silent=16)
_TIMEOUT_S: Final = 30.0
_LONGEST_ASSOCIATION_S: Final = 300.0
_LOOK_EVERY_S: Final = 0.1

OnReport = Callable[[int, Dataset], int]
"""Takes Event Type ID and Event Information, and gives the status."""


class _Server(Protocol):
    def shutdown(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class ReportListener:
    """Takes N-EVENT-REPORT, and C-ECHO from those who look whether we are there.

    The PACS is SCP of the service on an association that it asks for itself: it proposes the SCP
    role (PS3.7 D.3.3.4), and is accepted with it; one that proposes no roles is served too.
    """

    ae_title: str
    host: str
    port: int
    """0 takes any free one, which is known after `start`."""
    on_report: OnReport
    tls: ServerTls | None = None
    """None means clear text."""
    _server: _Server | None = field(default=None)

    def start(self) -> None:
        """Listen; raises ConfigError when the port cannot be had, or TLS is not set up soundly."""
        silence_libraries()
        key = "confirmation.report_tls"
        context = None if self.tls is None else server_context(self.tls, key=key)
        handlers = [
            (evt.EVT_N_EVENT_REPORT, reporting(self.on_report)),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
        ]
        try:
            self._server = self._listen(handlers, context)
        except (ConfigError, OSError) as error:
            raise ConfigError(
                f"confirmation.report_port: {self.host}:{self.port} cannot be listened on."
            ) from error

    def stop(self) -> None:
        """Stop listening, and abort what is open."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _listen(self, handlers: list[Any], context: ssl.SSLContext | None) -> _Server:
        entity = self._entity()
        if contract_broken() is not None:  # the library alone, as the node does too
            server = entity.start_server(
                (self.host, self.port), block=False, evt_handlers=handlers, ssl_context=context
            )
            assert server is not None  # noqa: S101  it does not block
            self.port = int(server.server_address[1])
            return server
        from dicom_node.receive.server import NodeServer

        listening = listen(self.host, self.port)
        self.port = int(listening.getsockname()[1])
        made = NodeServer(
            entity, listening, handlers=handlers, serving=_SERVING, doors=_DOORS, tls=context
        )
        threading.Thread(
            target=made.serve_forever, args=(_LOOK_EVERY_S,), name="reports", daemon=True
        ).start()
        return made

    def _entity(self) -> AE:
        entity = AE(ae_title=self.ae_title)
        entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.require_called_aet = True
        entity.maximum_associations = MAXIMUM_ASSOCIATIONS
        entity.acse_timeout = entity.network_timeout = entity.dimse_timeout = _TIMEOUT_S
        entity.add_supported_context(
            STORAGE_COMMITMENT,
            commitment_context().transfer_syntax,
            scu_role=True,
            scp_role=True,
        )
        entity.add_supported_context(Verification)
        return entity


def reporting(on_report: OnReport) -> Callable[[Event], tuple[int, None]]:
    """Make the handler of N-EVENT-REPORT; what cannot be read is a processing failure."""

    def handle(event: Event) -> tuple[int, None]:
        try:
            return on_report(event.event_type or 0, event.event_information), None
        except Exception:  # noqa: BLE001  what a peer sends must not end the daemon
            log.warning("an answer to a request for storage commitment could not be read")
            return PROCESSING_FAILURE, None

    return handle


class _NoIntake:
    """Where objects would go; no storage context is ever accepted here."""

    def open(self, **_words: object) -> Any:
        raise AssertionError("no object can come here")

    def close(self, transfer: object) -> None:
        """Nothing was opened."""


def _admitted(_association: object) -> Admitted:
    return Admitted(
        name="",
        scanner="",
        pace=Pace(0.0),
        ends_at=time.monotonic() + _LONGEST_ASSOCIATION_S,
    )


_SERVING: Final = Serving(
    intake=_NoIntake(),
    store=lambda _announced, _transfer: CANNOT_UNDERSTAND,
    admitted=_admitted,
    ended=lambda _association: None,
    refused=log.warning,
)

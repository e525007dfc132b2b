"""Listening for answers to our requests for storage commitment, on associations of the PACS."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from appliance.errors import ConfigError
from dicom_node.contexts import STORAGE_COMMITMENT, commitment_context
from dicom_node.quiet import silence_libraries
from dicom_node.status import PROCESSING_FAILURE, SUCCESS

log = logging.getLogger(__name__)

MAXIMUM_ASSOCIATIONS: Final = 8
_TIMEOUT_S: Final = 10.0

OnReport = Callable[[int, Dataset], int]
"""Takes Event Type ID and Event Information, and gives the status."""


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
    _server: ThreadedAssociationServer | None = None

    def start(self) -> None:
        """Listen; raises ConfigError when the port cannot be had."""
        silence_libraries()
        entity = AE(ae_title=self.ae_title)
        entity.require_called_aet = True
        entity.maximum_associations = MAXIMUM_ASSOCIATIONS
        entity.acse_timeout = entity.network_timeout = entity.dimse_timeout = _TIMEOUT_S
        context = commitment_context()
        entity.add_supported_context(
            STORAGE_COMMITMENT, context.transfer_syntax, scu_role=True, scp_role=True
        )
        entity.add_supported_context(Verification)
        try:
            self._server = entity.start_server(
                (self.host, self.port),
                block=False,
                evt_handlers=[
                    (evt.EVT_N_EVENT_REPORT, reporting(self.on_report)),
                    (evt.EVT_C_ECHO, lambda _event: SUCCESS),
                ],
            )
        except OSError as error:
            raise ConfigError(
                f"confirmation.report_port: {self.host}:{self.port} cannot be listened on."
            ) from error
        assert self._server is not None  # noqa: S101  it does not block
        self.port = int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening, and abort what is open."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None


def reporting(on_report: OnReport) -> Callable[[Event], tuple[int, None]]:
    """Make the handler of N-EVENT-REPORT; what cannot be read is a processing failure."""

    def handle(event: Event) -> tuple[int, None]:
        try:
            return on_report(event.event_type or 0, event.event_information), None
        except Exception:  # noqa: BLE001  what a peer sends must not end the daemon
            log.warning("an answer to a request for storage commitment could not be read")
            return PROCESSING_FAILURE, None

    return handle

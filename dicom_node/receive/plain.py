"""Receiving by the library alone, for a version of it that our own parts do not fit.

It is slow, it reads whatever length a peer announces, and it leaves what was dropped lying until
its association ends; but what it answers with success is as durable, memory does not grow with the
object, and nothing is written outside of the spool. Only public names of the library are used.
"""

import contextlib
import logging
import socket
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from socketserver import BaseServer
from typing import Any, Final

from pynetdicom import AE, _config, evt
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.receive.server_tls import reason
from dicom_node.receive.storing import Intake, Store
from dicom_node.receive.transfer import Announced

log = logging.getLogger(__name__)

NOT_AUTHORIZED: Final = 0x0124
"""General failure of DIMSE (PS3.7 C.5)."""
_META_LENGTH_AT: Final = 140
_META_BEGINS_AT: Final = 144
"""After preamble, prefix and the group length of the file meta information (PS3.10 7.1)."""
_PIECE_BYTES: Final = 1 << 20
_HANDSHAKE_LIMIT_S: Final = 10.0
_TEMPORARY: Final = "*.dcm"


class PlainServer(ThreadedAssociationServer):
    """The library's server on a socket that is bound already."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(
        self,
        entity: AE,
        listening: socket.socket,
        *,
        handlers: Any,
        tls: ssl.SSLContext | None,
        noticed: Callable[[str], None],
    ) -> None:
        self._listening = listening
        self._tls = tls
        self._noticed = noticed
        super().__init__(
            entity,
            listening.getsockname(),
            entity.ae_title,
            entity.supported_contexts,
            evt_handlers=handlers,
        )

    def server_bind(self) -> None:
        """Take the socket that is bound already."""
        assert self.socket is not None  # noqa: S101  made by socketserver
        self.socket.close()
        self.socket = self._listening
        self.server_address = self._listening.getsockname()

    def server_activate(self) -> None:
        """Nothing to do: the socket listens already."""

    def server_close(self) -> None:
        """Close our share of the socket; other processes may still listen on it."""
        assert self.socket is not None  # noqa: S101  made by socketserver
        self.socket.close()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the connection's own thread, and hand it to the library."""
        request.settimeout(_HANDSHAKE_LIMIT_S)
        if self._tls is not None:
            try:
                request = self._tls.wrap_socket(request, server_side=True)
            except OSError as error:
                words = reason(error)
                self._noticed(f"A TLS connection from {client_address[0]} failed: {words}.")
                self.shutdown_request(request)
                return
        request.settimeout(None)
        super().finish_request(request, client_address)

    def shutdown(self) -> None:
        """Stop listening and abort what is open."""
        BaseServer.shutdown(self)
        for association in self.active_associations:
            association.abort()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Say that a connection failed; the others go on."""
        log.warning("a connection could not be set up")


class PlainStoring:
    """Takes what the library wrote to a temporary file through the same path as ever.

    Parameters
    ----------
    scratch
        Folder for the library's temporary files.
    intake, store
        Where data sets go, and who keeps them.
    name_of
        Gives the opaque name of an association.
    """

    def __init__(
        self, scratch: Path, intake: Intake, store: Store, name_of: Callable[[Any], str]
    ) -> None:
        self._scratch = scratch
        self._intake = intake
        self._store = store
        self._name_of = name_of
        tempfile.tempdir = str(scratch)
        _config.STORE_RECV_CHUNKED_DATASET = True

    @property
    def handler(self) -> tuple[evt.EventType, Callable[[Event], int]]:
        """What to bind."""
        return evt.EVT_C_STORE, self._on_store

    def sweep(self) -> None:
        """Remove what dropped transfers left; only while no association is open."""
        for path in self._scratch.glob(_TEMPORARY):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _on_store(self, event: Event) -> int:
        if not self._name_of(event.assoc):  # its admission failed; the library goes on
            return NOT_AUTHORIZED
        request: Any = event.request
        announced = Announced(
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
        )
        path = Path(event.dataset_path)
        transfer = self._intake.open(
            association=self._name_of(event.assoc), scanner=event.assoc.requestor.ae_title.strip()
        )
        try:
            transfer.begin(
                sop_class_uid=announced.sop_class_uid,
                sop_instance_uid=announced.sop_instance_uid,
                transfer_syntax_uid=announced.transfer_syntax_uid,
            )
            with path.open("rb") as file:
                length = file.read(_META_BEGINS_AT)[_META_LENGTH_AT:]
                file.seek(_META_BEGINS_AT + int.from_bytes(length, "little"))
                while piece := file.read(_PIECE_BYTES):
                    transfer.write(piece)
            path.unlink()
            return self._store(announced, transfer)
        finally:
            path.unlink(missing_ok=True)
            self._intake.close(transfer)

"""The listener: takes connections, holds them to their limits, and gives each a thread of its own.

A connection costs a thread and a small buffer until it has asked for an association; the library
first hears of it then. So silent, slow and garbled connections cost next to nothing, a TLS
handshake blocks only its own connection, and all of it ends at a deadline.
"""

import contextlib
import logging
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from socketserver import BaseServer
from typing import Any, Final

from pynetdicom import AE, evt
from pynetdicom.transport import AssociationServer

from appliance.daemon import describe
from dicom_node.receive.admission import Caller, Doors, may_connect, must_go, plain_address
from dicom_node.receive.connection import Connection
from dicom_node.receive.pdata import MalformedPdu
from dicom_node.receive.reactor import (
    A_ASSOCIATE_RQ,
    NEGOTIATION_PDU_BYTES,
    NodeAssociation,
)
from dicom_node.receive.server_tls import reason
from dicom_node.receive.storing import Serving

log = logging.getLogger(__name__)

NEGOTIATION_LIMIT_S: Final = 10.0
"""From the connection to the whole association request, TLS handshake included."""
_ABORT: Final = bytes.fromhex("07000000000400000200")
"""A-ABORT by the service provider, reason not specified (PS3.8 9.3.8)."""
_SAY_S: Final = 2.0
_STOP_LIMIT_S: Final = 3.0
_BREATH_S: Final = 0.05

Handlers = Sequence[tuple[evt.EventType, Callable[..., Any]]]


@dataclass(slots=True, eq=False)
class _Guest:
    """An open connection and the thread that serves it."""

    socket: socket.socket
    address: str
    since: float
    thread: threading.Thread | None = None
    association: NodeAssociation | None = None

    def caller(self) -> Caller:
        return Caller(address=self.address, since=self.since, is_silent=self.association is None)

    def hang_up(self) -> None:
        """Wake its thread with the news that the connection is over."""
        with contextlib.suppress(OSError):  # the plain way: TLS would forget its state meanwhile
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class NodeServer(AssociationServer):
    """A listener on a socket that is bound already.

    Parameters
    ----------
    entity
        Our application entity; it brings its presentation contexts and time limits.
    listening
        A bound socket that does not block; other processes may listen on it too.
    handlers
        Events of the library and their handlers.
    serving
        What associations are served with.
    doors
        How many connections may be open.
    tls
        None means clear text.
    noticed
        Told in a sentence of ours about a TLS handshake that failed.
    """

    def __init__(
        self,
        entity: AE,
        listening: socket.socket,
        *,
        handlers: Handlers,
        serving: Serving,
        doors: Doors,
        tls: ssl.SSLContext | None = None,
        noticed: Callable[[str], None] = log.warning,
    ) -> None:
        self._listening = listening
        self._serving = serving
        self._doors = doors
        self._tls = tls
        self._noticed = noticed
        self._guests: set[_Guest] = set()
        self._lock = threading.Lock()
        _allow_files()
        super().__init__(
            entity,
            listening.getsockname(),
            entity.ae_title,
            entity.supported_contexts,
            evt_handlers=list(handlers),
        )

    @property
    def active_associations(self) -> list[Any]:
        """The associations that are open."""
        with self._lock:
            return [one.association for one in self._guests if one.association is not None]

    def n_connections(self) -> int:
        """How many connections are open, associated or silent."""
        with self._lock:
            return len(self._guests)

    # What socketserver asks of a server.

    def server_bind(self) -> None:
        """Take the socket that is bound already."""
        assert self.socket is not None  # noqa: S101  made by socketserver
        self.socket.close()
        self.socket = self._listening
        self.server_address = self._listening.getsockname()

    def server_activate(self) -> None:
        """Nothing to do: the socket listens already, with the backlog that it was given."""

    def server_close(self) -> None:
        """Close our share of the socket; other processes may still listen on it."""
        assert self.socket is not None  # noqa: S101  made by socketserver
        self.socket.close()

    def service_actions(self) -> None:
        """Nothing to do between connections; the library would collect garbage."""

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; when there is no descriptor left for it, wait a little."""
        assert self.socket is not None  # noqa: S101  we are listening
        try:
            return self.socket.accept()
        except BlockingIOError:  # another process was quicker
            raise
        except OSError:
            time.sleep(_BREATH_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its thread, or close it."""
        guest = _Guest(request, plain_address(client_address[0]), time.monotonic())
        with self._lock:
            callers = {one.caller(): one for one in self._guests}
            if not may_connect(guest.address, tuple(callers), self._doors):
                request.close()
                self._noticed(f"A connection from {guest.address} was refused: too many are open.")
                return
            self._guests.add(guest)
            for one in must_go(tuple(callers), self._doors):
                callers[one].hang_up()
        guest.thread = threading.Thread(
            target=self._attend, args=(guest, client_address), name="association", daemon=True
        )
        try:
            guest.thread.start()
        except RuntimeError:  # no more threads
            self._forget(guest)
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Say that a connection failed; the others go on."""
        log.warning("a connection could not be set up")

    def shutdown(self) -> None:
        """Stop listening, abort what is open, and wait for the threads."""
        BaseServer.shutdown(self)
        self.server_close()
        with self._lock:
            guests = tuple(self._guests)
        for one in guests:
            if one.association is None:
                one.hang_up()
            else:
                one.association.abort(block=False)
                one.association.kill()
                one.association.wake()
        deadline = time.monotonic() + _STOP_LIMIT_S
        for one in guests:
            if one.thread is not None:
                one.thread.join(max(0.0, deadline - time.monotonic()))

    # The thread of a connection.

    def _attend(self, guest: _Guest, client_address: Any) -> None:
        deadline = time.monotonic() + NEGOTIATION_LIMIT_S
        try:
            guest.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            guest.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._tls is not None:
                guest.socket.settimeout(NEGOTIATION_LIMIT_S)
                secured = self._tls.wrap_socket(
                    guest.socket, server_side=True, do_handshake_on_connect=False
                )
                guest.socket = secured
                secured.do_handshake()
        except OSError as error:
            self._notice(guest.address, error)
        else:
            self._negotiate(guest, client_address, deadline)
        finally:
            self._forget(guest)

    def _forget(self, guest: _Guest) -> None:
        guest.socket.close()
        with self._lock:
            self._guests.discard(guest)

    def _negotiate(self, guest: _Guest, client_address: Any, deadline: float) -> None:
        connection = Connection(guest.socket)
        try:
            request = connection.read_pdu(
                limit_bytes=NEGOTIATION_PDU_BYTES,
                idle_until=deadline,
                pdu_limit_s=NEGOTIATION_LIMIT_S,
                until=deadline,
            )
            if request[0] == A_ASSOCIATE_RQ:
                guest.association = NodeAssociation(self, connection, client_address, self._serving)
                guest.association.serve(request)
            else:
                self._turn_away(guest, connection)
        except MalformedPdu:
            self._turn_away(guest, connection)
        except OSError:
            log.info("a connection from %s asked for no association", guest.address)
        except Exception as error:  # noqa: BLE001  a bug met by one connection is no other's
            log.error("a connection failed: %s", describe(error))
        finally:
            connection.close()

    def _notice(self, address: str, error: OSError) -> None:
        if self._tls is not None:
            self._noticed(f"A TLS connection from {address} failed: {reason(error)}.")

    def _turn_away(self, guest: _Guest, connection: Connection) -> None:
        """Abort what is no DICOM, as PS3.8 9.2 asks in state 2."""
        self._noticed(f"A connection from {guest.address} sent what is no DICOM.")
        try:
            connection.send(_ABORT, limit_s=_SAY_S)
        except OSError:
            return
        connection.linger(_SAY_S)


def _allow_files() -> None:
    """Let this process open as many files as it may at all; the usual limit is 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

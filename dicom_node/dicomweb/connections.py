"""Connections of the endpoint: how many there may be, and how long one may take to ask.

uvicorn speaks HTTP on them. It has no limit of its own for a client that never ends its headers, or
its TLS handshake; the limits are here, in the two places that it offers for it.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from appliance.daemon import describe
from dicom_node.dicomweb.endpoint import CERTIFICATE
from dicom_node.dicomweb.pace import STANDARD, Limits
from dicom_node.receive.admission import Doors, plain_address
from dicom_node.receive.server_tls import fingerprint, reason

log = logging.getLogger(__name__)

_KEEP_ALIVE_S: Final = 8
"""Shorter than the wait for headers, so that an idle connection is closed in good order."""
_HEADER_BYTES: Final = 16_384
_NO_SOCKET_WAIT_S: Final = 0.1
_SHUTDOWN_S: Final = 3.0


class Connection(H11Protocol):
    """A connection that is dropped when the headers of a request do not come in time."""

    limits: Limits = STANDARD

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Begin to wait for a request."""
        self.gone = asyncio.Event()
        self._headers_due: asyncio.TimerHandle | None = None
        shown = fingerprint(transport.get_extra_info("ssl_object"))
        self.app_state = {**self.app_state, CERTIFICATE: shown}
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the wait is over when they end a request's headers."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it came already."""
        self._expect_headers()
        answered = self.cycle
        super().on_response_complete()
        if self.cycle is not answered:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that it is gone."""
        self._stop_waiting()
        super().connection_lost(exc)
        self.gone.set()

    def _expect_headers(self) -> None:
        self._stop_waiting()
        self._headers_due = self.loop.call_later(self.limits.header_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None


class WebServer(uvicorn.Server):
    """uvicorn on a socket that is bound already; it takes the connections one by one.

    Parameters
    ----------
    application
        ASGI.
    listening
        A bound socket that does not block.
    tls
        None means clear text, which the settings allow on the loopback only; a proxy there may say
        for whom it speaks.
    refused
        Told in one sentence about a TLS handshake that failed.
    doors, limits
        How many connections there may be, and for how long.
    """

    def __init__(
        self,
        application: Any,
        listening: socket.socket,
        *,
        tls: ssl.SSLContext | None,
        refused: Callable[[str], None] = log.warning,
        doors: Doors = Doors(),  # noqa: B008  a frozen value
        limits: Limits = STANDARD,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                loop="asyncio",
                http=Connection,
                ws="none",
                interface="asgi3",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=tls is None,
                forwarded_allow_ips="127.0.0.1,::1",
                timeout_keep_alive=_KEEP_ALIVE_S,
                h11_max_incomplete_event_size=_HEADER_BYTES,
                workers=1,
            )
        )
        self._listening = listening
        self._tls = tls
        self._refused = refused
        self._doors = doors
        self._limits = limits
        self._open_from: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Begin to take connections."""
        asyncio.get_running_loop().set_exception_handler(_note_bug)
        self.servers = []
        accepting = self._keep(self._accept())
        accepting.add_done_callback(self._stop_serving)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and drop what is open: its client sends again, and nothing half is kept."""
        for task in tuple(self._tasks):
            task.cancel()
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _stop_serving(self, _accepting: asyncio.Task[None]) -> None:
        """End: who takes no connections is of no use, and the node starts another."""
        self.should_exit = True

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, address = await loop.sock_accept(self._listening)
            except OSError:  # no descriptor is left, or the peer is gone again
                await asyncio.sleep(_NO_SOCKET_WAIT_S)
                continue
            host = str(address[0])
            is_full = self._open_from.total() >= self._doors.maximum_connections
            if is_full or self._open_from[host] >= self._doors.connections_per_address:
                peer.close()
                continue
            self._open_from[host] += 1
            self._keep(self._serve_one(peer, host))

    async def _serve_one(self, peer: socket.socket, host: str) -> None:
        try:
            protocol = await self._connected(peer)
            await protocol.gone.wait()
        except OSError as error:
            peer.close()
            words = (
                f"A DICOMweb connection from {plain_address(host)} was dropped: {reason(error)}."
            )
            await asyncio.to_thread(self._refused, words)
        finally:
            self._open_from[host] -= 1
            if not self._open_from[host]:
                del self._open_from[host]

    async def _connected(self, peer: socket.socket) -> Connection:
        is_tls = self._tls is not None
        _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
            self._protocol,
            peer,
            ssl=self._tls,
            ssl_handshake_timeout=self._limits.header_s if is_tls else None,
            ssl_shutdown_timeout=_SHUTDOWN_S if is_tls else None,
        )
        return protocol

    def _protocol(self) -> Connection:
        made = Connection(self.config, self.server_state, {})
        made.limits = self._limits
        return made


def _note_bug(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    with contextlib.suppress(Exception):
        if isinstance(error, Exception) and not isinstance(error, OSError):
            log.error("the event loop met an error: %s", describe(error))

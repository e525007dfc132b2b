"""Servers that answer oddly, and lines to a real one that are cut."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Handler = Callable[[socket.socket], None]


@contextmanager
def answering(handle: Handler) -> Iterator[int]:
    """Listen on a port, and let a function deal with each connection; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=_serve, args=(handle, connection), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _serve(handle: Handler, connection: socket.socket) -> None:
    with connection, suppress(OSError):
        handle(connection)


def answer(status: int, body: bytes = b"") -> Handler:
    """Answer whatever comes with a status."""

    def handle(connection: socket.socket) -> None:
        received = connection.recv(1 << 16)
        start, _, sent = received.partition(b"\r\n\r\n")
        lengths = [line for line in start.lower().split(b"\r\n") if b"content-length" in line]
        missing = int(lengths[0].partition(b":")[2]) - len(sent) if lengths else 0
        while missing > 0 and (chunk := connection.recv(1 << 16)):
            missing -= len(chunk)
        head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)

    return handle


def cut_after(port: int, n_bytes: int, *, answers: bool) -> Handler:
    """Pass bytes on to a port, and cut the line.

    Parameters
    ----------
    port
        Where the real server listens.
    n_bytes
        Of what is sent there, this many pass; then the line is cut.
    answers
        Whether answers pass; when not, the line is cut at the first one.
    """

    def handle(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as onward:
            back = threading.Thread(
                target=_pass_back, args=(onward, connection), kwargs={"answers": answers}
            )
            back.start()
            passed = 0
            with suppress(OSError):
                while passed < n_bytes and (
                    chunk := connection.recv(min(1 << 14, n_bytes - passed))
                ):
                    onward.sendall(chunk)
                    passed += len(chunk)
            if passed >= n_bytes:
                _reset(connection)
                _reset(onward)
            back.join(10)

    return handle


def _pass_back(onward: socket.socket, connection: socket.socket, *, answers: bool) -> None:
    with suppress(OSError):
        while chunk := onward.recv(1 << 16):
            if not answers:
                _reset(connection)
                return
            connection.sendall(chunk)


def _reset(connection: socket.socket) -> None:
    """End a connection at once, for both sides."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()

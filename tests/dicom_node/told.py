"""Real receivers of notices: an HTTP server and a mail server on the loopback, with TLS."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import MISSING, AuthResult, LoginPassword

from tests.dicom_node.real_peers import Certificates, free_port


class Desk:
    """What arrived at an HTTP server, and what it answers."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.paths: list[str] = []
        self.status = 204
        self.retry_after = ""
        self.meanwhile: Callable[[], None] = lambda: None
        self.port = 0

    @property
    def tables(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.requests]

    @property
    def told(self) -> list[dict[str, str]]:
        """Every notice that was taken."""
        return [notice for table in self.tables for notice in table["notices"]]


@contextmanager
def http_desk(tls: Certificates | None = None) -> Iterator[Desk]:
    desk = Desk()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            desk.meanwhile()
            if desk.status < 300:
                desk.requests.append((dict(self.headers), body))
                desk.paths.append(self.path)
            self.send_response(desk.status)
            if desk.retry_after:
                self.send_header("Retry-After", desk.retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that leaves in the handshake is no failure of the test."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.server, tls.server_key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    desk.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield desk
    server.shutdown()
    server.server_close()
    thread.join()


class Post:
    """What arrived at a mail server, and what it refuses."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.raw = b""
        self.people: list[str] = []
        self.logins: list[tuple[str, str]] = []
        self.password = "open sesame"  # noqa: S105  of this test alone
        self.refused: frozenset[str] = frozenset()
        self.answer = "250 taken"
        self.challenge = ""
        self.hangs_up = False
        self.port = free_port()

    async def handle_RCPT(  # noqa: N802  aiosmtpd's names
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address in self.refused:
            return "550 nobody of this name"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answer.startswith("2"):
            self.people.extend(envelope.rcpt_tos)
            self.raw += envelope.content
            letter = BytesParser(policy=default).parsebytes(envelope.content)
            assert isinstance(letter, EmailMessage)
            self.letters.append(letter)
        return self.answer

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.hangs_up:
            server.transport.abort()
        return "221 bye"

    async def handle_AUTH(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, arguments: list[str]
    ) -> Any:
        if not self.challenge:
            return MISSING  # go on to `check`
        await server.push(self.challenge)
        return "535 no"

    def check(
        self, server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password.decode() == self.password, handled=False)


@contextmanager
def mail_post(tls: Certificates | None = None, *, starttls: bool = True) -> Iterator[Post]:
    """Run a mail server: STARTTLS and a login are required of whoever has certificates."""
    post = Post()
    options: dict[str, Any] = {}
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.server, tls.server_key)
        if starttls:
            options = {"tls_context": context, "require_starttls": True}
            options |= {"authenticator": post.check, "auth_required": True}
        else:
            options = {"ssl_context": context}
    controller = Controller(post, hostname="127.0.0.1", port=post.port, **options)
    controller.start()
    yield post
    controller.stop()

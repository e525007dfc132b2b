"""A scanner that sends by STOW-RS, and the endpoint in the test's own process."""

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from appliance.settings import Dicomweb, Settings
from dicom_node.dicomweb.pace import Limits
from dicom_node.dicomweb.process import start_web
from dicom_node.receive.listening import listen
from tests.dicom_node.conftest import Hospital, wait_until

TOKEN = "a-token-of-the-scanner-of-enough-characters"  # noqa: S105  of a test
OTHER_TOKEN = "the-token-of-a-scanner-that-is-elsewhere-now"  # noqa: S105  of a test
BOUNDARY = "0f3cf5c0-70e0-41ef-baef"
FAST = Limits(header_s=0.6, idle_s=0.6, grace_s=0.6, linger_s=0.5)
CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


def token_file(folder: Path, token: str, name: str = "token") -> Path:
    path = folder / name
    path.write_text(f"{token}\n")
    path.chmod(0o600)
    return path


def with_web(settings: Settings, folder: Path, **dicomweb: Any) -> Settings:
    """Give the settings with tokens for both scanners, and STOW-RS on the loopback."""
    tokens = [token_file(folder, TOKEN, "one"), token_file(folder, OTHER_TOKEN, "two")]
    scanners = tuple(
        one.model_copy(update={"token_file": path})
        for one, path in zip(settings.scanners, tokens, strict=True)
    )
    web = Dicomweb(host="127.0.0.1", port=0, **dicomweb)
    return settings.model_copy(update={"scanners": scanners, "dicomweb": web})


class WebScanner:
    """Sends to an endpoint."""

    def __init__(self, port: int, *, scheme: str = "http", token: str = TOKEN) -> None:
        self.port = port
        self.base = f"{scheme}://127.0.0.1:{port}"
        self.headers = {"Authorization": f"Bearer {token}"}

    def post(
        self,
        content: bytes | Iterable[bytes],
        *,
        path: str = "/studies",
        verify: Any = True,
        **headers: str,
    ) -> httpx.Response:
        sent = self.headers | {"Content-Type": CONTENT_TYPE}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(
            self.base + path, content=content, headers=sent, timeout=60, verify=verify
        )

    def store(self, *files: Path, path: str = "/studies") -> httpx.Response:
        return self.post(multipart(*[file.read_bytes() for file in files]), path=path)

    def raw(self, *, length: int | None = None, extra: Sequence[str] = ()) -> socket.socket:
        """Open a connection and send the head of a request; its body is the test's business."""
        wire = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = [
            "POST /studies HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Authorization: {self.headers['Authorization']}",
            f"Content-Type: {CONTENT_TYPE}",
            framing,
            *extra,
        ]
        wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return wire


@contextmanager
def serving(
    hospital: Hospital, folder: Path, *, limits: Limits = FAST, **dicomweb: Any
) -> Iterator[WebScanner]:
    """Run the endpoint on the hospital's spool."""
    settings = with_web(hospital.settings, folder, **dicomweb)
    listening = listen("127.0.0.1", 0)
    web = start_web(
        settings, hospital.journal, listening, free=hospital.disk, clock=hospital.now, limits=limits
    )
    wait_until(lambda: web.server.started)
    try:
        yield WebScanner(
            listening.getsockname()[1], scheme="http" if web.server._tls is None else "https"
        )
    finally:
        web.stop()
        listening.close()
        assert not web.thread.is_alive(), "the endpoint did not end"


def multipart(*parts: bytes, kind: str = "application/dicom", boundary: str = BOUNDARY) -> bytes:
    """Encode a body."""
    head = f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode()
    return b"".join(head + one for one in parts) + f"\r\n--{boundary}--\r\n".encode()


def items(answer: httpx.Response, tag: str) -> list[dict[str, Any]]:
    """Give the items of a sequence in an answer."""
    return answer.json().get(tag, {}).get("Value", [])


def stored_uids(answer: httpx.Response) -> list[str]:
    return [one["00081155"]["Value"][0] for one in items(answer, "00081199")]


def reasons(answer: httpx.Response) -> list[int]:
    """Give the failure reasons of what failed, named or not."""
    failed = items(answer, "00081198") + items(answer, "0008119A")
    return [one["00081197"]["Value"][0] for one in failed]


def rest_of(wire: socket.socket) -> bytes:
    """Read what the endpoint says until it closes the connection."""
    content = b""
    try:
        while piece := wire.recv(65_536):
            content += piece
    except ConnectionResetError:
        pass
    return content

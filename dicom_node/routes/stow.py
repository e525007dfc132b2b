"""Storing DICOM files as they are by STOW-RS (PS3.18 10.5): a client that streams from the disk."""

import secrets
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from appliance.errors import DeliveryRefused, PeerUnavailable
from appliance.settings import Web
from dicom_node.quiet import silence_libraries
from dicom_node.routes.store_body import StoreBody, open_file
from dicom_node.send.bearer import bearer
from dicom_node.send.client_tls import ClientContext, client_context
from dicom_node.send.presence import keys_of
from dicom_node.send.sender import Outgoing, Progress
from dicom_node.send.web_answer import (
    ACCEPTED,
    CONFLICT,
    ServiceRefused,
    StoreAnswer,
    check_http,
    found_sets,
    store_answer,
    values,
)
from dicom_node.status import AlreadyThere, PeerFailed, check_answer, refusal_of

REQUEST_BYTES: Final = 64 * 2**20
"""A request takes more files until it is so long; a longer file goes alone."""
REQUEST_FILES: Final = 100
_MAXIMUM_ANSWER_BYTES: Final = 4 * 2**20
_TIMEOUTS: Final = httpx.Timeout(connect=10.0, read=300.0, write=60.0, pool=10.0)
"""A peer may take long to make a large object durable."""
_DICOM_JSON: Final = "application/dicom+json"
_SOP_CLASS_UID: Final = "00080016"
_SOP_INSTANCE_UID: Final = "00080018"


def store(
    files: Sequence[Outgoing], web: Web, progress: Progress = lambda _n, _bytes: None
) -> None:
    """Store files at a DICOMweb service, in their order, never decoded and never re-encoded.

    What the peer refuses does not keep it from getting the others. What it says to have already
    (HTTP 409, or the reason 0x0111) counts as stored after a check: QIDO-RS must find an instance
    of the same SOP Instance and SOP Class UID in the same study and series there. The bytes are not
    compared; our UIDs stand for one content each.

    Parameters
    ----------
    files
        What to store.
    web
        The service, with its token and TLS.
    progress
        Called after every request.

    Raises
    ------
    PeerUnavailable
        Not reachable, or asks for a later try; `PeerBusy` says when.
    DeliveryRefused
        The peer does not take an object, or does not want us.
    ConfigError
        The token or a file of TLS cannot be read.
    """
    silence_libraries()
    refusals: list[DeliveryRefused] = []
    n_stored, n_bytes = 0, 0
    with _service(web) as service:
        for batch in batches(files):
            for one, refusal in service.store(batch):
                if refusal is not None:
                    refusals.append(refusal)
                else:
                    n_stored, n_bytes = n_stored + 1, n_bytes + one.size_bytes
            progress(n_stored, n_bytes)
    if refusals:
        raise refusal_of(refusals, n_objects=len(files))


def check_settings(web: Web) -> None:
    """Check that the token and the files of TLS can be read; raises ConfigError."""
    with _service(web):
        pass


def probe(web: Web, *, timeout_s: float) -> str:
    """Ask a service for a study that nobody has (QIDO-RS); say in a sentence what it answers.

    A service that does not search is there all the same; whether it stores shows when something is
    stored.

    Raises
    ------
    PeerUnavailable
        It does not answer now.
    DeliveryRefused
        It does not want us.
    ConfigError
        The token or a file of TLS cannot be read.
    """
    silence_libraries()
    query = f"/studies?StudyInstanceUID=2.25.{uuid.uuid4().int}&limit=1"
    with (
        _service(web) as service,
        _http_errors(service.secured),
        service.client.stream(
            "GET",
            service.base + query,
            headers={"Accept": _DICOM_JSON},
            extensions=service.extensions,
            timeout=timeout_s,
        ) as answer,
    ):
        if answer.status_code in _NO_SEARCH:
            return f"{web.host} answers, and does not search (HTTP {answer.status_code})"
        check_http(answer.status_code, retry_after=answer.headers.get("Retry-After", ""))
    return f"{web.host} answers"


def batches(files: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    """Split files over requests, so that one failure does not cost all of them again."""
    batch: list[Outgoing] = []
    n_bytes = 0
    for one in files:
        full = n_bytes + one.size_bytes > REQUEST_BYTES or len(batch) == REQUEST_FILES
        if batch and full:
            yield batch
            batch, n_bytes = [], 0
        batch.append(one)
        n_bytes += one.size_bytes
    if batch:
        yield batch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    status: int
    body: StoreAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    client: httpx.Client
    base: str
    secured: ClientContext | None
    extensions: dict[str, str]

    def store(self, batch: Sequence[Outgoing]) -> Iterator[tuple[Outgoing, DeliveryRefused | None]]:
        """Store a batch; when it is refused as a whole, its files one by one."""
        try:
            answer = self.post(batch)
        except ServiceRefused:
            raise
        except DeliveryRefused as error:
            if len(batch) == 1:
                yield batch[0], error
            else:
                for one in batch:
                    yield from self.store([one])
            return
        for one in batch:
            try:
                self.check(one, answer)
            except DeliveryRefused as error:
                yield one, error
            else:
                yield one, None

    def post(self, batch: Sequence[Outgoing]) -> _Answered:
        """Send one request, and read what its answer says about each instance."""
        boundary = secrets.token_hex(16)
        with ExitStack() as stack:
            opened = [stack.enter_context(open_file(one.path)) for one in batch]
            body = StoreBody(opened, boundary)
            headers = {
                "Accept": _DICOM_JSON,
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
                "Content-Length": str(body.length),
            }
            status, content = self._ask("POST", "/studies", headers, content=iter(body))
        return _Answered(status=status, body=store_answer(content))

    def check(self, one: Outgoing, answer: _Answered) -> None:
        """Raise unless an instance was stored, or is there already."""
        body, uid = answer.body, one.sop_instance_uid
        if uid in body.stored:
            return
        reasons = [body.failed[uid]] if uid in body.failed else body.unnamed
        try:
            _check_reasons(reasons, answer.status)
        except AlreadyThere:
            if not self._holds(one):
                raise
            return
        if body.stored or body.failed:
            raise PeerFailed("The peer's answer leaves out an object that it was sent.")

    def _holds(self, one: Outgoing) -> bool:
        """Whether QIDO-RS finds the instance (PS3.18 10.6)."""
        keys = keys_of(one.path)
        headers = {"Accept": _DICOM_JSON}
        folder = f"/studies/{keys['StudyInstanceUID']}/series/{keys['SeriesInstanceUID']}"
        query = f"{folder}/instances?SOPInstanceUID={one.sop_instance_uid}"
        try:
            _, content = self._ask("GET", query, headers)
        except DeliveryRefused:
            return False
        return any(
            values(found, _SOP_INSTANCE_UID) == [one.sop_instance_uid]
            and values(found, _SOP_CLASS_UID) == [one.sop_class_uid]
            for found in found_sets(content)
        )

    def _ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        *,
        content: Iterator[bytes] | None = None,
    ) -> tuple[int, bytes]:
        with (
            _http_errors(self.secured),
            self.client.stream(
                method,
                self.base + path,
                headers=headers,
                content=content,
                extensions=self.extensions,
            ) as answer,
        ):
            check_http(answer.status_code, retry_after=answer.headers.get("Retry-After", ""))
            return answer.status_code, _read(answer)


def _check_reasons(reasons: Sequence[int], status: int) -> None:
    for reason in reasons:
        check_answer(reason)
    if status in (ACCEPTED, CONFLICT):
        raise AlreadyThere(f"The peer did not store the object and gave no reason (HTTP {status}).")


@contextmanager
def _service(web: Web) -> Iterator[_Service]:
    secured = client_context(web.tls) if web.url.scheme == "https" else None
    named = None if web.tls is None else web.tls.server_name
    with httpx.Client(
        verify=secured or False,  # False: in clear text there is nothing to check
        timeout=_TIMEOUTS,
        trust_env=False,  # no proxy, no password that the settings do not name
        headers=_headers(web.token_file),
    ) as client:
        yield _Service(
            client=client,
            base=str(web.url).rstrip("/"),
            secured=secured,
            extensions={} if named is None else {"sni_hostname": named},
        )


def _headers(token_file: Path | None) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", "User-Agent": "coverslip"}
    if token_file is not None:
        headers["Authorization"] = bearer(token_file, setting="web.token_file")
    return headers


@contextmanager
def _http_errors(secured: ClientContext | None) -> Iterator[None]:
    """Translate what httpx raises; the one door of this library."""
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise PeerUnavailable("The peer does not answer at its address.") from error
    except httpx.TimeoutException as error:
        raise PeerUnavailable("The peer did not answer in time.") from error
    except httpx.HTTPError as error:
        failure = None if secured is None else secured.described()
        if failure is not None:
            raise failure from error
        if isinstance(error, httpx.ConnectError):
            raise PeerUnavailable("The peer does not answer at its address.") from error
        raise PeerUnavailable("The connection to the peer broke off.") from error


def _read(answer: httpx.Response) -> bytes:
    content = bytearray()
    for chunk in answer.iter_bytes():
        content += chunk
        if len(content) > _MAXIMUM_ANSWER_BYTES:
            raise PeerFailed("The peer's answer is longer than any that makes sense.")
    return bytes(content)


_NO_SEARCH: Final = frozenset({400, 404, 405, 406, 501})

"""The ASGI application: from a request's head to its answer. It blocks nowhere."""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from appliance.daemon import describe
from dicom_node.dicomweb.answer import encoded, response_module, status_of
from dicom_node.dicomweb.body import Body, ClientGone, Receive, Send
from dicom_node.dicomweb.pace import STANDARD, Limits, Wait
from dicom_node.dicomweb.request import FAILED, Admitted, Gate, Head, Refused
from dicom_node.dicomweb.taking import Taking, too_many
from dicom_node.receive.admission import LastMinute

log = logging.getLogger(__name__)

CERTIFICATE: Final = "certificate"
"""Key in the state of a request: fingerprint of the TLS client certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    media_type: str
    content: bytes
    headers: Mapping[str, str]
    notice: str = ""


class Endpoint:
    """Answers the requests of one process.

    Parameters
    ----------
    gate
        Who may send.
    taking
        Takes what was admitted.
    maximum_requests
        Received at the same time; more are answered 503.
    limits
        Limits of time.
    """

    def __init__(
        self, *, gate: Gate, taking: Taking, maximum_requests: int, limits: Limits = STANDARD
    ) -> None:
        self._gate = gate
        self._taking = taking
        self._maximum_requests = maximum_requests
        self._limits = limits
        self._n_open = 0
        self._began = LastMinute()
        self._threads = ThreadPoolExecutor(maximum_requests, thread_name_prefix="stow")
        self._words = ThreadPoolExecutor(1, thread_name_prefix="stow-words")

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        body = Body(receive, asyncio.get_running_loop())
        head = _head(scope)
        try:
            answer = await self._answer(head, body)
        except ClientGone:
            log.info("a DICOMweb request broke off")
            return
        except Exception as error:  # noqa: BLE001  a bug that a request meets ends that request only
            log.error("a DICOMweb request failed: %s", describe(error))
            answer = _sentence(Refused(FAILED, "The request met an error inside the appliance."))
        await _send(answer, send, body, linger_s=self._limits.linger_s if _has_body(head) else 0)
        if answer.notice:
            await self._say(answer.notice)

    async def _answer(self, head: Head, body: Body) -> _Answer:
        try:
            admitted = self._gate.admit(head)
            return await self._take(admitted, body)
        except Refused as refusal:
            return _sentence(refusal)

    async def _take(self, admitted: Admitted, body: Body) -> _Answer:
        loop = asyncio.get_running_loop()
        scanner = admitted.scanner
        n_last_minute = self._began.count(scanner.name, loop.time())
        if (
            self._n_open >= self._maximum_requests
            or n_last_minute >= scanner.associations_per_minute
        ):
            raise too_many(scanner.name)
        self._began.add(scanner.name, loop.time())
        body.wait = Wait(limits=self._limits, maximum_s=scanner.maximum_association_s)
        self._n_open += 1
        try:
            outcome = await loop.run_in_executor(self._threads, self._taking.take, admitted, body)
        finally:
            self._n_open -= 1
        return _Answer(
            status=status_of(outcome),
            media_type=admitted.answer_type,
            content=encoded(response_module(outcome), admitted.answer_type),
            headers={},
        )

    async def _say(self, notice: str) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._words, self._taking.refused, notice)


def _head(scope: Any) -> Head:
    client = scope.get("client")
    return Head(
        method=scope["method"],
        path=scope["path"],
        headers={
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        },
        address=client[0] if client else "",
        certificate=scope.get("state", {}).get(CERTIFICATE),
    )


def _has_body(head: Head) -> bool:
    return head.headers.get("content-length", "0") != "0" or "transfer-encoding" in head.headers


def _sentence(refusal: Refused) -> _Answer:
    return _Answer(
        status=refusal.status,
        media_type="text/plain; charset=utf-8",
        content=f"{refusal.sentence}\n".encode(),
        headers=refusal.headers,
        notice=refusal.notice,
    )


async def _send(answer: _Answer, send: Send, body: Body, *, linger_s: float) -> None:
    """Send an answer. One that comes before the end of the body is the last of its connection.

    What still comes is read for a moment then: a connection that is closed with unread bytes is
    reset, and a reset may overtake the answer.
    """
    is_early = linger_s > 0 and not body.has_ended
    headers = {
        "content-type": answer.media_type,
        "content-length": str(len(answer.content)),
        **answer.headers,
        **({"connection": "close"} if is_early else {}),
    }
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": answer.content, "more_body": is_early})
    if is_early:
        await body.drain(linger_s)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

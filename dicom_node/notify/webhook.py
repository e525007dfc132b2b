"""Telling a service by HTTP POST: JSON, with a text that chat services show as it is."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from appliance.errors import ConfigError, DeliveryRefused, PeerUnavailable
from appliance.settings import Notices, Webhook, credential
from dicom_node.notify.message import Message
from dicom_node.notify.reach import address_of
from dicom_node.send.bearer import bearer
from dicom_node.send.client_tls import ClientContext, client_context
from dicom_node.send.web_answer import retry_after_s
from dicom_node.status import PeerBusy, PeerFailed

_SUCCESSES: Final = range(200, 300)
_LATER: Final = frozenset({408, 425, 429, 502, 503, 504})
_SERVER_ERRORS: Final = range(500, 600)
_UNAUTHORISED: Final = frozenset({401, 403})
_PATH: Final = re.compile(r"[A-Za-z0-9._~/-]{1,1000}")
_TIMEOUTS: Final = httpx.Timeout(connect=10.0, read=30.0, write=30.0, pool=10.0)


class WebhookReceiver:
    """Sends messages to one URL.

    Parameters
    ----------
    webhook
        Where it is.
    notices
        With the ranges in which it must lie.
    sender
        AE title of the node: says which appliance it is.

    Raises
    ------
    ConfigError
        The token or a file of TLS cannot be read.
    """

    name = "webhook"

    def __init__(self, webhook: Webhook, notices: Notices, *, sender: str) -> None:
        self._webhook = webhook
        self._notices = notices
        self._sender = sender
        self._context()
        self._headers()
        self._url()

    def send(self, message: Message) -> str:
        """Send a message; say what was done.

        Raises
        ------
        PeerUnavailable, PeerBusy, PeerFailed, DeliveryRefused
            It did not arrive.
        ConfigError
            The token or a file of TLS cannot be read any more.
        """
        url = self._url()
        port = url.port or (80 if self._webhook.is_clear else 443)
        address = address_of(self._webhook.host, port, self._notices)
        secured = self._context()
        tls = self._webhook.tls
        name = (None if tls is None else tls.server_name) or self._webhook.host
        with (
            _http_errors(secured),
            httpx.Client(
                verify=secured or False,  # False: in clear text there is nothing to check
                timeout=_TIMEOUTS,
                trust_env=False,  # no proxy, no password that the settings do not name
            ) as client,
            client.stream(
                "POST",
                url.copy_with(host=address),  # what was checked is what is connected to
                json=message.table(self._sender),
                headers=self._headers() | {"Host": url.netloc.decode("ascii")},
                extensions={"sni_hostname": name} if secured else {},
            ) as answer,
        ):
            _check(answer.status_code, answer.headers.get("Retry-After", ""))
            return f"The webhook took it (HTTP {answer.status_code})."

    def _url(self) -> httpx.URL:
        url = httpx.URL(str(self._webhook.url))
        if self._webhook.path_file is None:
            return url
        path = credential(self._webhook.path_file)
        try:
            rest = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"notices.webhook.path_file: {path} cannot be read.") from error
        if not _PATH.fullmatch(rest):
            raise ConfigError(f"notices.webhook.path_file: {path} does not hold the rest of a url.")
        return url.copy_with(path=f"{url.path}{rest}")

    def _context(self) -> ClientContext | None:
        return None if self._webhook.is_clear else client_context(self._webhook.tls)

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": "coverslip", "Accept-Encoding": "identity"}
        if self._webhook.token_file is not None:
            file = credential(self._webhook.token_file)
            headers["Authorization"] = bearer(file, setting="notices.webhook.token_file")
        return headers


def _check(status: int, retry_after: str) -> None:
    """Read the status of the answer; its body may be anything and is not read."""
    if status in _SUCCESSES:
        return
    if status in _LATER:
        after_s = retry_after_s(retry_after, now=time.time())
        raise PeerBusy(f"The receiver takes no more for now (HTTP {status}).", after_s=after_s)
    if status in _SERVER_ERRORS:
        raise PeerFailed(f"The receiver failed over the message (HTTP {status}).")
    if status in _UNAUTHORISED:
        raise DeliveryRefused(f"The receiver does not accept our token (HTTP {status}).")
    raise DeliveryRefused(f"The receiver does not take messages at this URL (HTTP {status}).")


@contextmanager
def _http_errors(secured: ClientContext | None) -> Iterator[None]:
    """Translate what httpx raises."""
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise PeerUnavailable("The receiver does not answer at its address.") from error
    except httpx.TimeoutException as error:
        raise PeerUnavailable("The receiver did not answer in time.") from error
    except httpx.HTTPError as error:
        failure = None if secured is None else secured.described()
        if failure is not None:
            raise failure from error
        if isinstance(error, httpx.ConnectError):
            raise PeerUnavailable("The receiver does not answer at its address.") from error
        raise PeerUnavailable("The connection to the receiver broke off.") from error

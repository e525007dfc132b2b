"""What an HTTP answer to STOW-RS means for a delivery (PS3.18 8.5 and 10.5.3)."""

import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final

from appliance.errors import DeliveryRefused
from dicom_node.status import PROCESSING_FAILURE, PeerBusy, PeerFailed

OK: Final = 200
ACCEPTED: Final = 202
CONFLICT: Final = 409
_SUCCESSES: Final = range(200, 300)
_SERVER_ERRORS: Final = range(500, 600)
_LATER: Final = frozenset({408, 425, 429, 502, 503, 504, 507})
_REDIRECTIONS: Final = range(300, 400)
_LONGEST_WAIT_S: Final = 86_400.0
_OF_THE_OBJECT: Final[Mapping[int, str]] = {
    400: "The peer does not understand our request (HTTP 400).",
    413: "The object is larger than the peer takes (HTTP 413).",
    415: "The peer does not take objects of this kind or encoding (HTTP 415).",
}
_OF_THE_SERVICE: Final[Mapping[int, str]] = {
    401: "The peer does not know our token (HTTP 401).",
    403: "The peer knows us, but does not let us store (HTTP 403).",
    404: "The peer has no STOW-RS service at the URL of the settings (HTTP 404).",
    405: "The peer has no STOW-RS service at the URL of the settings (HTTP 405).",
}

_REFERENCED_SOP_SEQUENCE: Final = "00081199"
_FAILED_SOP_SEQUENCE: Final = "00081198"
_OTHER_FAILURES_SEQUENCE: Final = "0008119A"
_FAILURE_REASON: Final = "00081197"
_REFERENCED_SOP_INSTANCE_UID: Final = "00081155"


class ServiceRefused(DeliveryRefused):
    """The service does not want us, or is not there; nothing else would be taken either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAnswer:
    """What the body of the answer says about each instance, by SOP Instance UID."""

    stored: Collection[str] = frozenset()
    failed: Mapping[str, int] = field(default_factory=dict)
    """With the Failure Reason (PS3.18 10.5.3)."""
    unnamed: tuple[int, ...] = ()
    """Failure Reasons of what the peer could not even tell the UID of."""


def check_http(status: int, *, retry_after: str = "", now: float | None = None) -> None:
    """Check the status of an answer; 2xx and 409 have a body that says more.

    Raises
    ------
    PeerBusy, PeerFailed
        It may work later.
    ServiceRefused
        It never will, whatever we send.
    DeliveryRefused
        It never will with what was sent.
    """
    if status in _SUCCESSES or status == CONFLICT:
        return
    if status in _LATER:
        after_s = retry_after_s(retry_after, now=time.time() if now is None else now)
        raise PeerBusy(f"The peer takes no more for now (HTTP {status}).", after_s=after_s)
    if status in _SERVER_ERRORS:
        raise PeerFailed(f"The peer failed over our request (HTTP {status}).")
    if status in _OF_THE_SERVICE:
        raise ServiceRefused(_OF_THE_SERVICE[status])
    if status in _REDIRECTIONS:
        raise ServiceRefused(f"The peer wants us to go to another URL (HTTP {status}).")
    words = _OF_THE_OBJECT.get(status, f"The peer refused our request (HTTP {status}).")
    raise DeliveryRefused(words)


def retry_after_s(value: str, *, now: float) -> float:
    """Read a Retry-After header (RFC 9110 10.2.3): seconds or a date; 0 when it is neither.

    Nobody is waited for longer than a day.
    """
    try:
        said = value.strip()
        wait_s = float(said) if said.isdecimal() else parsedate_to_datetime(said).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(0.0, wait_s), _LONGEST_WAIT_S)


def store_answer(content: bytes) -> StoreAnswer:
    """Read the body of an answer (application/dicom+json); what is no such body says nothing."""
    table = _json(content)
    if isinstance(table, list):  # some servers wrap the one data set in a list
        table = table[0] if table else {}
    failed = {uid: _reason(item) for uid, item in _items(table, _FAILED_SOP_SEQUENCE)}
    stored = {uid for uid, _ in _items(table, _REFERENCED_SOP_SEQUENCE)}
    unnamed = tuple(_reason(item) for item in values(table, _OTHER_FAILURES_SEQUENCE))
    return StoreAnswer(stored=stored - failed.keys(), failed=failed, unnamed=unnamed)


def found_sets(content: bytes) -> list[Any]:
    """Read the body of an answer to a search (PS3.18 10.6); what is no such body finds nothing."""
    found = _json(content)
    return found if isinstance(found, list) else []


def values(table: Any, tag: str) -> list[Any]:
    """Give the values of an attribute of the DICOM JSON model (PS3.18 F); none when it is not."""
    element = table.get(tag) if isinstance(table, dict) else None
    found = element.get("Value") if isinstance(element, dict) else None
    return found if isinstance(found, list) else []


def _json(content: bytes) -> Any:
    """Read JSON; None when it is none, or nested so deeply that nobody could mean it."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _items(table: Any, tag: str) -> Iterator[tuple[str, Any]]:
    for item in values(table, tag):
        for uid in values(item, _REFERENCED_SOP_INSTANCE_UID)[:1]:
            yield str(uid), item


def _reason(item: Any) -> int:
    """Give the Failure Reason; a missing one is a processing failure."""
    found = values(item, _FAILURE_REASON)
    return found[0] if found and isinstance(found[0], int) else PROCESSING_FAILURE

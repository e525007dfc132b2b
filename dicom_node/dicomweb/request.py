"""The head of a request: a pure decision about every one, before anything of its body is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from appliance.settings import Scanner
from dicom_node.dicomweb.answer import BAD_REQUEST, DICOM_JSON, DICOM_XML
from dicom_node.dicomweb.multipart import MULTIPART, media_type
from dicom_node.dicomweb.tokens import Sender, sender_of
from dicom_node.receive.admission import plain_address

DICOM: Final = "application/dicom"

UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
NOT_ALLOWED: Final = 405
NOT_ACCEPTABLE: Final = 406
TIMED_OUT: Final = 408
UNSUPPORTED: Final = 415
FAILED: Final = 500
BUSY: Final = 503

_PATH: Final = re.compile(r"/studies(?:/(?P<study>[^/]*))?/?")
_UID: Final = re.compile(r"[0-9.]{1,64}")
_ANY_JSON: Final = frozenset({"*/*", "application/*", DICOM_JSON, "application/json"})
_ANY_XML: Final = frozenset({DICOM_XML, "application/xml", "text/xml"})
_METADATA: Final = frozenset({DICOM_JSON, DICOM_XML})


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A request, without its body."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    address: str
    certificate: str | None = None
    """`sha256:` and the hex digest of the TLS client certificate that was shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A Store request whose body may be read."""

    scanner: Scanner
    study_instance_uid: str | None
    """Of the path; instances of another study are refused."""
    boundary: str
    answer_type: str


class Refused(Exception):
    """An answer in one sentence instead of what was asked for.

    Parameters
    ----------
    status
        HTTP status.
    sentence
        For whoever looks into the scanner's log.
    headers
        Further ones of the answer.
    notice
        For the technician; empty when this is not worth one.
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        headers: Mapping[str, str] | None = None,
        notice: str = "",
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})
        self.notice = notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Who may send, and what they must show besides the token."""

    senders: Sequence[Sender] = field(repr=False)
    asks_certificates: bool = False
    """Whether clients show a certificate here, so that a scanner's own can be asked for."""

    def admit(self, head: Head) -> Admitted:
        """Decide about a request.

        Raises
        ------
        Refused
            With 400, 401, 403, 404, 405, 406 or 415.
        """
        study_instance_uid = _study(head)
        scanner = self._scanner(head)
        boundary = _boundary(head.headers)
        return Admitted(
            scanner=scanner,
            study_instance_uid=study_instance_uid,
            boundary=boundary,
            answer_type=_answer_type(head.headers.get("accept", "")),
        )

    def _scanner(self, head: Head) -> Scanner:
        address = _address(head)
        whence = address or "an unknown address"
        sender = sender_of(head.headers.get("authorization", ""), self.senders)
        if sender is None:
            raise Refused(
                UNAUTHORIZED,
                "This service needs the token of a scanner.",
                headers={"www-authenticate": 'Bearer realm="STOW-RS"'},
                notice=f"A DICOMweb request from {whence} was refused: no scanner has its token.",
            )
        scanner = sender.scanner
        if address is None or not any(address in network for network in scanner.addresses):
            raise Refused(
                FORBIDDEN,
                "The token is not one of a scanner at this address.",
                notice=f"A DICOMweb request from {whence} was refused: it carries the token of "
                f"{scanner.name}, which is at another address.",
            )
        if self.asks_certificates and scanner.certificate not in (None, head.certificate):
            raise Refused(
                FORBIDDEN,
                "The token is that of a scanner with another certificate.",
                notice=f"A DICOMweb request from {whence} was refused: it carries the token of "
                f"{scanner.name}, but another certificate.",
            )
        return scanner


def _address(head: Head) -> IPv4Address | IPv6Address | None:
    """Give the address of the client; a proxy may have written down something that is none."""
    try:
        return ip_address(plain_address(head.address))
    except ValueError:
        return None


def _study(head: Head) -> str | None:
    found = _PATH.fullmatch(head.path)
    if found is None:
        raise Refused(NOT_FOUND, "Nothing is here: instances are stored by POST to /studies.")
    if head.method != "POST":
        raise Refused(
            NOT_ALLOWED,
            "This service stores only: POST instances to /studies.",
            headers={"allow": "POST"},
        )
    study_instance_uid = found["study"] or None
    if study_instance_uid is not None and not _UID.fullmatch(study_instance_uid):
        raise Refused(BAD_REQUEST, "The path does not hold a Study Instance UID.")
    return study_instance_uid


def _boundary(headers: Mapping[str, str]) -> str:
    """Give the boundary of the body, which must hold DICOM files as they are."""
    kind, parameters = media_type(headers.get("content-type", ""))
    root = parameters.get("type", DICOM).lower()
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(UNSUPPORTED, "The body must not be compressed.")
    if kind == MULTIPART and root in _METADATA:
        raise Refused(
            UNSUPPORTED,
            "Metadata with bulk data are not taken: send DICOM files (application/dicom).",
        )
    if kind != MULTIPART or root != DICOM:
        raise Refused(UNSUPPORTED, 'The body must be multipart/related; type="application/dicom".')
    boundary = parameters.get("boundary", "")
    if not boundary:
        raise Refused(BAD_REQUEST, "The Content-Type names no boundary.")
    return boundary


def _answer_type(accept: str) -> str:
    ranges = {_range(one) for one in accept.split(",")} - {""}
    if not ranges or ranges & _ANY_JSON:
        return DICOM_JSON
    if ranges & _ANY_XML:
        return DICOM_XML
    raise Refused(NOT_ACCEPTABLE, f"Answers are given as {DICOM_JSON} or {DICOM_XML}.")


def _range(text: str) -> str:
    """Give a media range of an Accept header; empty when it is not wanted at all."""
    kind, parameters = media_type(text)
    try:
        is_wanted = float(parameters.get("q", "1")) > 0
    except ValueError:
        is_wanted = True
    return kind if is_wanted else ""

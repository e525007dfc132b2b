"""Who may talk to the node, and how much: pure decisions, with the time as an argument.

Connections and associations are limited apart: a socket that says nothing takes nobody's place.
"""

import math
from collections import deque
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_node.contexts import STORAGE_COMMITMENT

REJECTED_PERMANENT: Final = 1
REJECTED_TRANSIENT: Final = 2

_MINUTE_S: Final = 60.0
_BURST_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLimits:
    """How much of the node one peer may take."""

    maximum_associations: int | None = None
    associations_per_minute: int | None = None
    maximum_association_s: float = math.inf
    maximum_mb_s: float = 0.0
    """Of one association; 0 means no limit."""


NO_LIMITS: Final = PeerLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedPeer:
    """A peer that may call: its AE title, and the addresses it calls from."""

    ae_title: str
    networks: Sequence[IPv4Network | IPv6Network]
    certificate: str | None = None
    """`sha256:` and the hex digest of the one TLS client certificate that it may show."""
    limits: PeerLimits = NO_LIMITS

    def is_from(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether an address is one of its own."""
        return any(address in network for network in self.networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An association request, as far as admission goes."""

    calling_ae_title: str
    called_ae_title: str
    address: str
    abstract_syntaxes: Collection[str]
    n_open: int
    """Associations that are open besides this one."""
    n_open_of_caller: int = 0
    """Those of them that have the same calling AE title."""
    n_last_minute: int = 0
    """Associations of this calling AE title that began in the last minute."""
    certificate: str | None = None
    """`sha256:` and the hex digest of the TLS client certificate that was shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An A-ASSOCIATE-RJ: result, source and diagnostic (PS3.8 9.3.4), and why in words."""

    result: int
    source: int
    diagnostic: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What requests are held against."""

    ae_title: str
    peers: Sequence[AllowedPeer] | None
    """None admits every peer (the stand-in for a PACS does)."""
    maximum_associations: int


UNKNOWN_CALLER: Final = Refusal(
    result=REJECTED_PERMANENT,
    source=1,
    diagnostic=3,
    words="the calling AE title is not that of a known scanner at this address",
)
WRONG_CALLED: Final = Refusal(
    result=REJECTED_PERMANENT, source=1, diagnostic=7, words="the called AE title is not ours"
)
WRONG_CERTIFICATE: Final = Refusal(
    result=REJECTED_PERMANENT,
    source=1,
    diagnostic=3,
    words="the calling AE title is that of a scanner with another certificate",
)
TOO_OFTEN: Final = Refusal(
    result=REJECTED_TRANSIENT,
    source=3,
    diagnostic=1,
    words="the scanner began more associations in a minute than it may",
)
TOO_MANY_OF_CALLER: Final = Refusal(
    result=REJECTED_TRANSIENT,
    source=3,
    diagnostic=2,
    words="the scanner has as many associations open as it may",
)
TOO_MANY: Final = Refusal(
    result=REJECTED_TRANSIENT, source=3, diagnostic=2, words="too many associations are open"
)
DISK_FILLING: Final = Refusal(
    result=REJECTED_TRANSIENT, source=3, diagnostic=2, words="free disk space is below the limit"
)
DRAINED: Final = Refusal(
    result=REJECTED_TRANSIENT,
    source=3,
    diagnostic=1,
    words="no new slides are taken for now, as an operator asked",
)


ANYBODY: Final = AllowedPeer(ae_title="", networks=())
"""Stands for every peer where all are admitted."""


def admit(
    request: Request, rules: Rules, *, has_room: bool, is_drained: bool = False
) -> AllowedPeer | Refusal:
    """Decide about an association request; give the peer that is admitted by it.

    A nearly full disk, and an operator who lets the line run empty, refuse those who propose
    storage, as transient; a scanner that only asks whether we are alive (Verification), or whether
    we keep what it sent (storage commitment), is answered. What will not change by itself is
    refused as permanent, everything else as transient (PS3.8 9.3.4).
    """
    if request.called_ae_title.strip() != rules.ae_title:
        return WRONG_CALLED
    known = _known(request, rules.peers)
    if not known:
        return UNKNOWN_CALLER
    shown = [one for one in known if one.certificate in (None, request.certificate)]
    if not shown:
        return WRONG_CERTIFICATE
    asks_only = {Verification, STORAGE_COMMITMENT}
    wants_storage = any(one not in asks_only for one in request.abstract_syntaxes)
    if wants_storage and is_drained:
        return DRAINED
    if wants_storage and not has_room:
        return DISK_FILLING
    return _over_limit(request, rules, shown[0].limits) or shown[0]


def _over_limit(request: Request, rules: Rules, limits: PeerLimits) -> Refusal | None:
    if request.n_open >= rules.maximum_associations:
        return TOO_MANY
    most = limits.maximum_associations
    if most is not None and request.n_open_of_caller >= most:
        return TOO_MANY_OF_CALLER
    most = limits.associations_per_minute
    if most is not None and request.n_last_minute >= most:
        return TOO_OFTEN
    return None


def _known(request: Request, peers: Sequence[AllowedPeer] | None) -> Sequence[AllowedPeer]:
    if peers is None:
        return (ANYBODY,)
    title = request.calling_ae_title.strip()
    address = ip_address(plain_address(request.address))
    return [one for one in peers if one.ae_title.strip() == title and one.is_from(address)]


def plain_address(address: str) -> str:
    """Give an address without its zone; an IPv4 peer of a dual-stack listener is an IPv4 peer."""
    return address.removeprefix("::ffff:").partition("%")[0]


@dataclass(slots=True)
class LastMinute:
    """Counts what began in the last minute, by whom."""

    _began: dict[Hashable, deque[float]] = field(default_factory=dict)

    def add(self, who: Hashable, now: float) -> None:
        """Count one more."""
        self._began.setdefault(who, deque()).append(now)

    def count(self, who: Hashable, now: float) -> int:
        """Give how many began in the last minute."""
        began = self._began.get(who)
        while began and began[0] <= now - _MINUTE_S:
            began.popleft()
        if not began:
            self._began.pop(who, None)
            return 0
        return len(began)


@dataclass(slots=True)
class Pace:
    """Says how long to read nothing, so that an association keeps below its rate.

    A burst of a second is let through at once; idle time earns no more than that.
    """

    maximum_mb_s: float = 0.0
    _spent_until: float = -math.inf

    def after(self, n_bytes: int, now: float) -> float:
        """Give the moment from which more may be read, having read `n_bytes`."""
        if not self.maximum_mb_s:
            return now
        began = max(self._spent_until, now - _BURST_S)
        self._spent_until = began + n_bytes / (self.maximum_mb_s * 1e6)
        return max(now, self._spent_until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """How many connections may be open, associated or silent."""

    connections_per_address: int = 32
    maximum_connections: int = 1024
    maximum_silent: int = 128
    """Connections that have not asked for an association yet; beyond, the oldest must go."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Caller:
    """An open connection, as far as its limits go."""

    address: str
    since: float
    is_silent: bool


def may_connect(address: str, open_ones: Collection[Caller], doors: Doors) -> bool:
    """Decide about a new connection, before anything is read of it."""
    mine = sum(1 for one in open_ones if one.address == address)
    return mine < doors.connections_per_address and len(open_ones) < doors.maximum_connections


def must_go(open_ones: Iterable[Caller], doors: Doors) -> Sequence[Caller]:
    """Give the silent connections that have to make room: the oldest beyond the limit."""
    silent = sorted((one for one in open_ones if one.is_silent), key=lambda one: one.since)
    return silent[: max(0, len(silent) - doors.maximum_silent)]

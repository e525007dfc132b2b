"""Who may talk to the node: a pure decision for every association request."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

REJECTED_PERMANENT: Final = 1
REJECTED_TRANSIENT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedPeer:
    """A peer that may call: its AE title, and the addresses it calls from."""

    ae_title: str
    networks: Sequence[IPv4Network | IPv6Network]

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
TOO_MANY: Final = Refusal(
    result=REJECTED_TRANSIENT, source=3, diagnostic=2, words="too many associations are open"
)
DISK_FILLING: Final = Refusal(
    result=REJECTED_TRANSIENT, source=3, diagnostic=2, words="free disk space is below the limit"
)


def admit(request: Request, rules: Rules, *, has_room: bool) -> Refusal | None:
    """Decide about an association request; None admits it.

    A nearly full disk refuses those who propose storage, as transient; a scanner that only asks
    whether we are alive (Verification) is answered.
    """
    if request.called_ae_title.strip() != rules.ae_title:
        return WRONG_CALLED
    if rules.peers is not None and not _knows(request, rules.peers):
        return UNKNOWN_CALLER
    if request.n_open >= rules.maximum_associations:
        return TOO_MANY
    if not has_room and any(one != Verification for one in request.abstract_syntaxes):
        return DISK_FILLING
    return None


def _knows(request: Request, peers: Sequence[AllowedPeer]) -> bool:
    title = request.calling_ae_title.strip()
    # An IPv4 peer of a dual-stack listener comes as ::ffff:a.b.c.d.
    address = ip_address(request.address.removeprefix("::ffff:"))
    return any(peer.ae_title.strip() == title and peer.is_from(address) for peer in peers)

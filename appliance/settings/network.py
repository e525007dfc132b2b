"""Settings of the network: how the node listens, who may send, and how links are protected."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from appliance.settings.sections import AETitle, Name, Network, Port, Section


class ServerTls(Section):
    """TLS of something that listens: 1.2 or newer, by the BCP 195 cipher suites (PS3.15 B.13)."""

    certificate: Path
    """PEM; our certificate and what leads to its root."""
    key: Path
    ca: Path | None = None
    """PEM; who vouches for the certificates of clients."""
    clients: Literal["required", "none"] = "required"
    """Whether a client must show a certificate."""

    @model_validator(mode="after")
    def _can_check_clients(self) -> Self:
        if self.clients == "required" and self.ca is None:
            raise ValueError('ca is missing; or set clients = "none"')
        return self


class ClientTls(Section):
    """TLS of a connection that we open; the peer's certificate and its name are always checked."""

    ca: Path
    """PEM; who vouches for the peer."""
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None
    """Name in the peer's certificate when it is not the host of the route."""

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self


class Node(Section):
    """The DICOM node that scanners meet."""

    ae_title: AETitle = "COVERSLIP"
    host: str = "0.0.0.0"  # noqa: S104  an appliance listens to the scanners' network
    port: Port = 11112
    maximum_associations: int = Field(default=32, ge=1, le=512)
    connections_per_address: int = Field(default=32, ge=1, le=512)
    """Open connections from one address, associated or silent."""
    listeners: int = Field(default=1, ge=1, le=16)
    """Processes that receive on the port."""
    tls: ServerTls | None = None
    """None means clear text."""


class Dicomweb(Section):
    """STOW-RS in: the same durable path behind HTTP. Off unless this table is there."""

    host: str = "127.0.0.1"
    port: Port = 8443
    tls: ServerTls | None = None
    """May be left out only when `host` is the loopback, behind a proxy that does TLS."""
    maximum_requests: int = Field(default=8, ge=1, le=256)
    """Requests that are received at the same time."""

    @model_validator(mode="after")
    def _is_protected(self) -> Self:
        if self.tls is None and not is_loopback(self.host):
            raise ValueError("dicomweb needs tls, or a host on the loopback")
        return self


class Commitment(Section):
    """How a scanner's requests for storage commitment are answered (PS3.4 J)."""

    means: Literal["own", "after_archive"]
    """own: we keep it, and never purge it unless an archive has confirmed it. after_archive: we
    answer once an archive route has confirmed it."""
    answer: Literal["new", "same"] = "new"
    """On an association that we open, or on the one that brought the request while it lasts."""
    host: str = ""
    """Where the scanner listens for our answer."""
    port: Port = 104
    tls: ClientTls | None = None
    """Of that association; None means clear text."""
    verify: Literal["row", "file", "hash"] = "file"
    """What is looked at before we commit: the receipt, the file and its length, or its content."""
    give_up_s: float = Field(default=86_400.0, gt=0)
    """after_archive: what no archive has confirmed after so long is answered as a failure."""

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        if self.answer == "new" and not self.host:
            raise ValueError('host is missing; or set answer = "same"')
        return self


class Scanner(Section):
    """A scanner that may send; anyone else is rejected at association."""

    name: Name
    ae_title: AETitle
    addresses: tuple[Network, ...] = Field(min_length=1)
    certificate: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    """SHA-256 of the TLS client certificate (DER) that it must show."""
    token_file: Path | None = None
    """Holds the bearer token with which it may send by STOW-RS."""
    quiet_s: float = Field(default=60.0, ge=0)
    """A slide counts as complete when its association ended and it was quiet this long."""
    expects: tuple[str, ...] = ()
    """Image flavors (VOLUME, LABEL, OVERVIEW, THUMBNAIL) that make a slide complete at once."""
    commitment: Commitment | None = None
    also_archived_by_scanner: bool = False
    """The scanner itself files its slides in an archive: ours may be purged without our own."""
    maximum_associations: int = Field(default=8, ge=1, le=512)
    associations_per_minute: int = Field(default=240, ge=1)
    maximum_association_s: float = Field(default=14_400.0, ge=1)
    """An association that lasts longer is aborted."""
    maximum_mb_s: float = Field(default=0.0, ge=0)
    """Of one association, in 10^6 bytes a second; 0 means no limit."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its address; a name never is."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

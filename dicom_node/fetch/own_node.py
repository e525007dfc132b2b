"""Sending to our own node as one of its scanners: where it listens, and as whom we may come."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from appliance.errors import ConfigError, DeliveryRefused, PeerUnavailable
from appliance.settings import Scanner, Settings
from appliance.storage import Root
from dicom_node.fetch.own_tls import own_tls
from dicom_node.node import PORT_FILE
from dicom_node.send.association import Endpoint
from dicom_node.send.sender import Outgoing, Progress, send

Address = IPv4Address | IPv6Address

_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


class NodeUnavailable(PeerUnavailable):
    """Our own node is not there, or cannot take more now."""

    code = "node-unavailable"


class ImportRefused(DeliveryRefused):
    """Our own node does not take an object."""

    code = "import-refused"


def own_node(settings: Settings, *, as_scanner: str | None = None) -> Endpoint:
    """Give our own node as an endpoint, met as one of its scanners.

    Parameters
    ----------
    settings
        Checked settings.
    as_scanner
        AE title of the scanner; None takes the only one that may send from this machine.

    Raises
    ------
    ConfigError
        No scanner, or not this one, may send from this machine; or there are several.
    NodeUnavailable
        The node has never run, and the settings leave its port to it.
    """
    address = own_address(settings.node.host)
    own = None if settings.node.tls is None else own_tls(settings.node.tls)
    scanner = scanner_for(
        settings.scanners, address, as_scanner, shown=None if own is None else own.shown
    )
    return Endpoint(
        host=str(address),
        port=settings.node.port or _bound_port(Root(settings.storage.root)),
        called_ae_title=settings.node.ae_title,
        calling_ae_title=scanner.ae_title,
        tls=None if own is None else own.tls,
    )


def scanner_for(
    scanners: Sequence[Scanner], address: Address, asked: str | None, *, shown: str | None = None
) -> Scanner:
    """Find the scanner as which something may send.

    Parameters
    ----------
    scanners
        From the settings.
    address
        Where it comes from.
    asked
        AE title; None takes the only one that fits.
    shown
        Digest of the certificate that it shows.

    Raises
    ------
    ConfigError
        None fits, or several do.
    """
    allowed = [
        one
        for one in scanners
        if any(address in network for network in one.addresses) and one.certificate in (None, shown)
    ]
    if asked is not None:
        named = [one for one in scanners if one.ae_title == asked]
        if not named:
            raise ConfigError(f"There is no scanner with the AE title {asked} in the settings.")
        if named[0] not in allowed:
            raise ConfigError(
                f"Scanner {named[0].name} may not send from {address}: it needs this machine "
                "in its addresses, and no certificate of its own."
            )
        return named[0]
    if not allowed:
        raise ConfigError(
            f"No scanner in the settings may send from {address}: add one of [[scanners]] "
            f'for imports, with addresses = ["{address}/{address.max_prefixlen}"].'
        )
    if len(allowed) > 1:
        titles = ", ".join(one.ae_title for one in allowed)
        raise ConfigError(
            f"Several scanners in the settings may send from {address}: "
            f"say as which with --as ({titles})."
        )
    return allowed[0]


def own_address(host: str) -> Address:
    """Give the address at which we reach our own node; it is also the one that we come from."""
    host = _LOOPBACK.get(host, host)
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return ip_address(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise ConfigError(f"node.host: {host} cannot be resolved to an address.") from error


def send_to_node(files: Sequence[Outgoing], node: Endpoint, progress: Progress) -> None:
    """Send files to our own node.

    Raises
    ------
    NodeUnavailable
        It is not there, or cannot take more now.
    ImportRefused
        It does not take an object.
    """
    with _about_the_node():
        send(files, node, progress)


@contextmanager
def _about_the_node() -> Iterator[None]:
    try:
        yield
    except PeerUnavailable as error:
        raise NodeUnavailable(f"Our own node did not take everything. {error}") from error
    except DeliveryRefused as error:
        raise ImportRefused(f"Our own node did not take everything. {error}") from error


def _bound_port(root: Root) -> int:
    """Port that the node is bound to, where the settings say 0."""
    try:
        return int((root.zone("run") / PORT_FILE).read_text())
    except (FileNotFoundError, ValueError) as error:
        raise NodeUnavailable("Our own node has never run on this machine.") from error

"""Where a receiver is: a name is looked up anew each time, and must lie in the settings' ranges."""

import socket

from appliance.errors import DeliveryRefused, PeerUnavailable
from appliance.settings import Notices


def address_of(host: str, port: int, notices: Notices) -> str:
    """Find the address to connect to.

    Parameters
    ----------
    host
        Name or address of the receiver.
    port
        Where it listens.
    notices
        With the ranges in which receivers may lie.

    Raises
    ------
    PeerUnavailable
        The name cannot be looked up now.
    DeliveryRefused
        It leads out of the ranges.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:  # a label of a name may be too long, or hold a NUL
        raise PeerUnavailable("The name of the receiver cannot be looked up.") from error
    addresses = [str(address[0]) for *_, address in found]
    inside = [address for address in addresses if notices.holds(address)]
    if not inside:
        raise DeliveryRefused("The name of the receiver leads out of notices.addresses.")
    return inside[0]

"""The socket that the node listens on: bound once, and shared by every process that receives."""

import socket
from typing import Final

from appliance.errors import ConfigError

BACKLOG: Final = 128


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen.

    The socket does not block, so that of several processes that are woken by one connection those
    that come too late go on.

    Parameters
    ----------
    host
        Address; IPv6 too.
    port
        0 takes any free one.

    Raises
    ------
    ConfigError
        The address cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(f"The node cannot listen on {host}:{port}.") from error
    listening.settimeout(0)
    return listening

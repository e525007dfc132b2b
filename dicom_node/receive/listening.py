"""The socket that the node listens on: bound once, and shared by every process that receives."""

import errno
import socket
import time
from typing import Final

from appliance.errors import ConfigError

BACKLOG: Final = 128
_IN_USE_LIMIT_S: Final = 5.0
"""Listeners of a node that was killed hold its port for a moment longer than it lives."""


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
        listening = _bound(host, port)
    except OSError as error:
        raise ConfigError(f"The node cannot listen on {host}:{port}.") from error
    listening.settimeout(0)
    return listening


def _bound(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    deadline = time.monotonic() + _IN_USE_LIMIT_S
    while True:
        try:
            return socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
        time.sleep(0.02)

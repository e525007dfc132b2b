"""How long a body is waited for: a client that stalls, or only drips, is let go."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

Clock = Callable[[], float]


class TooSlow(Exception):
    """The client does not send at a useful pace, or sends for too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of time at the endpoint."""

    header_s: float = 10.0
    """From the connection, or from the last answer on it, to the end of a request's headers."""
    idle_s: float = 60.0
    """Without a byte of the body."""
    grace_s: float = 60.0
    """Of waiting in all, beyond what the least rate allows for what has come."""
    least_bytes_s: float = 8192.0
    linger_s: float = 3.0
    """A request that is answered early is read so much longer, so that its client sees why."""


STANDARD: Final = Limits()


@dataclass(slots=True, kw_only=True)
class Wait:
    """Tells how long to wait for the next bytes of one body.

    Only time that is spent waiting for the client counts: a slow disk of ours is not its fault.
    """

    limits: Limits = STANDARD
    maximum_s: float = math.inf
    """Of the whole request."""
    clock: Clock = time.monotonic
    _waited_s: float = 0.0
    _received_bytes: int = 0
    _began_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._began_at = self.clock()

    def limit_s(self) -> float:
        """Give how long the next wait may be.

        Raises
        ------
        TooSlow
            It is over.
        """
        allowed_s = self.limits.grace_s + self._received_bytes / self.limits.least_bytes_s
        left_s = self.maximum_s - (self.clock() - self._began_at)
        limit_s = min(self.limits.idle_s, allowed_s - self._waited_s, left_s)
        if limit_s <= 0:
            raise TooSlow
        return limit_s

    def note(self, waited_s: float, received_bytes: int) -> None:
        """Count a wait, and what it brought."""
        self._waited_s += waited_s
        self._received_bytes += received_bytes

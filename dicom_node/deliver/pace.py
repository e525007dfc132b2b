"""How fast a route may send, on the mean: `limits.mb_s`."""

import threading
import time
from collections.abc import Callable


class Pace:
    """Counts what was sent, and says when more may be.

    Parameters
    ----------
    mb_s
        10^6 bytes a second; None means as fast as it goes.
    clock
        Seconds that only ever grow.
    """

    def __init__(
        self, mb_s: float | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bytes_s = None if mb_s is None else mb_s * 1e6
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = float("-inf")

    def is_free(self) -> bool:
        """Whether the next parcel may be sent."""
        return self._clock() >= self._free_at

    def spend(self, n_bytes: int) -> None:
        """Count what was sent."""
        if self._bytes_s is not None:
            with self._lock:
                self._free_at = max(self._free_at, self._clock()) + n_bytes / self._bytes_s

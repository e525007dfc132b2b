"""A limit on how long a model may take, because a network from outside may never end.

ONNX Runtime looks at the terminate flag of a run between two operators. A run that is past the
limit is asked to end by it; one that does not even end then sits inside one operator (or a driver
that hangs) and cannot be ended from Python: the process has to.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from onnxruntime.capi import onnxruntime_pybind11_state as state

log = logging.getLogger(__name__)

DEFAULT_LIMIT_S = 60.0
EXIT_HANGS = 1
"""As for any bug: systemd starts the daemon again, and the attempt of the slide is counted."""
_LOOKS = 8
"""How often a run is looked at before it is past its limit."""


def leave() -> None:
    """End the process at once; a thread that hangs in foreign code would hold up any other way."""
    log.critical("A model hangs and cannot be ended; the process ends itself.")
    logging.shutdown()
    os._exit(EXIT_HANGS)


class Watch:
    """One run that is looked after."""

    def __init__(self, limit_s: float) -> None:
        self.options = state.RunOptions()
        self.expired = False
        """The run was past the limit and was asked to end."""
        self.due_at = time.monotonic() + limit_s


class Watchdog:
    """Ends the runs of models that take too long. Thread-safe; one thread of its own.

    Parameters
    ----------
    limit_s
        How long a run may take before it is asked to end; as long again, and the process ends.
    give_up
        Called when a run did not end although it was asked to.
    """

    def __init__(
        self, limit_s: float = DEFAULT_LIMIT_S, *, give_up: Callable[[], None] = leave
    ) -> None:
        self._limit_s = limit_s
        self._give_up = give_up
        self._running: set[Watch] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="model-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; nothing is looked after from here on."""
        self._closed.set()
        self._thread.join()

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """Look after one run, to which the options of the watch are given."""
        watch = Watch(self._limit_s)
        with self._lock:
            self._running.add(watch)
        try:
            yield watch
        finally:
            with self._lock:
                self._running.discard(watch)

    def _keep(self) -> None:
        while not self._closed.wait(self._limit_s / _LOOKS):
            with self._lock:
                due = [watch for watch in self._running if watch.due_at <= time.monotonic()]
            for watch in due:
                if watch.expired:
                    self._give_up()
                watch.expired = True
                watch.options.terminate = True
                watch.due_at += self._limit_s

"""What the technician reads about refusals: in the log and in the journal, without floods."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from appliance.errors import TransientError
from appliance.stores.journal import Journal

log = logging.getLogger(__name__)

_EVERY_S: Final = 60.0
_REMEMBERED: Final = 256


class Notices:
    """Puts a sentence into the journal, the same one at most once a minute."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._clock = clock
        self._said: dict[str, float] = {}
        self._lock = threading.Lock()

    def refused(self, sentence: str) -> None:
        """Say that something was refused."""
        now = self._clock()
        with self._lock:
            if now - self._said.get(sentence, float("-inf")) < _EVERY_S:
                return
            if len(self._said) >= _REMEMBERED:
                self._said.clear()
            self._said[sentence] = now
        log.warning("%s", sentence)
        try:
            self._journal.note("node", "refused", sentence)
        except TransientError:
            log.warning("the journal does not take notes now")

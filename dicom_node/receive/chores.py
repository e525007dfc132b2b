"""What the node does now and then beside its work: it rests, sweeps, and measures the disk."""

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.stores.journal import Journal
from dicom_node.receive.spool import Spool

log = logging.getLogger(__name__)

SWEEP_EVERY_S: Final = 5.0
SAMPLE_EVERY_S: Final = 300.0
_REST: Final = 4.0
_LONGEST_REST_S: Final = 5.0


class Unhurried:
    """Takes a step that reads much, and rests long enough to need a fifth of a core at most.

    A study is read as a whole at every look; while a thousand objects of it come in, the core is
    better left to those who receive them.
    """

    def __init__(self, step: Callable[[], bool]) -> None:
        self._step = step
        self._rests_until = 0.0

    def __call__(self) -> bool:
        """Take the step, unless it is time to rest."""
        began = time.monotonic()
        if began < self._rests_until:
            return False
        again = self._step()
        ended = time.monotonic()
        self._rests_until = ended + min(_REST * (ended - began), _LONGEST_REST_S)
        return again


class Sweeping:
    """Removes what dropped transfers left, every few seconds."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._swept_at = time.monotonic()

    def __call__(self) -> bool:
        """Sweep, when it is time to."""
        if time.monotonic() - self._swept_at < SWEEP_EVERY_S:
            return False
        self._swept_at = time.monotonic()
        n_swept = self._spool.sweep_incoming()
        if n_swept:
            log.info("%d partial objects of dropped transfers were removed", n_swept)
        return False


class Sampling:
    """Notes how full the disk is, every few minutes, so that the screen tells when it is full."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder = folder
        self._journal = journal
        self._sampled_at = float("-inf")

    def __call__(self) -> bool:
        """Note it, when it is time to; a disk that cannot be measured now is measured later."""
        if time.monotonic() - self._sampled_at < SAMPLE_EVERY_S:
            return False
        self._sampled_at = time.monotonic()
        try:
            usage = shutil.disk_usage(self._folder)
        except OSError:
            return False
        self._journal.sample_disk(free_bytes=usage.free, total_bytes=usage.total)
        return False

"""How the workers reach the models: with sessions of their own, or all through one queue a model.

On a CPU one thread a worker that decodes and infers by itself sits on the bound of the two parts;
a producer and a consumer do not (`docs/inference.md`). A GPU wants the opposite: many cores that
decode, and one thread that keeps it busy with full batches.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from appliance.errors import DeviceUnavailable
from inference.model.manifest import ARTIFACT, TILES, TISSUE, Model
from inference.running import tissue
from inference.running.batching import Batcher
from inference.running.binding import BoundSession
from inference.running.engine import (
    AUTO,
    CPU,
    GPU,
    Runner,
    Session,
    check_probabilities,
    may_have_gpu,
)
from inference.running.watchdog import Watchdog

log = logging.getLogger(__name__)

CPU_BATCH = {TISSUE: 1, ARTIFACT: 1, TILES: 8}
"""A network with large maps is fastest alone: its layers stay in the core's cache."""
GPU_BATCH = {TISSUE: 32, ARTIFACT: 64, TILES: 256}
_CALL = {TISSUE: 1, ARTIFACT: 16, TILES: 64}
"""How many tiles a worker gives to the queue at once."""
_MOST_PX = 256 * 224**2
"""Pixels of a batch: 38 MB of RGB; a site's own model may have large tiles."""
_GPU_WORKERS = 2
"""Workers a core where a GPU infers: one waits for its tiles while another decodes."""


class Feeding(Protocol):
    """The way from the workers to the models. Thread-safe."""

    @property
    def device(self) -> str:
        """`cpu` or `gpu`: where the models really run."""

    def runner(self, model: Model) -> Runner:
        """Give the calling worker its way to a model."""

    def batch(self, model: Model) -> int:
        """How many tiles a worker gives at once."""

    def workers(self, cores: int) -> int:
        """How many workers keep so many cores busy."""

    @property
    def slides(self) -> int:
        """How many slides at once keep the device busy."""

    def close(self) -> None:
        """Let go of the models."""


class OwnSessions:
    """Each worker has sessions of its own: a CPU.

    Raises
    ------
    ModelError
        A model cannot be loaded.
    """

    device = CPU
    slides = 1

    def __init__(self, models: Sequence[Model], watchdog: Watchdog) -> None:
        self._watchdog = watchdog
        self._local = threading.local()
        for model in models:
            self._opened(model)  # so that a bad model is met before a slide is

    def runner(self, model: Model) -> Session:
        """Give this thread's own session of a model."""
        sessions: dict[str, Session] = self._local.__dict__.setdefault("sessions", {})
        if model.digest not in sessions:
            sessions[model.digest] = self._opened(model)
        return sessions[model.digest]

    def batch(self, model: Model) -> int:
        """How many tiles a worker gives at once."""
        return _at_most(CPU_BATCH[model.task], model.tile_px)

    def workers(self, cores: int) -> int:
        """One worker a core."""
        return cores

    def close(self) -> None:
        """Do nothing: the sessions go with their threads."""

    def _opened(self, model: Model) -> Session:
        return Session(model, device=CPU, watchdog=self._watchdog)


class OneQueue:
    """All workers, and all slides, feed one queue a model.

    Parameters
    ----------
    models
        Checked models.
    device
        `auto`, `cpu` or `gpu`; the CPU is for tests of this way.
    watchdog
        Ends runs that take too long.
    batches
        Images of a run by task.

    Raises
    ------
    DeviceUnavailable
        `gpu` is demanded and there is none.
    ModelError
        A model cannot be loaded.
    """

    slides = 3

    def __init__(
        self,
        models: Sequence[Model],
        *,
        device: str,
        watchdog: Watchdog,
        batches: dict[str, int] = GPU_BATCH,
    ) -> None:
        self._batchers: dict[str, Batcher] = {}
        try:
            for model in models:
                self._batchers[model.digest] = _batcher(model, device, watchdog, batches)
        except Exception:
            self.close()
            raise

    @property
    def device(self) -> str:
        """`gpu` when all models run there, else `cpu`."""
        return GPU if all(one.device == GPU for one in self._batchers.values()) else CPU

    def runner(self, model: Model) -> Batcher:
        """Give the queue of a model."""
        return self._batchers[model.digest]

    def batch(self, model: Model) -> int:
        """How many tiles a worker gives at once."""
        return _at_most(_CALL[model.task], model.tile_px)

    def workers(self, cores: int) -> int:
        """Two a core: one waits for its tiles while another decodes."""
        return _GPU_WORKERS * cores

    def close(self) -> None:
        """End the threads of the models."""
        for batcher in self._batchers.values():
            batcher.close()


def open_feeding(models: Sequence[Model], *, device: str, watchdog: Watchdog) -> Feeding:
    """Load the models where the settings want them.

    Raises
    ------
    DeviceUnavailable
        `gpu` is demanded and there is none.
    ModelError
        A model cannot be loaded.
    """
    if device == GPU or (device == AUTO and may_have_gpu()):
        try:
            shared = OneQueue(models, device=device, watchdog=watchdog)
        except DeviceUnavailable as error:
            if device == GPU:
                raise
            log.warning("%s The CPU is used.", error)
        else:
            if shared.device == GPU:
                return shared
            shared.close()
    return OwnSessions(models, watchdog)


def _at_most(batch: int, side_px: int) -> int:
    """Give the batch, or as many tiles of this side as a batch may have pixels."""
    return max(1, min(batch, _MOST_PX // side_px**2))


def _batcher(model: Model, device: str, watchdog: Watchdog, batches: dict[str, int]) -> Batcher:
    side_px = tissue.SIDE_PX if model.task == TISSUE else model.tile_px

    def bind(batch: int) -> BoundSession:
        return BoundSession(model, device=device, batch=batch, side_px=side_px, watchdog=watchdog)

    return Batcher(
        bind,
        batch=_at_most(batches[model.task], side_px),
        check=lambda probability: check_probabilities(model, probability),
    )

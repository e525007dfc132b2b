"""How fast a model runs here: for one worker and for all, for one tile a batch and for many."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from inference.model.manifest import Model
from inference.running.engine import Images, Session, blank

BATCHES: Final = (1, 8, 32)
_SEED: Final = 7
_PIXELS_PER_MP: Final = 1e6

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    model: str
    device: str
    """`cpu` or `gpu`: the one that really ran it."""
    tiles: str
    """`blank` or `random`."""
    workers: int
    batch: int
    tiles_s: float
    mp_s: float
    """Megapixels of input a second."""
    ms_tile: float
    """Time of one worker for one tile, in milliseconds."""

    def as_json(self) -> dict[str, Any]:
        """Give the values by name."""
        return {
            "model": self.model,
            "device": self.device,
            "tiles": self.tiles,
            "workers": self.workers,
            "batch": self.batch,
            "tiles_s": round(self.tiles_s, 2),
            "mp_s": round(self.mp_s, 3),
            "ms_tile": round(self.ms_tile, 3),
        }


def measured(
    model: Model, *, device: str, workers: int, seconds: float, clock: Clock = time.perf_counter
) -> list[Row]:
    """Run a model on white and on random tiles, with one worker and with all.

    Parameters
    ----------
    model
        Checked model.
    device
        `auto`, `cpu` or `gpu`.
    workers
        How many "all" are; each has a session of its own, as in the daemon.
    seconds
        Least time that each row is measured for, after one run that is not.
    clock
        Gives seconds.

    Raises
    ------
    ModelError, DeviceUnavailable
        See `Session.run`.
    """
    sessions = [Session(model, device=device) for _ in range(workers)]
    return list(_rows(model, sessions, seconds, clock))


def _rows(model: Model, sessions: list[Session], seconds: float, clock: Clock) -> Iterator[Row]:
    draw = np.random.default_rng(_SEED)
    side = model.tile_px
    for tiles in ("blank", "random"):
        for workers in sorted({1, len(sessions)}):
            for batch in BATCHES:
                images = blank(side).repeat(batch, 0)
                if tiles == "random":
                    images = draw.integers(0, 256, images.shape, np.uint8)
                tiles_s = _tiles_s(sessions[:workers], images, seconds, clock)
                yield Row(
                    model=model.name,
                    device=sessions[0].device,
                    tiles=tiles,
                    workers=workers,
                    batch=batch,
                    tiles_s=tiles_s,
                    mp_s=tiles_s * side * side / _PIXELS_PER_MP,
                    ms_tile=1000 * workers / tiles_s,
                )


def _tiles_s(sessions: list[Session], images: Images, seconds: float, clock: Clock) -> float:
    """Give the tiles a second of all workers together, all at work at the same time."""

    def work(session: Session) -> float:
        session.run(images)
        started, runs = clock(), 0
        while not runs or clock() - started < seconds:
            session.run(images)
            runs += 1
        return runs * len(images) / (clock() - started)

    with ThreadPoolExecutor(len(sessions)) as pool:
        return sum(pool.map(work, sessions))

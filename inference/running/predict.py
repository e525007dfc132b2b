"""Run the models over a slide: symmetric workers, each decoding and inferring by itself.

On a CPU one thread a worker that does both sits on the bound of the two parts; a producer and a
consumer do not (`docs/inference.md`). Libraries release the GIL while they decode and infer.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from appliance.slides.classes import ClassMap, Mask, SlideClass
from appliance.slides.findings import ModelUse
from appliance.slides.reader import SlideReader
from inference.model.bundle import Models
from inference.model.manifest import Model
from inference.running import tissue
from inference.running.engine import GPU, Probabilities, Session
from inference.running.sampling import Sampler
from inference.running.tiles import Tile, TileGrid
from inference.running.tissue import TissueView

MARGIN_PX = 16
"""Rim of an artifact tile that is thrown away: a network sees too little there."""
MAXIMUM_CLASS_MAP_PX = 25_000_000
MAXIMUM_READ_PX = 2048
"""Side of the largest square of source pixels a worker holds at a time."""
BATCH = 16
_COARSENINGS = (1, 2, 4, 8, 16)

Progress = Callable[[float, str], None]
_J = TypeVar("_J")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the models saw, pixel by pixel."""

    class_map: ClassMap
    """`(rows, columns)` uint8 of `SlideClass`; straight from the models, not cleaned."""
    tissue: Mask
    """`(rows, columns)` bool: tissue, covered by an artifact or not."""
    um_px: float
    """Spacing of both."""
    models: tuple[ModelUse, ...]
    warnings: tuple[str, ...]
    tiles: int
    """How many tiles the artifact model saw."""


class Predictor:
    """The models, loaded once a worker, for slide after slide.

    Parameters
    ----------
    models
        Checked models.
    device
        `auto`, `cpu` or `gpu`.
    workers
        Number of threads that decode and infer.

    Raises
    ------
    DeviceUnavailable
        A GPU is demanded and there is none.
    ModelError
        A model cannot be loaded.
    """

    def __init__(self, models: Models, *, device: str, workers: int) -> None:
        self._models = models
        self._device = device
        self._workers = workers
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="infer")
        first = [Session(model, device=device) for model in (models.tissue, models.artifact)]
        self.devices = tuple(session.device for session in first)
        """Where the tissue and the artifact model really run."""
        self._shared = {
            model.digest: session
            for model, session in zip((models.tissue, models.artifact), first, strict=True)
            if session.device == GPU
        }

    def close(self) -> None:
        """End the workers."""
        self._pool.shutdown(cancel_futures=True)

    def predict(self, reader: SlideReader, progress: Progress) -> Prediction:
        """Run both models over one slide.

        Raises
        ------
        UnsuitableSlide
            A frame is damaged: nothing is reported of such a slide.
        ModelError, DeviceUnavailable
            See `Session.run`.
        """
        view, coarse = self._tissue(reader, progress)
        sampler = Sampler(reader, self._models.artifact.um_px)
        grid = TileGrid(
            rows=sampler.rows,
            columns=sampler.columns,
            tile_px=self._models.artifact.tile_px,
            margin_px=MARGIN_PX,
        )
        coarsening = _coarsening(sampler)
        class_map, tiles = self._classes(sampler, grid, view, coarsening, progress)
        um_px = sampler.um_px * coarsening
        rows, columns = class_map.shape
        mask = view.mask(rows=rows, columns=columns, um_px=um_px)
        return Prediction(
            class_map=class_map,
            tissue=mask,
            um_px=um_px,
            models=(
                _use(self._models.tissue, self.devices[0], coarse.um_px),
                _use(self._models.artifact, self.devices[1], sampler.um_px),
            ),
            warnings=_warnings(self._models, coarse, sampler),
            tiles=tiles,
        )

    def _tissue(self, reader: SlideReader, progress: Progress) -> tuple[TissueView, Sampler]:
        model = self._models.tissue
        sampler = Sampler(reader, model.um_px)
        probability = np.zeros((sampler.rows, sampler.columns), np.float32)
        something = np.zeros(probability.shape, bool)

        def work(at: tuple[int, int]) -> None:
            found, marked = tissue.look(sampler, self._session(model), at)
            area = (slice(at[0], at[0] + found.shape[0]), slice(at[1], at[1] + found.shape[1]))
            probability[area], something[area] = found, marked

        self._each(
            work, tissue.blocks(sampler), lambda share: progress(0.15 * share, "finding tissue")
        )
        view = TissueView(
            um_px=sampler.um_px,
            probability=probability,
            something=something,
            threshold=tissue.threshold_of(model),
        )
        return view, sampler

    def _classes(
        self,
        sampler: Sampler,
        grid: TileGrid,
        view: TissueView,
        coarsening: int,
        progress: Progress,
    ) -> tuple[ClassMap, int]:
        model = self._models.artifact
        shape = (-(-grid.rows // coarsening), -(-grid.columns // coarsening))
        class_map = np.full(shape, SlideClass.BACKGROUND, np.uint8)
        jobs = _jobs(sampler, grid, view)

        def work(tiles: Sequence[Tile]) -> None:
            for tile, classes in self._judge(sampler, grid, tiles, model, coarsening):
                _put(class_map, classes, tile, coarsening)

        self._each(work, jobs, lambda share: progress(0.15 + 0.8 * share, "looking for artifacts"))
        return class_map, sum(len(job) for job in jobs)

    def _judge(
        self,
        sampler: Sampler,
        grid: TileGrid,
        tiles: Sequence[Tile],
        model: Model,
        coarsening: int,
    ) -> list[tuple[Tile, ClassMap]]:
        """Read the square around some tiles once, cut it, and run the model in batches."""
        session = self._session(model)
        top = min(tile.row for tile in tiles) - grid.margin_px
        left = min(tile.column for tile in tiles) - grid.margin_px
        rows = max(tile.row for tile in tiles) + grid.tile_px - grid.margin_px - top
        columns = max(tile.column for tile in tiles) + grid.tile_px - grid.margin_px - left
        pixels = sampler.region(top, left, rows, columns)
        judged: list[tuple[Tile, ClassMap]] = []
        for first in range(0, len(tiles), BATCH):
            some = tiles[first : first + BATCH]
            images = np.stack([_cut(pixels, tile, grid, top=top, left=left) for tile in some])
            probability = session.run(images)
            kept = slice(grid.margin_px, grid.tile_px - grid.margin_px)
            classes = _classified(probability[:, kept, kept], model, coarsening)
            judged.extend(zip(some, classes, strict=True))
        return judged

    def _session(self, model: Model) -> Session:
        """Give this thread's own session of a model; on a GPU all threads feed one."""
        if model.digest in self._shared:
            return self._shared[model.digest]
        sessions: dict[str, Session] = self._local.__dict__.setdefault("sessions", {})
        if model.digest not in sessions:
            sessions[model.digest] = Session(model, device=self._device)
        return sessions[model.digest]

    def _each(
        self, work: Callable[[_J], _R], jobs: Sequence[_J], progress: Callable[[float], None]
    ) -> None:
        """Let the workers do all jobs; the first failure ends the rest and is raised."""
        futures = [self._pool.submit(work, job) for job in jobs]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                progress(done / len(futures))
        finally:
            for future in futures:
                future.cancel()
            wait(futures)


def _coarsening(sampler: Sampler) -> int:
    """Give the factor from the working grid to the class map that keeps the map bounded."""
    for factor in _COARSENINGS:
        if (sampler.rows // factor) * (sampler.columns // factor) <= MAXIMUM_CLASS_MAP_PX:
            return factor
    return _COARSENINGS[-1]


def _jobs(sampler: Sampler, grid: TileGrid, view: TissueView) -> list[tuple[Tile, ...]]:
    """Group neighbouring tiles that are worth a look into squares one worker reads at once."""
    side = max(1, int(MAXIMUM_READ_PX / (grid.step_px * max(1.0, sampler.ratio))))
    um_px = sampler.um_px
    jobs = (
        tuple(
            tile
            for tile in block
            if view.is_worth_a_look(
                top_um=tile.row * um_px,
                left_um=tile.column * um_px,
                side_um=grid.step_px * um_px,
            )
        )
        for block in grid.blocks(side)
    )
    return [job for job in jobs if job]


def _cut(pixels: ClassMap, tile: Tile, grid: TileGrid, *, top: int, left: int) -> ClassMap:
    row, column = tile.row - grid.margin_px - top, tile.column - grid.margin_px - left
    return pixels[row : row + grid.tile_px, column : column + grid.tile_px]


def _classified(probability: Probabilities, model: Model, coarsening: int) -> ClassMap:
    """Average probabilities down to the class map, then take the likeliest class.

    Parameters
    ----------
    probability
        `(n, side, side, classes)`.
    model
        Its thresholds: a class below its own cannot win.
    coarsening
        Side of the square that becomes one pixel of the class map.

    Returns
    -------
    numpy.ndarray
        `(n, side // coarsening, side // coarsening)` uint8 of `SlideClass`.
    """
    n, side, _, n_classes = probability.shape
    small = side // coarsening
    if coarsening > 1:
        shape = (n, small, coarsening, small, coarsening, n_classes)
        probability = probability.reshape(shape).mean(axis=(2, 4))
    least = np.array([model.thresholds.get(item.name, 0.0) for item in model.classes], np.float32)
    winners = np.where(probability >= least, probability, 0).argmax(axis=-1)
    names = np.array([SlideClass[item.name.upper()] for item in model.classes], np.uint8)
    classified: ClassMap = names[winners]
    return classified


def _put(class_map: ClassMap, classes: ClassMap, tile: Tile, coarsening: int) -> None:
    row, column = tile.row // coarsening, tile.column // coarsening
    target = class_map[row : row + classes.shape[0], column : column + classes.shape[1]]
    target[...] = classes[: target.shape[0], : target.shape[1]]


def _use(model: Model, device: str, um_px: float) -> ModelUse:
    return ModelUse(
        name=model.name, version=model.version, digest=model.digest, device=device, um_px=um_px
    )


def _warnings(models: Models, coarse: Sampler, fine: Sampler) -> tuple[str, ...]:
    return tuple(
        f"The slide has {sampler.um_px:.2f} µm/px, coarser than the {model.um_px:.2f} µm/px "
        f"that the model {model.name} was made for; its result is less certain."
        for model, sampler in ((models.tissue, coarse), (models.artifact, fine))
        if sampler.coarser
    )

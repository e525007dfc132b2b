"""Run the models over a slide: tissue first, then everything that wants to see the tissue.

Workers are threads; libraries release the GIL while they decode and infer. How they reach the
models depends on the device: `feeding.py`.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from appliance.errors import ConfigError, DeviceUnavailable
from appliance.slides.classes import ClassMap, Mask
from appliance.slides.findings import ModelUse
from appliance.slides.reader import SlideReader
from appliance.slides.sampling import Sampler
from inference.model.bundle import Models
from inference.model.choice import chosen
from inference.model.manifest import ARTIFACT, Likeness, Model
from inference.running import tissue
from inference.running.artifacts import MARGIN_PX, ArtifactScan
from inference.running.classify import TileClassification, TileMap
from inference.running.feeding import CPU_BATCH, Feeding, open_feeding
from inference.running.look import CELL_PX, Look
from inference.running.squares import Square
from inference.running.tissue import TissueView
from inference.running.watchdog import DEFAULT_LIMIT_S, Watchdog

__all__ = ["BATCH", "MARGIN_PX", "Prediction", "Predictor", "Progress"]

BATCH = CPU_BATCH[ARTIFACT]
"""Tiles that the artifact model is given at once on a CPU."""
_TISSUE_PART, _END = 0.15, 0.95
"""Progress after the tissue, and after all models."""

Progress = Callable[[float, str], None]
_Part = ArtifactScan | TileClassification
_J = TypeVar("_J")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """What the models saw, pixel by pixel."""

    class_map: ClassMap
    """`(rows, columns)` uint8 of `SlideClass`; straight from the models, not cleaned."""
    tissue: Mask
    """`(rows, columns)` bool: tissue, covered by an artifact or not."""
    um_px: float
    """Spacing of both."""
    focus: npt.NDArray[np.float32]
    """`(rows, columns)`: sharpness of each cell, NaN without tissue; see `look_at`."""
    focus_um_px: float
    """Side of a cell of `focus`."""
    look: Look
    """Colour and texture of what is stained."""
    tile_maps: tuple[TileMap, ...]
    """What tile classifiers saw, one for each class that they report."""
    models: tuple[ModelUse, ...]
    warnings: tuple[str, ...]
    tiles: int
    """How many tiles the artifact model saw."""


class DeviceStranded(RuntimeError):
    """The GPU was lost and this process cannot have it again: CUDA's errors stay until it ends."""


class Predictor:
    """The models, loaded once a worker, for slide after slide. Thread-safe.

    Parameters
    ----------
    models
        Checked models.
    device
        `auto`, `cpu` or `gpu`.
    workers
        Number of cores that decode, and on a CPU infer.
    limit_s
        How long a model may take for one batch.

    Raises
    ------
    ConfigError
        A GPU is demanded, and there is none or it refuses the work.
    ModelError
        A model cannot be loaded.
    """

    def __init__(
        self, models: Models, *, device: str, workers: int, limit_s: float = DEFAULT_LIMIT_S
    ) -> None:
        self._models = models
        self._device = device
        self._watchdog = Watchdog(limit_s)
        self._opening = threading.Lock()
        self._is_stranded = False
        try:
            feeding = self._opened()
        except DeviceUnavailable as error:
            self._watchdog.close()
            raise ConfigError(str(error)) from error
        self._feeding: Feeding | None = feeding
        self._workers = feeding.workers(workers)
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="infer")
        self.devices = (feeding.device,) * len(models.everyone)
        """Where the models really run."""
        self.slides = feeding.slides
        """How many slides at once keep the device busy."""

    @property
    def models(self) -> tuple[Model, ...]:
        """The models, in the order in which they run."""
        return self._models.everyone

    @property
    def likeness(self) -> Likeness | None:
        """How the training data of the artifact model looked."""
        return self._models.artifact.likeness

    def close(self) -> None:
        """End the workers."""
        self._pool.shutdown(cancel_futures=True)
        self._forget(self._feeding)
        self._watchdog.close()

    def predict(self, reader: SlideReader, progress: Progress) -> Prediction:
        """Run the models over one slide.

        Raises
        ------
        UnsuitableSlide
            A frame is damaged: nothing is reported of such a slide.
        ModelError, DeviceUnavailable
            See `Session.run`.
        """
        with self._opening:
            if self._feeding is None:
                self._feeding = self._reopened()
            feeding = self._feeding
        try:
            return self._predict(reader, feeding, progress)
        except DeviceUnavailable:
            self._forget(feeding)  # a GPU that was lost is looked for anew with the next slide
            raise

    def _opened(self) -> Feeding:
        return open_feeding(self._models.everyone, device=self._device, watchdog=self._watchdog)

    def check(self) -> None:
        """Let the daemon end, and systemd start a fresh one, when the GPU cannot be had again.

        Raises
        ------
        DeviceStranded
            It was lost, and opening it anew failed or gave another device.
        """
        if self._is_stranded:
            raise DeviceStranded

    def _reopened(self) -> Feeding:
        self._is_stranded = True
        feeding = self._opened()
        if feeding.device != self.devices[0]:
            feeding.close()
            raise DeviceUnavailable("The GPU was lost; inference starts anew.")
        self._is_stranded = False
        return feeding

    def _forget(self, feeding: Feeding | None) -> None:
        with self._opening:
            if feeding is not None and self._feeding is feeding:
                self._feeding = None
                feeding.close()

    def _predict(self, reader: SlideReader, feeding: Feeding, progress: Progress) -> Prediction:
        view, coarse = self._tissue(reader, feeding, progress)
        choice = chosen(self._models.classifiers, reader.header)
        scan = ArtifactScan(self._models.artifact, reader, view)
        others = [TileClassification(model, reader, view) for model in choice.run]
        parts: list[_Part] = [scan, *others]
        jobs = [(part, square) for part in parts for square in part.squares(self._workers)]
        rows, columns = scan.class_map.shape
        mask = self._pool.submit(view.mask, rows=rows, columns=columns, um_px=scan.um_px)
        span = _END - _TISSUE_PART
        self._each(
            lambda job: _judge(job, feeding),
            jobs,
            lambda share: progress(_TISSUE_PART + span * share, "looking for artifacts"),
        )
        samplers = [coarse, scan.sampler, *(other.sampler for other in others)]
        ran = [self._models.tissue, scan.model, *choice.run]
        return Prediction(
            class_map=scan.class_map,
            tissue=mask.result(),
            um_px=scan.um_px,
            focus=scan.focus,
            focus_um_px=CELL_PX * scan.sampler.um_px,
            look=scan.look,
            tile_maps=tuple(one for other in others for one in other.maps()),
            models=tuple(
                _use(model, feeding.device, sampler.um_px)
                for model, sampler in zip(ran, samplers, strict=True)
            ),
            warnings=(*_warnings(ran, samplers), *choice.left_out),
            tiles=scan.tiles,
        )

    def _tissue(
        self, reader: SlideReader, feeding: Feeding, progress: Progress
    ) -> tuple[TissueView, Sampler]:
        model = self._models.tissue
        sampler = Sampler(reader, model.um_px)
        probability = np.zeros((sampler.rows, sampler.columns), np.float32)
        something = np.zeros(probability.shape, bool)

        def work(at: tuple[int, int]) -> None:
            found, marked = tissue.look(sampler, feeding.runner(model), at)
            area = (slice(at[0], at[0] + found.shape[0]), slice(at[1], at[1] + found.shape[1]))
            probability[area], something[area] = found, marked

        self._each(
            work,
            tissue.blocks(sampler),
            lambda share: progress(_TISSUE_PART * share, "finding tissue"),
        )
        view = TissueView(
            um_px=sampler.um_px,
            probability=probability,
            something=something,
            threshold=tissue.threshold_of(model),
        )
        return view, sampler

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


def _judge(job: tuple[_Part, Square], feeding: Feeding) -> None:
    part, square = job
    part.judge(square, feeding.runner(part.model), feeding.batch(part.model))


def _use(model: Model, device: str, um_px: float) -> ModelUse:
    return ModelUse(
        name=model.name,
        version=model.version,
        digest=model.digest,
        device=device,
        um_px=um_px,
        intended_use=model.intended_use,
    )


def _warnings(models: Sequence[Model], samplers: Sequence[Sampler]) -> tuple[str, ...]:
    return tuple(
        f"The slide has {sampler.um_px:.2f} µm/px, coarser than the {model.um_px:.2f} µm/px "
        f"that the model {model.name} was made for; its result is less certain."
        for model, sampler in zip(models, samplers, strict=True)
        if sampler.coarser
    )

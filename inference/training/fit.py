"""The training loop that both networks share."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from inference.training.network import SmallUNet
from inference.training.sources import IGNORE, Labels, Rgb

MakeScene = Callable[[np.random.Generator], tuple[Rgb, Labels]]
Keep = Callable[[SmallUNet], None]

_KEEP_EVERY_S = 240.0
_SHOWN_AGAIN_AFTER = 300
"""Scenes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how hard to train; `seconds` ends it early with what is there."""

    steps: int
    batch: int
    learning_rate: float
    class_weights: tuple[float, ...]
    seed: int
    seconds: float
    loaders: int = 1
    threads: int = 1


class _Scenes(IterableDataset[tuple[torch.Tensor, torch.Tensor]]):  # type: ignore[misc]
    """An endless stream of scenes; each loader process has its own seeded generator.

    A scene costs as much time as learning from it, so each is shown twice: at once, and later
    mirrored and turned.
    """

    def __init__(self, make: MakeScene, seed: int) -> None:
        super().__init__()
        self.make = make
        self.seed = seed

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        draw = np.random.default_rng((self.seed, worker.id if worker else 0))
        shown: list[tuple[Rgb, Labels]] = []
        while True:
            rgb, labels = self.make(draw)
            shown.append((rgb, labels))
            yield _tensors(rgb, labels)
            if len(shown) > _SHOWN_AGAIN_AFTER:
                rgb, labels = shown.pop(int(draw.integers(len(shown))))
                turns = int(draw.integers(1, 4))
                yield _tensors(np.rot90(rgb, turns)[:, ::-1], np.rot90(labels, turns)[:, ::-1])


def _tensors(rgb: Rgb, labels: Labels) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(rgb.copy()), torch.from_numpy(labels.astype(np.int64))


def pixels_of(make: MakeScene, *, scenes: int, seed: int) -> torch.Tensor:
    """Give scenes as the network takes them: float32 (scenes, 3, rows, columns), -1..1."""
    draw = np.random.default_rng(seed)
    rgb = np.stack([make(draw)[0] for _ in range(scenes)])
    return _as_input(torch.from_numpy(rgb))


def _as_input(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.permute(0, 3, 1, 2).float() * (1 / 127.5) - 1


def fit(network: SmallUNet, make: MakeScene, schedule: Schedule, keep: Keep) -> SmallUNet:
    """Train `network`; give the running average of its weights, ready to export.

    `keep` gets that average every few minutes. The result depends on the seed, on the processor,
    and on the clock only when `seconds` ends the run early. Convolutions run in bfloat16, on
    channels that lie side by side: on processors of today half the time of float32.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before the loader starts: small products spin
    torch.manual_seed(schedule.seed)
    torch.set_num_threads(schedule.threads)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=schedule.learning_rate, weight_decay=1e-3
    )
    plan = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=schedule.learning_rate, total_steps=schedule.steps, pct_start=0.15
    )
    network.to(memory_format=torch.channels_last)
    average = deepcopy(network)
    average.eval()
    loader = DataLoader(
        _Scenes(make, schedule.seed),
        batch_size=schedule.batch,
        num_workers=schedule.loaders,
        multiprocessing_context="spawn",  # OpenCV's and BLAS's threads do not survive a fork
    )
    weights = torch.tensor(schedule.class_weights)
    began, recent, kept = time.monotonic(), 0.0, 0
    network.train()
    for step, (pixels, labels) in zip(range(schedule.steps), loader, strict=False):
        loss = _step(network, optimiser, pixels, labels, weights)
        plan.step()
        _follow(average, network, keep=min(0.995, 1 - 1 / (step + 2)))
        recent = 0.98 * recent + 0.02 * loss
        if step % 50 == 0:
            log.info("step %d loss %.4f after %.0f s", step, recent, time.monotonic() - began)
        if time.monotonic() - began > (kept + 1) * _KEEP_EVERY_S:
            kept += 1
            keep(average)
        if time.monotonic() - began > schedule.seconds:
            log.warning("stopped by the clock at step %d of %d", step, schedule.steps)
            break
    return average


def _step(
    network: SmallUNet,
    optimiser: torch.optim.Optimizer,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor,
) -> float:
    """Learn from one batch; give its loss."""
    image = _as_input(pixels)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(image)
    loss = _loss(logits.float(), _sampled(labels, network.divisor), weights)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 2.0)
    optimiser.step()
    return float(loss.detach())


def _sampled(labels: torch.Tensor, divisor: int) -> torch.Tensor:
    """Take the label in the middle of each pixel of the network's own, coarser grid."""
    return labels[:, divisor // 2 :: divisor, divisor // 2 :: divisor]


def _loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Cross entropy plus soft Dice over the classes that the batch shows."""
    entropy = functional.cross_entropy(logits, labels, weights, ignore_index=IGNORE)
    known = (labels != IGNORE).unsqueeze(1)
    truth = functional.one_hot(labels.clamp(max=logits.shape[1] - 1), logits.shape[1])
    truth = truth.permute(0, 3, 1, 2) * known
    guess = torch.softmax(logits, dim=1) * known
    overlap = (guess * truth).sum((0, 2, 3))
    size = (guess + truth).sum((0, 2, 3))
    shown = truth.sum((0, 2, 3)) > 0
    dice = 1 - (2 * overlap + 1) / (size + 1)
    return entropy + 0.5 * dice[shown].mean()


def _follow(average: SmallUNet, network: SmallUNet, *, keep: float) -> None:
    with torch.no_grad():
        pairs = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
        for mean, now in pairs:
            if mean.dtype.is_floating_point:
                mean.mul_(keep).add_(now, alpha=1 - keep)
            else:
                mean.copy_(now)

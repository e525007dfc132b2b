"""Train the metastasis demonstration: ``python -m inference.training.metastasis``.

PatchCamelyon (CC0): 96 x 96 patches of lymph node, H&E, 0.97 um/px; the label says whether there
is tumour in the central 32 x 32. Which slide a patch comes from is not known. The last tenth of the
training archive, in source order, only chooses; the validation archive is for
`inference.training.evaluate` alone and is not read here.
"""

import argparse
import logging
import math
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from torch.optim import swa_utils

from inference.training.network import OPSET
from inference.training.patches import Patches, area_under_curve, read, threshold_at

CHOOSING_FROM = 18_000
"""Patches of this number in the source and later choose, those before it train."""
SPECIFICITY = 0.95
"""What the threshold in the manifest keeps on the patches that choose."""
SIDE_PX = 96
_CHANNELS = (24, 48, 96, 128)
_CENTRE = slice(2, 4)
"""The middle 2 x 2 of the last 6 x 6 map: the 32 x 32 px that the label speaks of."""
_WARM_UP, _KEPT = 0.08, 0.997

log = logging.getLogger(__name__)


class PatchNetwork(nn.Module):  # type: ignore[misc]  # torch is not in the checked environment
    """A small residual network that looks at the whole patch and at its centre.

    Takes float32 (n, 3, 96, 96) in -1..1; gives float32 logits (n, 2).
    """

    def __init__(self) -> None:
        super().__init__()
        first, second, third, last = _CHANNELS
        self.body = nn.Sequential(
            _block(3, first, side=5, stride=2),
            _Residual(first),
            _block(first, second, stride=2),
            _Residual(second),
            _block(second, third, stride=2),
            _Residual(third),
            _block(third, last, stride=2),
        )
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(2 * last, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Judge a batch."""
        found = self.body(image)
        everywhere = found.mean(dim=(2, 3))
        centre = found[:, :, _CENTRE, _CENTRE].mean(dim=(2, 3))
        return self.head(self.drop(torch.cat([everywhere, centre], dim=1)))


class _Residual(nn.Module):  # type: ignore[misc]
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _block(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return torch.relu(value + self.second(self.first(value)))


def _block(inputs: int, outputs: int, *, side: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride=stride, padding=side // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Deployed(nn.Module):  # type: ignore[misc]
    """Uint8 (n, 96, 96, 3) RGB to float32 (n, 2): normal, tumour; they sum to 1."""

    def __init__(self, network: PatchNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalise, judge, soften."""
        pixels = image.permute(0, 3, 1, 2).to(torch.float32) * (1 / 127.5) - 1.0
        return torch.softmax(self.network(pixels), dim=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long to train; `seconds` cools the rate down earlier where the clock runs out."""

    epochs: int
    seconds: float
    seed: int
    batch: int = 128
    learning_rate: float = 3e-3


def train(patches: Patches, chooser: Patches, schedule: Schedule) -> PatchNetwork:
    """Train; give the running average of the weights, ready to export."""
    torch.manual_seed(schedule.seed)
    torch.set_num_threads(1)
    draw = np.random.default_rng(schedule.seed)
    network = PatchNetwork().to(memory_format=torch.channels_last)
    follow = swa_utils.get_ema_multi_avg_fn(_KEPT)
    average = swa_utils.AveragedModel(network, multi_avg_fn=follow, use_buffers=True)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.03)
    per_epoch = len(patches.labels) // schedule.batch
    began, step, done = time.monotonic(), 0, 0.0
    while done < 1:
        network.train()
        order = draw.permutation(len(patches.labels))
        for chosen in np.array_split(order[: per_epoch * schedule.batch], per_epoch):
            clock = (time.monotonic() - began) / schedule.seconds
            done = max(step / (per_epoch * schedule.epochs), clock)
            if done >= 1:
                break
            optimiser.param_groups[0]["lr"] = schedule.learning_rate * _rate(done)
            _step(network, optimiser, _batch(draw, patches, chosen))
            average.update_parameters(network)
            step += 1
        auc = area_under_curve(chooser.labels, _judged(average.module, chooser))
        spent = time.monotonic() - began
        log.info("step %d, %.0f s: AUC %.4f on n=%d", step, spent, auc, len(chooser.labels))
    trained: PatchNetwork = average.module.eval()
    return trained


def _rate(done: float) -> float:
    if done < _WARM_UP:
        return (done + 0.01) / (_WARM_UP + 0.01)
    return 0.5 + 0.5 * math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP))


def _step(
    network: PatchNetwork,
    optimiser: torch.optim.Optimizer,
    batch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    image, labels = batch
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(image)
    loss = functional.cross_entropy(logits.float(), labels, label_smoothing=0.05)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 2.0)
    optimiser.step()


def _batch(
    draw: np.random.Generator, patches: Patches, chosen: npt.NDArray[np.int64]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn and mirror, restain, sharpen or soften."""
    turned = np.stack([_turned(draw, patches.pixels[index]) for index in chosen])
    n = len(turned)
    density = torch.from_numpy(_DENSITY[turned])
    mix = np.eye(3) * draw.uniform(0.75, 1.3, (n, 3, 1)) + draw.normal(0, 0.05, (n, 3, 3))
    mix *= np.exp(draw.normal(0, 0.18, (n, 1, 1)))
    stained = torch.bmm(
        density.reshape(n, -1, 3), torch.from_numpy(mix.astype(np.float32)).transpose(1, 2)
    )
    light = torch.exp(-stained.clamp(min=0)).reshape(n, SIDE_PX, SIDE_PX, 3)
    light = light * torch.from_numpy(draw.uniform(0.9, 1.05, (n, 1, 1, 1)).astype(np.float32))
    image = light.permute(0, 3, 1, 2)
    softness = torch.from_numpy(draw.uniform(-0.5, 0.7, (n, 1, 1, 1)).astype(np.float32))
    image = torch.lerp(image, functional.avg_pool2d(image, 3, 1, 1), softness).clamp(0, 1)
    return image * 2 - 1, torch.from_numpy(patches.labels[chosen])


_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


def _turned(draw: np.random.Generator, patch: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    patch = np.rot90(patch, int(draw.integers(4)))
    return patch[:, ::-1] if draw.integers(2) else patch


def _judged(network: PatchNetwork, patches: Patches) -> npt.NDArray[np.float32]:
    deployed = Deployed(network).eval()
    with torch.no_grad():
        parts = [
            deployed(torch.from_numpy(patches.pixels[first : first + 256]))[:, 1]
            for first in range(0, len(patches.labels), 256)
        ]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def export(network: PatchNetwork, path: Path) -> None:
    """Write `path` as ONNX: input `image`, output `probability`, the batch dynamic."""
    torch.onnx.export(
        Deployed(network).eval(),
        (torch.zeros((2, SIDE_PX, SIDE_PX, 3), dtype=torch.uint8),),
        str(path),
        input_names=["image"],
        output_names=["probability"],
        dynamic_axes={"image": {0: "n"}, "probability": {0: "n"}},
        opset_version=OPSET,
        dynamo=False,
    )


def main() -> None:
    """Train on PatchCamelyon and write OUT/model.onnx."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds SOURCES.md")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=7200.0)
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    with zipfile.ZipFile(arguments.data / "images/pcam/pcam_train.zip") as archive:
        everything = read(archive)
    later = everything.numbers >= CHOOSING_FROM
    schedule = Schedule(epochs=arguments.epochs, seconds=arguments.seconds, seed=arguments.seed)
    chooser = everything.where(later)
    network = train(everything.where(~later), chooser, schedule)
    threshold = threshold_at(chooser.labels, _judged(network, chooser), specificity=SPECIFICITY)
    log.info("threshold for a specificity of %.2f: %.3f", SPECIFICITY, threshold)
    arguments.out.mkdir(parents=True, exist_ok=True)
    export(network, arguments.out / "model.onnx")


if __name__ == "__main__":
    main()

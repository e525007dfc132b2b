"""The one network shape of the bundled models, a small U-Net, and its ONNX form."""

from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

OPSET = 17


def _block(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class SmallUNet(nn.Module):  # type: ignore[misc]  # torch is not in the checked environment
    """Stem at half resolution, `len(channels)` stages, then up again to stage `finest`.

    Takes float32 (n, 3, rows, columns) in -1..1 with sides that are multiples of
    ``2 ** len(channels)``; gives float32 logits (n, classes, rows / d, columns / d) with d 2 for
    `finest` 0 and 4 for 1. The last stages up cost most and draw edges finer than anybody reads.
    """

    def __init__(self, channels: tuple[int, ...], classes: int, *, finest: int) -> None:
        super().__init__()
        first = channels[0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            _block(first, first),
        )
        self.down = nn.ModuleList(
            nn.Sequential(_block(a, b, stride=2), _block(b, b)) for a, b in pairwise(channels)
        )
        self.up = nn.ModuleList(
            nn.Sequential(_block(a + b, a), _block(a, a)) for a, b in pairwise(channels[finest:])
        )
        self.head = nn.Conv2d(channels[finest], classes, 1)
        self.divisor = 2 ** (finest + 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Segment a batch."""
        stages = [self.stem(image)]
        for stage in self.down:
            stages.append(stage(stages[-1]))
        value = stages.pop()
        for stage in reversed(self.up):
            finer = stages.pop()
            value = functional.interpolate(value, scale_factor=2.0, mode="nearest")
            value = stage(torch.cat([finer, value], dim=1))
        logits: torch.Tensor = self.head(value)
        return logits


class Deployed(nn.Module):  # type: ignore[misc]
    """The network as the appliance runs it: pixels in, probabilities out.

    Takes uint8 (n, rows, columns, 3) RGB; gives float32 (n, rows, columns, classes) that sum to 1.
    """

    def __init__(self, network: SmallUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalise, segment, soften, enlarge; softening first is a fraction of the work."""
        pixels = image.permute(0, 3, 1, 2).to(torch.float32) * (1 / 127.5) - 1.0
        coarse = torch.softmax(self.network(pixels), dim=1)
        scale = float(self.network.divisor)
        fine = functional.interpolate(
            coarse, scale_factor=scale, mode="bilinear", align_corners=False
        )
        return fine.permute(0, 2, 3, 1)


def load(network: SmallUNet, weights: Path) -> None:
    """Put the weights of an earlier run into `network`."""
    network.load_state_dict(torch.load(weights, weights_only=True))


def save(network: SmallUNet, folder: Path, *, side_px: int, free_sides: bool) -> None:
    """Write `weights.pt` (to go on from) and `model.onnx` (to run) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), folder / "weights.pt")
    export(network, folder / "model.onnx", side_px=side_px, free_sides=free_sides)


def export(network: SmallUNet, path: Path, *, side_px: int, free_sides: bool) -> None:
    """Write `path` as ONNX: input `image`, output `probability`, the batch dynamic.

    With `free_sides` rows and columns are dynamic as well.
    """
    deployed = Deployed(network).eval()
    axes = {0: "n", 1: "rows", 2: "columns"} if free_sides else {0: "n"}
    example = torch.zeros((2, side_px, side_px, 3), dtype=torch.uint8)
    torch.onnx.export(
        deployed,
        (example,),
        str(path),
        input_names=["image"],
        output_names=["probability"],
        dynamic_axes={"image": axes, "probability": axes},
        opset_version=OPSET,
        dynamo=False,
    )

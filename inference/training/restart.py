"""Go on from an exported model: its convolutions back into a network, batch norms made anew."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from inference.training.network import SmallUNet

Weights = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def from_onnx(network: SmallUNet, path: Path, images: torch.Tensor) -> None:
    """Fill `network` with the convolutions of `path`, all but the head.

    The stages must have the widths of the exported network; stages up beyond `network`'s finest
    are left out, and so is the head, whose classes may be others. The export folded every batch
    norm into its convolution: here it gets mean and variance of `images` (float32 (n, 3, rows,
    columns), -1..1) and the scale and shift that undo them, so that the network computes what the
    file did.
    """
    exported = iter(_convolutions(path))
    modules = [network.stem, *network.down, *reversed(network.up)]
    pairs = [pair for module in modules for pair in _with_norm(module)]
    hooks = []
    for convolution, norm in pairs:
        kernel, shift = next(exported)
        convolution.weight.data = torch.from_numpy(kernel.copy())
        hooks.append(norm.register_forward_pre_hook(_undoing(torch.from_numpy(shift.copy()))))
    network.eval()
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()


def _convolutions(path: Path) -> list[Weights]:
    graph = onnx.load(path).graph
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    return [(values[node.input[1]], values[node.input[2]]) for node in nodes]


def _with_norm(module: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    convolutions = [each for each in module.modules() if isinstance(each, nn.Conv2d)]
    norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]
    return list(zip(convolutions, norms, strict=True))


def _undoing(shift: torch.Tensor) -> Callable[[nn.BatchNorm2d, tuple[torch.Tensor]], None]:
    def hook(norm: nn.BatchNorm2d, inputs: tuple[torch.Tensor]) -> None:
        mean = inputs[0].mean((0, 2, 3))
        variance = inputs[0].var((0, 2, 3), unbiased=False)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(torch.sqrt(variance + norm.eps))
        norm.bias.copy_(shift + mean)

    return hook

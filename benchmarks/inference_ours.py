"""Our side of the comparison, and the bound: what decoding and the model take by themselves.

python -m benchmarks.inference_ours WHO TASK RESULT, as `inference_peer.py`. `tiles` lists the tiles
that the product judges. `ours` is the predictor as the product runs it, the tissue model and all
that it finds beside the classes included; of a tile classifier it is that classifier's share of the
predictor's work. `decode` and `infer` are the two parts of the bound: every frame that is needed
decoded once, and every batch run once, by as many threads as there are cores and nothing else.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import simplejpeg

from appliance.slides.classes import SlideClass
from appliance.slides.frames import EncodedFrames
from appliance.slides.reader import SlideReader, open_slide
from appliance.slides.sampling import Sampler
from benchmarks.inference_peer import Task, peak_mib
from inference.model import bundle
from inference.model.manifest import ARTIFACT, Model
from inference.running import engine, tissue
from inference.running.artifacts import MARGIN_PX, ArtifactScan
from inference.running.classify import TileClassification
from inference.running.feeding import CPU_BATCH, OwnSessions
from inference.running.predict import Predictor
from inference.running.tissue import TissueView
from inference.running.watchdog import DEFAULT_LIMIT_S, Watchdog

WORKERS = len(os.sched_getaffinity(0))
_SHRINKS = (8, 4, 2, 1)
_OFF = 255
"""Class of what lies outside the slide."""
_LIKELIER = 0.5
"""A classifier has two classes here: the one that it reports, and the other."""


def the_model(task: Task) -> Model:
    """Give the model of a task."""
    models = bundle.bundled()
    if task["kind"] == ARTIFACT:
        return models.artifact
    return models.classifiers[0]


def margin_px(task: Task) -> int:
    """Give the rim of a tile that is thrown away."""
    return MARGIN_PX if task["kind"] == ARTIFACT else 0


def _open(task: Task, files: str = "files") -> SlideReader:
    return open_slide([Path(one) for one in task[files]])


def _part(task: Task, reader: SlideReader, view: TissueView) -> ArtifactScan | TileClassification:
    kind = ArtifactScan if task["kind"] == ARTIFACT else TileClassification
    return kind(the_model(task), reader, view)


def looked_at(reader: SlideReader) -> tuple[TissueView, list[tuple[int, ...]]]:
    """Look for tissue as the predictor does; give also the sizes of the squares the model met."""
    model = bundle.bundled().tissue
    sampler, session = Sampler(reader, model.um_px), engine.Session(model, device=engine.CPU)
    probability = np.zeros((sampler.rows, sampler.columns), np.float32)
    something = np.zeros(probability.shape, bool)
    met: list[tuple[int, ...]] = []
    for row, column in tissue.blocks(sampler):
        found, marked = tissue.look(sampler, session, (row, column))
        area = (slice(row, row + found.shape[0]), slice(column, column + found.shape[1]))
        probability[area], something[area] = found, marked
        if marked.any():
            met.append(tuple(-(-size // 32) * 32 + 2 * tissue.MARGIN_PX for size in marked.shape))
    threshold = tissue.threshold_of(model)
    view = TissueView(
        um_px=sampler.um_px, probability=probability, something=something, threshold=threshold
    )
    return view, met


def tiles_of(task: Task) -> dict[str, Any]:
    """List the tiles, as (row, column) of the corner of their input, and some of their pixels."""
    batch, side, margin = CPU_BATCH[task["kind"]], task["tile_px"], margin_px(task)
    with _open(task) as reader:
        view, met = looked_at(reader)
        part = _part(task, reader, view)
        tiles = sorted(
            (tile.row - margin, tile.column - margin)
            for square in part.squares(WORKERS)
            for tile in square.tiles
        )
        some = tiles[:: max(1, len(tiles) // 8)]
        pixels = np.stack([part.sampler.region(row, col, side, side) for row, col in some])
    np.save(task["pixels"], np.resize(pixels, (max(batch, len(some)), side, side, 3)))
    return {"tiles": np.array(tiles), "tissue_squares": np.array(met)}


def ours(task: Task) -> dict[str, Any]:
    """Judge the slide, after a small one, so that the sessions are loaded."""
    return _scan(task) if task["kind"] == ARTIFACT else _classify(task)


def _scan(task: Task) -> dict[str, Any]:
    """Predict, without tile classifiers, and cut the class map into tiles."""
    models = replace(bundle.bundled(), classifiers=())
    predictor = Predictor(models, device=engine.CPU, workers=WORKERS)
    with _open(task, "warm_files") as reader:
        predictor.predict(reader, lambda *_: None)
    began, cpu = time.perf_counter(), time.process_time()
    with _open(task) as reader:
        prediction = predictor.predict(reader, lambda *_: None)
    figures = _figures(began, cpu)
    predictor.close()
    if prediction.tiles != len(task["tiles"]):
        raise SystemExit(f"ours judged {prediction.tiles} tiles and not {len(task['tiles'])}")
    coarser = round(prediction.um_px / models.artifact.um_px)
    class_map = prediction.class_map.repeat(coarser, axis=0).repeat(coarser, axis=1)
    return figures | {"classes": _cut(class_map, models.artifact, task)}


def _cut(class_map: Any, model: Model, task: Task) -> Any:
    """Cut the map into `(n, side, side)` of the model's own class numbers."""
    step = model.tile_px - 2 * MARGIN_PX
    own = np.full(_OFF + 1, _OFF, np.uint8)
    for number, item in enumerate(model.classes):
        own[SlideClass[item.name.upper()]] = number
    padded = np.pad(own[class_map], ((0, step), (0, step)), constant_values=_OFF)
    corners = [(row + MARGIN_PX, column + MARGIN_PX) for row, column in task["tiles"]]
    return np.stack([padded[row : row + step, column : column + step] for row, column in corners])


def _classify(task: Task) -> dict[str, Any]:
    """Judge the tiles of a classifier as the predictor drives it; where tissue is, is known."""
    model = the_model(task)
    with _open(task) as reader:
        view, _ = looked_at(reader)
    feeding = OwnSessions([model], Watchdog(DEFAULT_LIMIT_S))
    batch = feeding.batch(model)

    def judge(reader: SlideReader, pool: ThreadPoolExecutor) -> TileClassification:
        part = TileClassification(model, reader, view)
        jobs = [
            pool.submit(lambda one=one: part.judge(one, feeding.runner(model), batch))
            for one in part.squares(WORKERS)
        ]
        for job in jobs:
            job.result()
        return part

    with ThreadPoolExecutor(WORKERS) as pool:
        with _open(task) as reader:
            judge(reader, pool)  # each thread loads its session
        began, cpu = time.perf_counter(), time.process_time()
        with _open(task) as reader:
            part = judge(reader, pool)
        figures = _figures(began, cpu)
    found, side = part.maps()[0], model.tile_px
    rows, columns = np.array(task["tiles"]).T // side
    is_found = found.probability[rows, columns] > _LIKELIER
    return figures | {"classes": np.where(is_found, found.class_index, 1 - found.class_index)}


def decode(task: Task) -> dict[str, Any]:
    """Decode every frame that the models need, once, as small as libjpeg gives it."""
    files = [Path(one) for one in task["files"]]
    jobs: list[Callable[[], object]] = []
    kinds = [the_model(task)]
    if task["kind"] == ARTIFACT:
        kinds.append(bundle.bundled().tissue)
    for model in kinds:
        with _open(task) as reader:
            fits = [i for i, one in enumerate(reader.levels) if one.um_px <= model.um_px * 1.05]
            level = reader.levels[fits[-1]]
        scale, tile_px = model.um_px / level.um_px, level.tile_px[0]
        across, down = -(-level.columns // tile_px), -(-level.rows // tile_px)
        wanted = set(product(range(down), range(across)))
        if model is kinds[0]:
            wanted = set(_wanted(task, scale, tile_px, (down, across)))
        frames = _frames(files[fits[-1]])
        side = tile_px // next(one for one in _SHRINKS if one <= scale * 1.05)
        jobs += [
            lambda frames=frames, n=row * across + column, side=side: simplejpeg.decode_jpeg(
                frames.frame(n), colorspace="RGB", min_height=side, min_width=side
            )
            for row, column in sorted(wanted)
        ]
    return _timed(jobs)


def _wanted(
    task: Task, scale: float, tile_px: int, shape: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Yield (row, column) of the frames under the tiles, many of them more than once."""
    for corner in task["tiles"]:
        reach = [
            range(
                max(0, int(first * scale) // tile_px),
                min(int((first + task["tile_px"]) * scale - 1) // tile_px, count - 1) + 1,
            )
            for first, count in zip(corner, shape, strict=True)
        ]
        yield from product(*reach)


def _frames(path: Path) -> EncodedFrames:
    with path.open("rb") as file:
        header = pydicom.dcmread(file, stop_before_pixels=True)
        at = file.tell()
    return EncodedFrames(
        path,
        pixel_data_at=at,
        n_frames=int(header.NumberOfFrames),
        extended_offsets=header.get("ExtendedOffsetTable", b""),
    )


def infer(task: Task) -> dict[str, Any]:
    """Run ONNX Runtime, nothing around it, on as many tiles and squares as the product does."""
    model, batch = the_model(task), CPU_BATCH[task["kind"]]
    coarse, pixels = bundle.bundled().tissue, np.load(task["pixels"])
    sessions = [
        {one.task: engine.open_session(one, engine.CPU) for one in (coarse, model)}
        for _ in range(WORKERS)
    ]

    def run(kind: str, images: Any) -> None:
        own = sessions.pop()
        own[kind].run([engine.OUTPUT], {engine.INPUT: images})
        sessions.append(own)

    n_tiles = len(task["tiles"])
    sizes = [min(batch, n_tiles - first) for first in range(0, n_tiles, batch)]
    starts = [number % (len(pixels) - size + 1) for number, size in enumerate(sizes)]
    work = [
        (task["kind"], pixels[start : start + size])
        for start, size in zip(starts, sizes, strict=True)
    ]
    if task["kind"] == ARTIFACT:
        work += [(coarse.task, np.resize(pixels, (1, *size, 3))) for size in task["tissue_squares"]]
    for own in sessions:
        for kind, images in (work[0], work[-1]):
            own[kind].run([engine.OUTPUT], {engine.INPUT: images})
    return _timed([lambda one=one: run(*one) for one in work])


def _timed(jobs: Sequence[Callable[[], object]]) -> dict[str, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(WORKERS) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()
    return _figures(began, cpu)


def _figures(began: float, cpu: float) -> dict[str, Any]:
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return {"wall_s": wall_s, "cpu_s": cpu_s, "rss_mib": peak_mib()}


PARTS: dict[str, Callable[[Task], dict[str, Any]]] = {
    "ours": ours,
    "tiles": tiles_of,
    "decode": decode,
    "infer": infer,
}

if __name__ == "__main__":
    np.savez(sys.argv[3], **PARTS[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text())))

"""Our side of the comparison, and the bound: what decoding and the model take by themselves.

python -m benchmarks.inference_ours WHO TASK RESULT, as `inference_peer.py`: `ours` is the predictor
as the product runs it, both models and everything it finds beside; `tiles` lists which tiles that
are; `decode` and `infer` are the two parts of the bound: every frame that is needed decoded once,
and every batch run once, by as many threads as there are cores and nothing else.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import simplejpeg

from appliance.slides.classes import SlideClass
from appliance.slides.frames import EncodedFrames
from appliance.slides.reader import SlideReader, open_slide
from benchmarks.inference_peer import Task, peak_mib
from inference.model import bundle
from inference.model.manifest import Model
from inference.running import engine, tissue
from inference.running.predict import BATCH, MARGIN_PX, Predictor
from inference.running.sampling import Sampler
from inference.running.tiles import TileGrid
from inference.running.tissue import TissueView

WORKERS = len(os.sched_getaffinity(0))


def grid_of(reader: SlideReader, model: Model) -> TileGrid:
    """Give the grid that the predictor lays over a slide."""
    sampler = Sampler(reader, model.um_px)
    return TileGrid(
        rows=sampler.rows, columns=sampler.columns, tile_px=model.tile_px, margin_px=MARGIN_PX
    )


def looked_at(
    reader: SlideReader, models: bundle.Models
) -> tuple[TissueView, list[tuple[int, int]]]:
    """Look for tissue as the predictor does; give also the sizes of the squares the model met."""
    sampler = Sampler(reader, models.tissue.um_px)
    session = engine.Session(models.tissue, device=engine.CPU)
    probability = np.zeros((sampler.rows, sampler.columns), np.float32)
    something = np.zeros(probability.shape, bool)
    met = []
    for row, column in tissue.blocks(sampler):
        found, marked = tissue.look(sampler, session, (row, column))
        area = (slice(row, row + found.shape[0]), slice(column, column + found.shape[1]))
        probability[area], something[area] = found, marked
        if marked.any():
            met.append(tuple(-(-size // 32) * 32 + 2 * tissue.MARGIN_PX for size in marked.shape))
    view = TissueView(
        um_px=sampler.um_px,
        probability=probability,
        something=something,
        threshold=tissue.threshold_of(models.tissue),
    )
    return view, met


def tiles_of(task: Task) -> dict[str, Any]:
    """List the tiles that the predictor judges, as (row, column) of the corner of their input."""
    models = bundle.bundled()
    with open_slide([Path(one) for one in task["files"]]) as reader:
        grid, (view, met) = grid_of(reader, models.artifact), looked_at(reader, models)
        um_px = Sampler(reader, models.artifact.um_px).um_px
        side_um = grid.step_px * um_px
        tiles = [
            (tile.row - MARGIN_PX, tile.column - MARGIN_PX)
            for (tile,) in grid.blocks(1)
            if view.is_worth_a_look(
                top_um=tile.row * um_px, left_um=tile.column * um_px, side_um=side_um
            )
        ]
    return {"tiles": np.array(tiles), "tissue_squares": np.array(met)}


def ours(task: Task) -> dict[str, Any]:
    """Predict, after a first tile so that sessions are loaded, and cut the class map into tiles."""
    models = bundle.bundled()
    predictor = Predictor(models, device=engine.CPU, workers=WORKERS)
    files = [Path(one) for one in task["files"]]
    with open_slide([Path(one) for one in task["warm_files"]]) as reader:
        predictor.predict(reader, lambda *_: None)
    began, cpu = time.perf_counter(), time.process_time()
    with open_slide(files) as reader:
        prediction = predictor.predict(reader, lambda *_: None)
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    predictor.close()
    if prediction.tiles != len(task["tiles"]):
        raise SystemExit(f"ours judged {prediction.tiles} tiles and not {len(task['tiles'])}")
    result = {"wall_s": wall_s, "cpu_s": cpu_s, "rss_mib": peak_mib()}
    return result | {"classes": _cut(prediction.class_map, models.artifact, task)}


def _cut(class_map: Any, model: Model, task: Task) -> Any:
    """Cut the map into `(n, side, side)` of the model's own class numbers; 255 outside the map."""
    step = model.tile_px - 2 * MARGIN_PX
    own = np.full(256, 255, np.uint8)
    for number, item in enumerate(model.classes):
        own[SlideClass[item.name.upper()]] = number
    padded = np.pad(own[class_map], ((0, step), (0, step)), constant_values=255)
    corners = [(row + MARGIN_PX, column + MARGIN_PX) for row, column in task["tiles"]]
    return np.stack([padded[row : row + step, column : column + step] for row, column in corners])


def decode(task: Task) -> dict[str, Any]:
    """Decode every frame that the models need, once."""
    models = bundle.bundled()
    files = [Path(one) for one in task["files"]]
    with open_slide(files) as reader:
        grid = grid_of(reader, models.artifact)
        fine, coarse = (Sampler(reader, one.um_px) for one in (models.artifact, models.tissue))
        levels = [
            max(i for i, one in enumerate(reader.levels) if one.um_px <= sampler.um_px * 1.05)
            for sampler in (fine, coarse)
        ]
        tile_px = reader.levels[levels[0]].tile_px[0]
        scale = fine.um_px / reader.levels[levels[0]].um_px
        across = -(-reader.levels[levels[0]].columns // tile_px)
        down = -(-reader.levels[levels[0]].rows // tile_px)
    wanted = {
        (row, column)
        for top, left in task["tiles"]
        for row in _covered(top, grid.tile_px, scale, tile_px, down)
        for column in _covered(left, grid.tile_px, scale, tile_px, across)
    }
    fine_frames = [row * across + column for row, column in sorted(wanted)]
    with _frames(files[levels[0]]) as first, _frames(files[levels[1]]) as second:
        jobs = [lambda n=n: first.frame(n) for n in fine_frames]
        jobs += [lambda n=n: second.frame(n) for n in range(len(second))]
        return _timed(
            [lambda job=job: simplejpeg.decode_jpeg(job(), colorspace="RGB") for job in jobs]
        )


def _covered(first: int, side: int, scale: float, tile_px: int, count: int) -> range:
    last = int((first + side) * scale - 1) // tile_px
    return range(max(0, int(first * scale)) // tile_px, min(last, count - 1) + 1)


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
    """Run both models on as many tiles and squares, each thread with sessions of its own."""
    models = bundle.bundled()
    pixels = np.load(task["pixels"])
    sessions = [
        {
            one.task: engine.Session(one, device=engine.CPU)
            for one in (models.tissue, models.artifact)
        }
        for _ in range(WORKERS)
    ]

    def run(kind: str, images: Any) -> None:
        own = sessions.pop()
        own[kind].run(images)
        sessions.append(own)

    batches = [
        pixels[: len(task["tiles"][first : first + BATCH])]
        for first in range(0, len(task["tiles"]), BATCH)
    ]
    squares = [np.resize(pixels, (1, *size, 3)) for size in task["tissue_squares"]]
    jobs = [lambda one=one: run("tissue", one) for one in squares]
    jobs += [lambda one=one: run("artifact", one) for one in batches]
    for own in sessions:
        own["tissue"].run(squares[0])
        own["artifact"].run(batches[0])
    return _timed(jobs)


def _timed(jobs: Sequence[Callable[[], object]]) -> dict[str, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(WORKERS) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()
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

"""Judges tiles of a slide as most tools do; runs alone, also with the Python of the other tools.

python inference_peer.py WHO TASK RESULT: reads a task (JSON) and writes seconds, CPU seconds, peak
memory and the classes of every tile (npz). `float-model` instead makes of a model with uint8 input
the same network with the normalised float32 input that most tools feed: TASK is then the model.

What every loop does to a tile: read, to PIL, resize, to float32 in -1..1, transpose, run, take the
likeliest class. ONNX Runtime has its defaults: as many threads as there are cores.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

NEARLY = 1.05
"""A level this much coarser than the model is as good: for us, and so for everybody."""
_NORMALISING = ("Transpose", "Cast", "Mul", "Sub")
Task = dict[str, Any]
Read = Callable[[int, int, int], Image.Image]
"""Gives the tile of `side` pixels at (row, column) of the grid at the model's µm/px."""


def openslide_best(task: Task) -> Read:
    """OpenSlide at the level that it calls best, then PIL down to the model's size."""
    import openslide

    slide = openslide.OpenSlide(task["files"][0])
    level = slide.get_best_level_for_downsample(task["um_px"] / task["base_um_px"] * NEARLY)
    return _openslide(task, slide, level, Image.Resampling.BICUBIC)


def openslide_base(task: Task) -> Read:
    """As GrandQC reads: level 0 whatever the model's µm/px, then LANCZOS."""
    import openslide

    return _openslide(task, openslide.OpenSlide(task["files"][0]), 0, Image.Resampling.LANCZOS)


def _openslide(task: Task, slide: Any, level: int, method: Image.Resampling) -> Read:
    to_base = task["um_px"] / task["base_um_px"]
    to_level = to_base / slide.level_downsamples[level]

    def read(row: int, column: int, side: int) -> Image.Image:
        at = (round(column * to_base), round(row * to_base))
        size = round(side * to_level)
        region = slide.read_region(at, level, (size, size)).convert("RGB")
        return region if size == side else region.resize((side, side), method)

    return read


def wsidicom_pil(task: Task) -> Read:
    """`WsiDicom.read_region` at the coarsest level that is fine enough, then PIL."""
    import wsidicom

    slide = wsidicom.WsiDicom.open(task["files"])
    fitting = [one for one in slide.levels if one.mpp.width <= task["um_px"] * NEARLY]
    level = max(fitting, key=lambda one: one.level)
    to_level = task["um_px"] / level.mpp.width

    def read(row: int, column: int, side: int) -> Image.Image:
        at, size = (round(column * to_level), round(row * to_level)), round(side * to_level)
        region = slide.read_region(at, level.level, (size, size)).convert("RGB")
        return region if size == side else region.resize((side, side))

    return read


def tiatoolbox(task: Task) -> Read:
    """`WSIReader.read_rect` at the model's µm/px. Its engines take PyTorch models only."""
    from tiatoolbox.wsicore import wsireader

    slide = wsireader.DICOMWSIReader(Path(task["files"][0]).parent)
    to_base = task["um_px"] / task["base_um_px"]

    def read(row: int, column: int, side: int) -> Image.Image:
        at = (round(column * to_base), round(row * to_base))
        pixels = slide.read_rect(at, (side, side), resolution=task["um_px"], units="mpp")
        return Image.fromarray(pixels)

    return read


READERS: dict[str, Callable[[Task], Read]] = {
    "openslide": openslide_best,
    "grandqc": openslide_base,
    "wsidicom": wsidicom_pil,
    "tiatoolbox": tiatoolbox,
}


def judged(task: Task, read: Read, session: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Judge all tiles in batches; `(n, ...)` uint8 of classes."""
    found = []
    for first in range(0, len(task["tiles"]), task["batch"]):
        tiles = task["tiles"][first : first + task["batch"]]
        images = [read(row, column, task["tile_px"]) for row, column in tiles]
        pixels = np.stack([np.asarray(one, np.float32) / 127.5 - 1.0 for one in images])
        probability = session.run(None, {session.get_inputs()[0].name: _channels_first(pixels)})[0]
        found.append(_classes(probability, task))
    return np.concatenate(found)


def _channels_first(pixels: Any) -> Any:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _classes(probability: Any, task: Task) -> Any:
    least = np.array(task["thresholds"], np.float32)
    margin = task["margin_px"]
    if probability.ndim > 2:  # noqa: PLR2004  a map of classes and not one class a tile
        probability = probability[:, margin:-margin, margin:-margin]
    winners = np.where(probability >= least, probability, 0).argmax(axis=-1)
    return winners.astype(np.uint8)


def float_model(source: Path, target: Path) -> None:
    """Write the part of a model that follows its own normalisation."""
    import onnx

    model = onnx.load(source)
    tensor = model.graph.input[0].name
    while True:
        (following,) = (node for node in model.graph.node if tensor in node.input)
        if following.op_type not in _NORMALISING:
            break
        tensor = following.output[0]
    outputs = [one.name for one in model.graph.output]
    onnx.utils.extract_model(str(source), str(target), [tensor], outputs)


def peak_mib() -> float:
    """Give the most memory that this process ever had."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(one.split()[1]) / 1024 for one in lines if one.startswith("VmHWM:"))


def main() -> None:
    """Run one task; model and reader are open, and one tile is judged, before the clock starts."""
    who, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if who == "float-model":
        float_model(source, target)
        return
    task = json.loads(source.read_text())
    session = onnxruntime.InferenceSession(task["onnx"], providers=["CPUExecutionProvider"])
    read = READERS[who](task)
    judged(task | {"tiles": task["tiles"][:1]}, read, session)
    began, cpu = time.perf_counter(), time.process_time()
    classes = judged(task, read, session)
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    np.savez(target, classes=classes, wall_s=wall_s, cpu_s=cpu_s, rss_mib=peak_mib())


if __name__ == "__main__":
    main()

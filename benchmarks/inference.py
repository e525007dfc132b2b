"""How fast slides are judged, beside what most tools do, and beside the physical bound.

The same tiles of the same slides meet the same ONNX model, each contender in a process of its own,
in turns, some rounds; the table shows the medians. The bound is the time that decoding every needed
frame once and running every batch once take by themselves on all cores. Ours is the predictor as
the product runs it, which finds tissue and judges focus beside; the others are given the tiles.

`QUICK=1` does a short form; `ROUNDS` says how many rounds are run, `COVERSLIP_DATA` is the folder
with real slides, `BENCH_FOLDER` where the slides are made.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import inference_memory
from benchmarks.inference_ours import margin_px, the_model
from benchmarks.inference_slides import Frames, Mosaic, write
from inference.model import bundle
from inference.model.manifest import ARTIFACT, TILES

QUICK = bool(os.environ.get("QUICK"))
ROUNDS = int(os.environ.get("ROUNDS") or (1 if QUICK else 3))
_QUICK_SHARE = 0.2
AIM_BOUND, AIM_LOOP = 0.9, 4.0
QUALITY = 80
PINNED = ("tiatoolbox==2.1.3", "onnxruntime==1.31.1")
ENVIRONMENT = Path(__file__).parents[1] / "build" / "inference-peers"
_LEAST_SAME_TILES = 0.9
"""One answer stands for a whole tile, and resampling tips those that are in doubt."""
_PEER = Path(__file__).with_name("inference_peer.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Who judges, and how it is started."""

    name: str
    words: str
    who: str
    batch: int = 1
    least_same: float = 0.97
    """Share of pixels whose class must be ours; resampling differs from tool to tool."""
    elsewhere: bool = False
    """Runs in the environment of the other tools."""


OURS = Contender(name="ours", words="Coverslip, as in production", who="ours")
LOOP = Contender(name="openslide_1", words="OpenSlide, PIL, NumPy; batch 1", who="openslide")
DECODE = Contender(name="decode", words="decode only: every frame once", who="decode")
INFER = Contender(name="infer", words="infer only: every batch once", who="infer")
PEERS = (
    LOOP,
    Contender(
        name="openslide_32", words="OpenSlide, PIL, NumPy; batch 32", who="openslide", batch=32
    ),
    Contender(name="wsidicom_32", words="wsidicom, PIL, NumPy; batch 32", who="wsidicom", batch=32),
    Contender(
        name="tiatoolbox_32",
        words="TIAToolbox's reader, NumPy; batch 32",
        who="tiatoolbox",
        batch=32,
        elsewhere=True,
    ),
    Contender(
        name="grandqc",
        words="OpenSlide as GrandQC: level 0, LANCZOS; batch 1",
        who="grandqc",
        least_same=0.9,
    ),
)

Result = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One slide and model that are measured."""

    name: str
    words: str
    um_px: float
    kind: str = ARTIFACT
    full_mm2: float = 40.0

    @property
    def tissue_mm2(self) -> float:
        """How much tissue the slide has."""
        return self.full_mm2 * (_QUICK_SHARE if QUICK else 1)


CASES = (
    Case(name="fine", words="artifact model; 0.25 µm/px, levels at 1 and 4 µm/px", um_px=0.25),
    Case(name="exact", words="artifact model; 0.5 µm/px, a level at 2 µm/px", um_px=0.5),
    Case(
        name="tiles",
        words="tile classifier; 0.25 µm/px, levels at 1 and 4 µm/px",
        um_px=0.25,
        kind=TILES,
        full_mm2=10.0,
    ),
)


def main() -> int:
    """Run it, print it, and give the exit code: 0 when every aim was met."""
    folder = Path(tempfile.mkdtemp(prefix="bench-inference-", dir=os.environ.get("BENCH_FOLDER")))
    has_others = _has_others()
    met, results = [], {}
    try:
        for case in _cases():
            figures, task = _measured(case, folder / case.name, has_others=has_others)
            _print_table(case, figures, task)
            found, some = _judged(case, figures)
            results |= found
            met += some
            shutil.rmtree(folder / case.name)
        found, some = inference_memory.measured(folder, quick=QUICK)
        results |= found
        met += some
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("RESULT", *(f"{name}={value:.3f}" for name, value in results.items()))
    return 0 if all(met) else 1


def _cases() -> list[Case]:
    cases = [one for one in CASES if one.kind == ARTIFACT or bundle.bundled().classifiers]
    return [one for one in cases if not QUICK or one.name != "exact"]


def _has_others() -> bool:
    """Make the environment of the other tools where it is not there; False when that fails."""
    python = ENVIRONMENT / "bin" / "python"
    if python.exists():
        return True
    print(f"making {ENVIRONMENT} ...", file=sys.stderr)
    try:
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PINNED],
            check=True,
        )
    except subprocess.CalledProcessError:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        print("The other tools cannot be installed; they are left out.", file=sys.stderr)
        return False
    return True


def _measured(
    case: Case, folder: Path, *, has_others: bool
) -> tuple[dict[str, list[Result]], dict[str, Any]]:
    """Make the slide, list the tiles, and let everybody judge them in turns."""
    mosaic = Mosaic.of_tissue(case.tissue_mm2, um_px=case.um_px, quality=QUALITY, spoiled=True)
    frames = Frames(QUALITY)
    files = write(folder / "slide", mosaic, frames)
    warm = Mosaic.of_tissue(0.2, um_px=case.um_px, quality=QUALITY)
    warm_files = write(folder / "warm", warm, frames, number=2)
    task = _task(case, files, warm_files, folder)
    task |= {key: value.tolist() for key, value in _run("tiles", task, folder).items()}
    subprocess.run(
        [sys.executable, _PEER, "float-model", the_model(task).folder / "model.onnx", task["onnx"]],
        check=True,
    )
    figures: dict[str, list[Result]] = defaultdict(list)
    for number in range(ROUNDS):
        for one in (OURS, *PEERS, DECODE, INFER):
            if one.elsewhere and not has_others:
                continue
            figures[one.name].append(_contend(one, task, folder))
            print(f"round {number + 1} of {ROUNDS}: {one.words}", file=sys.stderr)
    return figures, task


def _task(
    case: Case, files: Sequence[Path], warm_files: Sequence[Path], folder: Path
) -> dict[str, Any]:
    task = {
        "kind": case.kind,
        "files": [str(one) for one in files],
        "warm_files": [str(one) for one in warm_files],
        "base_um_px": case.um_px,
        "onnx": str(folder / "float.onnx"),
        "pixels": str(folder / "pixels.npy"),
        "tiles": [],
    }
    model = the_model(task)
    thresholds = model.thresholds if case.kind == ARTIFACT else {}
    return task | {
        "um_px": model.um_px,
        "tile_px": model.tile_px,
        "margin_px": margin_px(task),
        "thresholds": [thresholds.get(one.name, 0.0) for one in model.classes],
    }


def _contend(one: Contender, task: dict[str, Any], folder: Path) -> Result:
    return _run(
        one.who, task | {"batch": one.batch}, folder, peer=one in PEERS, elsewhere=one.elsewhere
    )


def _run(
    who: str, task: dict[str, Any], folder: Path, *, peer: bool = False, elsewhere: bool = False
) -> Result:
    """Run one task in a process of its own."""
    given, result = folder / "task.json", folder / "result.npz"
    given.write_text(json.dumps(task))
    python = ENVIRONMENT / "bin" / "python" if elsewhere else sys.executable
    program = [_PEER] if peer else ["-m", "benchmarks.inference_ours"]
    subprocess.run([python, *program, who, given, result], check=True, stdout=subprocess.DEVNULL)
    with np.load(result) as found:
        return dict(found)


def _median(figures: dict[str, list[Result]], one: Contender, field: str) -> float:
    return float(statistics.median(float(run[field]) for run in figures[one.name]))


def _bound_s(figures: dict[str, list[Result]], field: str = "wall_s") -> float:
    return _median(figures, DECODE, field) + _median(figures, INFER, field)


def _print_table(case: Case, figures: dict[str, list[Result]], task: dict[str, Any]) -> None:
    n_tiles, bound_s = len(task["tiles"]), _bound_s(figures)
    megapixels = n_tiles * (task["tile_px"] - 2 * task["margin_px"]) ** 2 / 1e6
    ours_s = _median(figures, OURS, "wall_s")
    size = f"{case.tissue_mm2:g} mm² of tissue, {n_tiles} tiles of {task['um_px']:g} µm/px"
    print(f"\n{case.words}; {size}")
    head = f"{'tiles/s':>8} {'MP/s':>6} {'CPU s':>7} {'RSS MiB':>8} {'ours x':>7} {'of bound':>8}"
    print(f"{'':46}{head} {'same':>7}")
    for one in (OURS, *PEERS, DECODE, INFER):
        if one.name not in figures:
            continue
        wall_s = _median(figures, one, "wall_s")
        speed = f"{n_tiles / wall_s:8.1f} {megapixels / wall_s:6.2f}"
        cost = f"{_median(figures, one, 'cpu_s'):7.2f} {_median(figures, one, 'rss_mib'):8.0f}"
        ratios = f"{wall_s / ours_s:7.2f} {bound_s / wall_s:8.2f}"
        same = _same(figures, one)
        shown = f"{same:7.2%}" if same is not None else ""
        print(f"  {one.words:44}{speed} {cost} {ratios} {shown}")
    print(f"  {'the bound':44}{n_tiles / bound_s:8.1f} {megapixels / bound_s:6.2f}")


def _same(figures: dict[str, list[Result]], one: Contender) -> float | None:
    """Share of the pixels of all tiles, as far as they lie on the slide, with our class."""
    if one not in PEERS:
        return None
    ours, theirs = figures[OURS.name][0]["classes"], figures[one.name][0]["classes"]
    inside = ours != np.iinfo(np.uint8).max
    return float((ours == theirs)[inside].mean())


def _judged(case: Case, figures: dict[str, list[Result]]) -> tuple[dict[str, float], list[bool]]:
    ours_s = _median(figures, OURS, "wall_s")
    of_bound = _bound_s(figures) / ours_s
    times_loop = _median(figures, LOOP, "wall_s") / ours_s
    met = [
        _met(f"of the bound, {case.name}", of_bound, AIM_BOUND),
        _met(f"times the OpenSlide loop at batch 1, {case.name}", times_loop, AIM_LOOP),
    ]
    for one in PEERS:
        if one.name in figures:
            same = _same(figures, one) or 0.0
            least = _LEAST_SAME_TILES if case.kind == TILES else one.least_same
            met.append(_met(f"same classes as {one.words}", same, least))
    of_bound_cpu = _bound_s(figures, "cpu_s") / _median(figures, OURS, "cpu_s")
    print(f"  of the bound in CPU time, which other work disturbs less: {of_bound_cpu:.3f}")
    results = {f"{case.name}_of_bound": of_bound, f"{case.name}_of_bound_cpu": of_bound_cpu}
    results |= {
        f"{case.name}_vs_{one.name}": _median(figures, one, "wall_s") / ours_s
        for one in PEERS
        if one.name in figures
    }
    results[f"{case.name}_rss_mib"] = _median(figures, OURS, "rss_mib")
    return results, met


def _met(words: str, value: float, at_least: float) -> bool:
    reached = value >= at_least
    print(f"{'met   ' if reached else 'MISSED'} {words}: {value:.3f} (at least {at_least:g})")
    return reached


if __name__ == "__main__":
    sys.exit(main())

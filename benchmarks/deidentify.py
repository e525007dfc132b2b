"""What de-identification leaves behind and what it keeps, beside other tools.

(a) a leak table: canaries in every kind of place of a slide, and what is left of them;
(b) WSI-MIDI: the ten check types of MIDI-B and twelve of slides, removal and retention apart;
(c) the speed, by `benchmarks/deidentify_speed.py`.

`QUICK=1` does a short form without the other tools. `COVERSLIP_DATA` names the folder of real
slides; without it only generated slides are used. `SEED` plants other values.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pydicom

from appliance import __version__
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from benchmarks import deid_tools
from benchmarks.deid_planting import Canary, Planting, plant
from benchmarks.deid_tools import Outputs, Tool
from benchmarks.research import GROUPS, values_at
from benchmarks.wsi_midi import REMOVAL, RETENTION, Case, Score, check_case, check_patients
from tests.anonymizer import planted
from tests.anonymizer.planted import UID_ROOT, WORD, Canaries

AIM_RETENTION = 0.99
_PLAN = SlidePlan.of_size(600, 800, seed=1, kinds=())
_SETS = (
    "cmu_jpeg_concatenated3",
    "cmu_jpeg_tiled_sparse",
    "cmu_jpeg_ybr422_512",
    "tcga_xk_pen_synthetic_phi",
    "cmu_half_jpegls_lossless",
    "cmu_half_j2k_lossless",
)


def main() -> int:
    """Run it, print it, and give the exit code: 0 when every aim was met."""
    quick = bool(os.environ.get("QUICK"))
    seed = int(os.environ.get("SEED") or 1)
    tools = [deid_tools.ours()] if quick else [deid_tools.ours(), *deid_tools.peers()]
    print(f"tools: Coverslip {__version__}, {', '.join(deid_tools.PINNED)}; seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix="bench-deidentify-", dir=os.environ.get("BENCH_FOLDER")))
    try:
        left = _leaks(tools, folder, seed)
        scores = _wsi_midi(tools, cases(folder / "cases", seed, data=_data(), quick=quick), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    speed, fast = _speed()
    return _result(left, scores, speed, fast=fast)


def cases(folder: Path, seed: int, *, data: Path | None, quick: bool) -> list[Case]:
    """Make the corpus: generated slides, two of one patient, and real ones where there are any."""
    made = []
    for number, patient in enumerate((1, 1) if quick else (1, 1, 2)):
        source = folder / f"source-{number}"
        write_slide(source, _PLAN, SlideIdentity.invented(seed + patient))
        made.append(_case(folder, f"generated {number}", source, seed * 100 + number, patient))
    for number, name in enumerate(_SETS[: 1 if quick else None], start=10):
        source = data / "dicom_converted" / name if data is not None else None
        if source is not None and source.is_dir():
            made.append(_case(folder, name, source, seed * 100 + number, number))
    return made


def _case(folder: Path, name: str, source: Path, seed: int, patient: int) -> Case:
    planting = Planting(seed=seed, patient=patient)
    files = sorted(source.rglob("*.dcm"))
    written = plant(files, folder / name.replace(" ", "-"), planting)
    tissue = [_is_volume(path) for path in written]
    return Case(
        name=name,
        patient=patient,
        volumes=tuple(path for path, yes in zip(written, tissue, strict=True) if yes),
        pictures=tuple(path for path, yes in zip(written, tissue, strict=True) if not yes),
        canaries=tuple(planting.canaries),
    )


def _is_volume(path: Path) -> bool:
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["ImageType"])
    return bool(header.ImageType[2] == "VOLUME")


def _data() -> Path | None:
    named = Path(os.environ.get("COVERSLIP_DATA") or Path(__file__).parents[2] / "shared" / "data")
    return named if named.is_dir() else None


def _leaks(tools: Sequence[Tool], folder: Path, seed: int) -> int:
    """Print what every tool leaves behind, and give how much ours does."""
    ours = 0
    for title, make, left in (
        ("a slide with a header as scanners write it", _realistic, _left_by_place),
        ("a slide with a canary at every path of the IOD", _everywhere, _left_of_everything),
    ):
        files, canaries = make(folder / "leaks", seed)
        columns = {}
        for tool in tools:
            outputs = tool.run(files, folder / "leaked" / tool.name.replace(" ", "-"))
            columns[tool.name] = left(outputs, canaries)
            shutil.rmtree(folder / "leaked")
        planted_counts = left({file: file for file in files}, canaries)
        _print_table(f"left of {title}", {"planted": planted_counts, **columns})
        ours += sum(columns["Coverslip"].values())
    return ours


def _realistic(folder: Path, seed: int) -> tuple[list[Path], Sequence[Canary]]:
    source = folder / "generated"
    write_slide(source, _PLAN, SlideIdentity.invented(seed))
    planting = Planting(seed=seed, patient=seed)
    files = plant(sorted(source.glob("volume-*.dcm")), folder / "realistic", planting)
    return files, planting.canaries


def _everywhere(folder: Path, _seed: int) -> tuple[list[Path], Sequence[Canary]]:
    files = planted.planted_slide(folder / "everywhere", Canaries())[:2]
    for file in files:  # without the word at the very end, on which readers of other tools give up
        content = file.read_bytes()
        file.write_bytes(content[: content.rindex(WORD.encode())])
    return files, ()


def _left_by_place(outputs: Outputs, canaries: Sequence[Canary]) -> dict[str, int]:
    bodies = [path.read_bytes() for path in outputs.values() if path is not None]
    left: dict[str, int] = {canary.place: 0 for canary in canaries}
    for canary in canaries:
        left[canary.place] += any(canary.value.encode() in body for body in bodies)
    return left


def _left_of_everything(outputs: Outputs, _canaries: Sequence[Canary]) -> dict[str, int]:
    body = b"".join(path.read_bytes() for path in outputs.values() if path is not None)
    patterns = {
        "texts": WORD.encode() + rb"\d{5}",
        "UIDs": re.escape(UID_ROOT.encode()) + rb"\d+",
    }
    return {name: len(set(re.findall(pattern, body))) for name, pattern in patterns.items()}


def _wsi_midi(tools: Sequence[Tool], corpus: Sequence[Case], folder: Path) -> dict[str, Score]:
    scores = {}
    kept = {}
    for tool in tools:
        score, ids = Score(), []
        research = dict.fromkeys(GROUPS, (0, 0))
        for case in corpus:
            files = [*case.volumes, *case.pictures]
            first = tool.run(files, folder / "run" / "1")
            second = tool.run(files, folder / "run" / "2")
            ids.append((case, check_case(score, case, first, second)))
            _count_research(research, case, first)
            shutil.rmtree(folder / "run")
        check_patients(score, ids)
        scores[tool.name] = score
        kept[tool.name] = {name: _share(*counts) for name, counts in research.items()}
    print(f"\nWSI-MIDI on {len(corpus)} slides: checks passed")
    for kinds in (REMOVAL, RETENTION):
        _print_rows(scores, kinds)
    _print_table("what research needs, kept", kept)
    return scores


def _count_research(counts: dict[str, tuple[int, int]], case: Case, outputs: Outputs) -> None:
    for file in case.volumes:
        path = outputs.get(file)
        source = pydicom.dcmread(file, stop_before_pixels=True)
        made = pydicom.dcmread(path, stop_before_pixels=True, force=True) if path else None
        for name, paths in GROUPS.items():
            for one in paths:
                values = values_at(source, one)
                if values:
                    same = made is not None and values_at(made, one) == values
                    counts[name] = (counts[name][0] + same, counts[name][1] + 1)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _print_rows(scores: dict[str, Score], kinds: Sequence[str]) -> None:
    table: dict[str, dict[str, str]] = {name: {} for name in scores}
    for name, score in scores.items():
        for kind in kinds:
            total = score.passed[kind] + score.failed[kind]
            table[name][kind] = f"{score.passed[kind]}/{total}"
        table[name]["together"] = f"{score.share(kinds):.2%}"
    _print_table("removal" if kinds is REMOVAL else "retention", table)


def _print_table(title: str, columns: Mapping[str, Mapping[str, int | str]]) -> None:
    names = list(columns)
    rows = list(dict.fromkeys(row for column in columns.values() for row in column))
    print(f"\n{title:<40}" + "".join(f"{name:>17}" for name in names))
    for row in rows:
        print(f"  {row:<38}" + "".join(f"{columns[name].get(row, '-'):>17}" for name in names))
    numbers = [cell for column in columns.values() for cell in column.values()]
    if all(isinstance(cell, int) for cell in numbers):
        sums = [sum(int(cell) for cell in columns[name].values()) for name in names]
        print(f"  {'together':<38}" + "".join(f"{value:>17}" for value in sums))


def _speed() -> tuple[str, bool]:
    """Run the benchmark of speed, which prints its own table; give its figures and verdict."""
    command = [sys.executable, "-m", "benchmarks.deidentify_speed"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.splitlines()
    figures = [line.removeprefix("RESULT ") for line in lines if line.startswith("RESULT ")]
    print("", *(line for line in lines if not line.startswith("RESULT ")), sep="\n")
    return " ".join(figures), done.returncode == 0


def _result(left: int, scores: dict[str, Score], speed: str, *, fast: bool) -> int:
    ours = scores["Coverslip"]
    removal, retention = ours.share(REMOVAL), ours.share(RETENTION)
    for kind, what in ours.examples.items():
        print(f"failed once or more: {kind}: {what}")
    aims = {
        "nothing left": left == 0,
        "removal 100 %": removal == 1.0,
        "retention over 99 %": retention > AIM_RETENTION,
        "speed": fast,
    }
    for name, met in aims.items():
        print(f"{name:<40}{'met' if met else 'MISSED'}")
    print(f"RESULT left={left} removal={removal:.4f} retention={retention:.4f} {speed}".rstrip())
    return 0 if all(aims.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

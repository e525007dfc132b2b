"""How fast an instance is de-identified, beside dd copying it.

An instance of 1 GiB is made of the frames of a slide, which repeat; then `dd bs=1M conv=fsync` and
the anonymizer, gate and fsync included, take turns five times on the same disk, and the table shows
medians. The first row is held to the aim; the others show other formats, small frames, and frames
that each carry a comment of their own. The anonymizer runs in a process of its own that has done
the slide itself before, as its daemon has; memory is the most that this process ever had, programs
and files that it maps included. MB are millions of bytes.

`QUICK=1` does a short form of the same; `COVERSLIP_DATA` is the folder with the slides.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.pixels.codestream import strip
from anonymizer.pseudonyms import Pseudonyms
from appliance.storage import fsync_file, fsync_folder

QUICK = bool(os.environ.get("QUICK"))
SIZE_BYTES = (64 if QUICK else 1024) << 20
ROUNDS = 2 if QUICK else 5
AIM_RATIO, AIM_RSS_MB = 1.5, 150
_DATA = Path(os.environ.get("COVERSLIP_DATA", Path(__file__).parents[2] / "shared" / "data"))
_ITEM = b"\xfe\xff\x00\xe0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One instance that is measured."""

    words: str
    slide: str
    frame: Callable[[bytes, int], bytes] = lambda frame, _number: strip(frame)
    """Makes the frame of a number from one of the slide."""
    is_native: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one variant."""

    dd_s: Sequence[float]
    ours_s: Sequence[float]
    rss_mb: float

    @property
    def ratio(self) -> float:
        """Median of ours over the median of dd."""
        return statistics.median(self.ours_s) / statistics.median(self.dd_s)


def _with_comment(frame: bytes, number: int) -> bytes:
    clean = strip(frame)
    return clean[:2] + b"\xff\xfe\x00\x12DOE^P %10d" % number + clean[2:]


VARIANTS = (
    Variant(words="JPEG, 512 px", slide="tcga_xk_pen_synthetic_phi/volume_l0.dcm"),
    Variant(words="JPEG, 240 px", slide="cmu_synthetic_phi/volume_l0.dcm"),
    Variant(
        words="JPEG, 512 px, a comment in every frame",
        slide="tcga_xk_pen_synthetic_phi/volume_l0.dcm",
        frame=_with_comment,
    ),
    Variant(words="JPEG 2000, 256 px", slide="tcga_cr_j2k_native/volume_l1.dcm"),
    Variant(words="JPEG-LS, 256 px", slide="cmu_half_jpegls_lossless/volume_l1.dcm"),
    Variant(
        words="native, 512 px",
        slide="tcga_xk_pen_synthetic_phi/volume_l0.dcm",
        is_native=True,
    ),
)


def main() -> int:
    """Run everything and print it; 0 when the aims are met."""
    base = Path(os.environ.get("BENCH_FOLDER", tempfile.gettempdir()))
    variants = VARIANTS[:3] if QUICK else VARIANTS
    print(f"one instance of {SIZE_BYTES >> 20} MiB, medians of {ROUNDS}; load {os.getloadavg()}")
    print(f"{'':42}{'dd s':>8}{'ours s':>8}{'ratio':>8}{'RSS MB':>8}")
    results = []
    with tempfile.TemporaryDirectory(dir=base) as folder:
        for variant in variants:
            figures = _measured(variant, Path(folder))
            results.append(figures)
            dd_s, ours_s = (statistics.median(one) for one in (figures.dd_s, figures.ours_s))
            print(
                f"{variant.words:42}{dd_s:8.2f}{ours_s:8.2f}{figures.ratio:8.2f}"
                f"{figures.rss_mb:8.0f}",
                flush=True,
            )
    rss_mb = max(one.rss_mb for one in results)
    is_met = results[0].ratio <= AIM_RATIO and rss_mb < AIM_RSS_MB
    print(f"load at the end {os.getloadavg()}")
    print(f"aim: at most {AIM_RATIO} x dd, under {AIM_RSS_MB} MB: {'met' if is_met else 'missed'}")
    print(f"RESULT deidentify_vs_dd={results[0].ratio:.2f} rss_mb={rss_mb:.0f}")
    return 0 if is_met else 1


def _measured(variant: Variant, folder: Path) -> Figures:
    source, copy, output = folder / "source.dcm", folder / "copy.dcm", folder / "out"
    _write(variant, source)
    fsync_file(source)
    dd_s, ours_s, rss_mb = [], [], []
    for _ in range(ROUNDS):
        dd_s.append(_dd(source, copy))
        copy.unlink()
        output.mkdir()
        seconds, megabytes = _ours(source, output, _slide(variant))
        shutil.rmtree(output)
        ours_s.append(seconds)
        rss_mb.append(megabytes)
    source.unlink()
    return Figures(dd_s=dd_s, ours_s=ours_s, rss_mb=max(rss_mb))


def _dd(source: Path, target: Path) -> float:
    began = time.perf_counter()
    subprocess.run(
        ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=fsync", "status=none"], check=True
    )
    return time.perf_counter() - began


def _ours(source: Path, output: Path, slide: Path) -> tuple[float, float]:
    """Give seconds and megabytes of a run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.deidentify_speed"]
    command += map(str, (source, output, slide))
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, megabytes = ended.stdout.split()
    return float(seconds), float(megabytes)


def _once(source: Path, output: Path, slide: Path) -> None:
    """De-identify as the stage does, and force to disk as its worker does."""
    method = Method(pseudonyms=Pseudonyms(bytes(range(32))))
    with tempfile.TemporaryDirectory() as folder:
        deidentify_slide([slide], Path(folder), method)
    began = time.perf_counter()
    deidentify_slide([source], output, method)
    for file in output.iterdir():
        fsync_file(file)
    fsync_folder(output)
    seconds = time.perf_counter() - began
    print(seconds, _peak_bytes() / 1e6)


def _peak_bytes() -> int:
    """Give the most memory since this program started; ru_maxrss would count who started it."""
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _slide(variant: Variant) -> Path:
    return _DATA / "dicom_converted" / variant.slide


def _write(variant: Variant, path: Path) -> None:
    """Write an instance of the size that is asked for, of the frames of a slide in turn."""
    slide = pydicom.dcmread(_slide(variant))
    frames = list(generate_frames(slide.PixelData, number_of_frames=int(slide.NumberOfFrames)))
    frame_bytes = sum(map(len, frames)) / len(frames) + 8
    if variant.is_native:
        frames = [one.tobytes() for one in slide.pixel_array]
        frame_bytes = len(frames[0])
        slide.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slide.PhotometricInterpretation = "RGB"
        slide.PlanarConfiguration = 0
    side = isqrt(round(SIZE_BYTES / frame_bytes))
    slide.NumberOfFrames = side * side
    slide.TotalPixelMatrixRows = side * slide.Rows
    slide.TotalPixelMatrixColumns = side * slide.Columns
    del slide.PixelData
    with path.open("wb") as file:
        pydicom.dcmwrite(file, slide, enforce_file_format=True)
        if variant.is_native:
            length = int(frame_bytes) * side * side
            file.write(b"\xe0\x7f\x10\x00OB\x00\x00" + length.to_bytes(4, "little"))
            file.writelines(frames[number % len(frames)] for number in range(side * side))
            return
        items = (
            _item(variant.frame(frames[number % len(frames)], number))
            for number in range(side * side)
        )
        _write_items(file, items, side * side)


def _write_items(file: BinaryIO, items: Iterable[bytes], count: int) -> None:
    file.write(b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff" + _ITEM)
    file.write((4 * count).to_bytes(4, "little"))
    place = file.tell()
    file.write(bytes(4 * count))
    offsets = np.zeros(count, "<u4")
    for number, item in enumerate(items):
        offsets[number] = file.tell() - place - 4 * count
        file.write(item)
    file.write(b"\xfe\xff\xdd\xe0\x00\x00\x00\x00")
    file.seek(place)
    file.write(offsets.tobytes())


def _item(frame: bytes) -> bytes:
    padded = frame + b"\0" * (len(frame) % 2)
    return _ITEM + len(padded).to_bytes(4, "little") + padded


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _once(*map(Path, sys.argv[1:]))
    else:
        sys.exit(main())

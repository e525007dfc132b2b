"""How long a technician waits for the verdict, and how many slides an hour the whole line takes.

All daemons run as `coverslip up` runs them, with a PACS, a registry and a recipient of tiles as
peers. A slide of 1 GiB with 150 mm² of tissue is sent by DCMTK's storescu over a real socket: first
some slides one by one (p50 and p95 from the last byte to the verdict in the journal), then some
without a pause (slides per hour until they are delivered). The senders, the peers and the line
share the machine. Each stage's time and each daemon's CPU time and peak memory are printed.

`QUICK=1` does a short form with a small slide, for its numbers and not for its verdict;
`BENCH_FOLDER` is where everything lies: about 3 GB for each slide that is on the line.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from appliance.line import SlideStatus, Stage, State
from appliance.settings import load
from benchmarks.inference_slides import Frames, Mosaic, size_bytes, write
from benchmarks.measure import tree_cpu_s, tree_peak_mib
from tests.line.appliance_site import LEASE_S, ApplianceSite, wait_for

QUICK = bool(os.environ.get("QUICK"))
TISSUE_MM2 = 8.0 if QUICK else 150.0
ALONE, TOGETHER = (2, 3) if QUICK else (10, 6)
QUALITY = 75
UM_PX = 0.25
AIM_VERDICT_S, AIM_SLIDES_H = 60.0, 200.0
SCANNER_SLIDES_H = (20, 31)
"""A real scanner's pace with real slides (Genis et al., J Pathol Inform 2021;12:39)."""
_LIMIT_S = 900.0
_LOOK_EVERY_S = 0.05
_P95 = 0.95
_STAGES = (Stage.ASSEMBLE, Stage.DEIDENTIFY, Stage.INFER, Stage.REPORT)
_ENDED = (State.DONE, State.ASIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What one slide met on the line. All in seconds."""

    verdict: str
    verdict_s: float
    """From its last byte to the verdict."""
    stages_s: Mapping[str, float]
    """From the end of the stage before to the end of each; assemble from the last byte."""
    done_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """Makes slides that differ in patient and UIDs only, and sends them."""

    folder: Path
    mosaic: Mosaic
    frames: Frames
    port: int

    def make(self, number: int) -> int:
        """Write a slide; give its size in bytes."""
        return size_bytes(write(self.folder / str(number), self.mosaic, self.frames, number=number))

    def send(self, number: int) -> None:
        """Send a slide over one association, and forget it."""
        files = map(str, sorted((self.folder / str(number)).iterdir()))
        command = ["storescu", "-R", "-xy", "--max-pdu", "131072", "-aet", "SCANNER"]
        command += ["-aec", "COVERSLIP", "127.0.0.1", str(self.port), *files]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(self.folder / str(number))


def main() -> int:
    """Run it, print it, and give the exit code: 0 when every aim was met."""
    base = Path(tempfile.mkdtemp(prefix="bench-line-", dir=os.environ.get("BENCH_FOLDER")))
    try:
        with _site(base / "site") as site:
            mosaic = Mosaic.of_tissue(TISSUE_MM2, um_px=UM_PX, quality=QUALITY)
            scanner = Scanner(
                folder=base / "scanner",
                mosaic=mosaic,
                frames=Frames(QUALITY),
                port=site.site.node_port,
            )
            _warm_up(site, scanner)
            return _measured(site, scanner)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _site(folder: Path) -> ApplianceSite:
    """Set up the demo's hospital with a production lease, and a scanner that says what it sends."""
    site = ApplianceSite(folder, edit=_expecting)
    text = site.site.settings_file.read_text()
    site.site.settings_file.write_text(text.replace(f"lease_s = {LEASE_S}", "lease_s = 30.0"))
    site.settings = load(site.site.settings_file)
    return site


def _expecting(settings: str) -> str:
    sent = ", ".join(['"VOLUME"'] * 4 + ['"LABEL"'])
    return settings.replace("quiet_s = 1.0", f"quiet_s = 60.0\nexpects = [{sent}]")


def _warm_up(site: ApplianceSite, scanner: Scanner) -> None:
    """Send a small slide first: models are loaded and programs read with the first."""
    small = Mosaic.of_tissue(1.0, um_px=UM_PX, quality=QUALITY)
    write(scanner.folder / "0", small, scanner.frames, number=1000)
    scanner.send(0)
    _await_ended(site, 1)


def _measured(site: ApplianceSite, scanner: Scanner) -> int:
    alone, together = range(1, ALONE + 1), range(ALONE + 1, ALONE + TOGETHER + 1)
    walked = []
    for number in alone:
        n_bytes = scanner.make(number)
        before = _cpu_s(site)
        scanner.send(number)
        walked.append(_await_ended(site, number + 1))
        cpu_s = {name: used - before[name] for name, used in _cpu_s(site).items()}
        print(f"slide {number}: {walked[-1].verdict_s:.1f} s", file=sys.stderr)
    for number in together:
        scanner.make(number)
    began = time.time()
    before = _cpu_s(site)
    for number in together:
        scanner.send(number)
    last = _await_ended(site, 1 + ALONE + TOGETHER)
    together_cpu_s = sum(_cpu_s(site).values()) - sum(before.values())
    slides_h = TOGETHER / (last.done_at - began) * 3600
    tissue = f"{scanner.mosaic.tissue_mm2:.0f} mm² of tissue"
    print(f"\none slide: {n_bytes / (1 << 20):.0f} MiB, {tissue}, {ALONE} one by one")
    print(f"  verdicts: {', '.join(sorted({one.verdict for one in walked}))}")
    _print_stages(walked)
    _print_daemons(site, cpu_s)
    print(f"\n{TOGETHER} without a pause: {together_cpu_s / TOGETHER:.1f} CPU s a slide")
    return _print_result(walked, slides_h)


def _await_ended(site: ApplianceSite, n_slides: int) -> Walked:
    """Wait until so many slides, and the tiles of all, came to an end; give what the last met."""

    def ended() -> bool:
        time.sleep(_LOOK_EVERY_S)
        slides = site.slides().values()
        return (
            site.tended()
            and len(slides) == n_slides
            and all(one.state in _ENDED for one in slides)
            and all(one.state is State.DONE for one in site.board.shards())
        )

    wait_for(ended, f"{n_slides} slides came to an end", limit_s=_LIMIT_S)
    done_at = time.time()
    newest = max(site.slides().values(), key=lambda one: one.created_at)
    walked = _walked(site, newest, done_at)
    for one in site.slides().values():
        for stage in (Stage.ASSEMBLE, Stage.DEIDENTIFY):
            shutil.rmtree(site.product(one.slide_id, stage), ignore_errors=True)
    return walked


def _walked(site: ApplianceSite, slide: SlideStatus, done_at: float) -> Walked:
    if slide.state is State.ASIDE or slide.verdict_at is None:
        raise SystemExit(f"a slide was set aside: {slide.error}")
    times = site.board.stage_times(slide.slide_id, slide.revision)
    ends = {"last byte": slide.last_byte_at}
    ends |= {stage.value: times[stage] for stage in _STAGES} | {"release, deliver": done_at}
    names = list(ends)
    return Walked(
        verdict=str(slide.verdict),
        verdict_s=slide.verdict_at - slide.last_byte_at,
        stages_s={name: ends[name] - ends[earlier] for earlier, name in pairwise(names)},
        done_at=done_at,
    )


def _cpu_s(site: ApplianceSite) -> dict[str, float]:
    return {name: tree_cpu_s(site.supervisor.process(name).pid) for name in site.supervisor.names}


def _print_stages(walked: Sequence[Walked]) -> None:
    print(f"  {'seconds of a stage':28}{'p50':>8} {'p95':>8}")
    for name in walked[0].stages_s:
        seconds = [one.stages_s[name] for one in walked]
        print(f"  {name:28}{statistics.median(seconds):8.2f} {_p95(seconds):8.2f}")


def _print_daemons(site: ApplianceSite, cpu_s: Mapping[str, float]) -> None:
    print(f"  {'daemon':28}{'CPU s':>8} {'RSS MiB':>8}")
    for name in site.supervisor.names:
        rss_mib = tree_peak_mib(site.supervisor.process(name).pid)
        print(f"  {name:28}{cpu_s[name]:8.2f} {rss_mib:8.0f}")
    print(f"  {'together':28}{sum(cpu_s.values()):8.2f}")


def _p95(values: Sequence[float]) -> float:
    """Give the value that 95 of 100 do not pass, between neighbours in proportion."""
    ordered = sorted(values)
    place = _P95 * (len(ordered) - 1)
    low = ordered[int(place)]
    return low + (ordered[min(int(place) + 1, len(ordered) - 1)] - low) * (place % 1)


def _print_result(walked: Sequence[Walked], slides_h: float) -> int:
    seconds = [one.verdict_s for one in walked]
    p50_s, p95_s = statistics.median(seconds), _p95(seconds)
    slow, fast = SCANNER_SLIDES_H
    print(
        f"  a scanner makes {slow} to {fast} slides/h: the line keeps up with {slides_h / fast:.1f}"
    )
    met = [p95_s <= AIM_VERDICT_S, slides_h >= AIM_SLIDES_H]
    words = [
        f"last byte to verdict: p50 {p50_s:.1f} s, p95 {p95_s:.1f} s (at most {AIM_VERDICT_S:g})",
        f"slides per hour: {slides_h:.0f} (at least {AIM_SLIDES_H:g})",
    ]
    for reached, sentence in zip(met, words, strict=True):
        print(f"{'met   ' if reached else 'MISSED'} {sentence}")
    print(f"RESULT verdict_p50_s={p50_s:.2f} verdict_p95_s={p95_s:.2f} slides_h={slides_h:.1f}")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())

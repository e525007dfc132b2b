"""How fast slides are received, beside DCMTK, Orthanc and the plain library.

The same instance of 1 GiB and the same thousand small ones are sent with DCMTK's storescu and
dcmsend to every receiver in turn, with one and with four senders, some rounds; the table shows the
medians. `QUICK=1` does a short form. Input lies in memory, output on disk.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import peers, slides
from benchmarks.idle import idle_cores
from benchmarks.measure import Figures, run
from benchmarks.peers import AE_TITLE, CALLING_AE_TITLE, PDU, Receiver, Running

_GIB = 1 << 30
_TITLES = ("-aet", CALLING_AE_TITLE, "-aec", AE_TITLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is sent at once, and to whom."""

    name: str
    words: str
    senders: Callable[[int], Sequence[Sequence[str]]]
    """Gives the senders' commands for a port."""
    n_bytes: int
    n_objects: int
    receivers: Sequence[Receiver]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A ratio that has to be reached."""

    name: str
    words: str
    work: str
    ours: Receiver
    theirs: Receiver
    at_least: float


EVERYBODY = (
    peers.OURS,
    peers.OURS_PLAIN,
    peers.STORESCP,
    peers.STORESCP_B,
    peers.STORESCP_FORK,
    peers.ORTHANC,
    peers.PYNETDICOM,
)
PARTS = (peers.OURS_HASH, peers.OURS_FSYNC)
AIMS = (
    Aim(
        name="large_vs_storescp_b", words="1 GiB: level with storescp +B", work="large",
        ours=peers.OURS_PLAIN, theirs=peers.STORESCP_B, at_least=1.0,
    ),
    Aim(
        name="large_vs_storescp", words="1 GiB: twice storescp as it comes", work="large",
        ours=peers.OURS, theirs=peers.STORESCP, at_least=2.0,
    ),
    Aim(
        name="large_vs_pynetdicom", words="1 GiB: eight times pynetdicom", work="large",
        ours=peers.OURS, theirs=peers.PYNETDICOM, at_least=8.0,
    ),
    Aim(
        name="large4_vs_fork", words="four senders: level with storescp --fork +B", work="large4",
        ours=peers.OURS_PLAIN, theirs=peers.STORESCP_FORK, at_least=1.0,
    ),
    Aim(
        name="small_vs_storescp_b", words="1,000 small: level with storescp +B", work="small",
        ours=peers.OURS_PLAIN, theirs=peers.STORESCP_B, at_least=1.0,
    ),
)  # fmt: skip
LEVEL = 0.95
"""Medians of a few runs differ by some percent from day to day: within this it is level."""
IDLE_AIM_CORES = 0.05

Table = dict[tuple[str, str], list[Figures]]


def main() -> int:
    """Run it, print it, and give the exit code: 0 when every aim was met."""
    quick = bool(os.environ.get("QUICK"))
    folder = Path(tempfile.mkdtemp(prefix="bench-receive-", dir=os.environ.get("BENCH_FOLDER")))
    shm = Path("/dev/shm")  # noqa: S108  made with a random name below
    source = Path(tempfile.mkdtemp(prefix="bench-receive-", dir=shm if shm.is_dir() else folder))
    try:
        works = _works(source, quick=quick)
        table = _measure(works, folder, rounds=1 if quick else 5)
        idle = idle_cores(peers.OURS, folder / "idle", seconds=3.0 if quick else 10.0)
    finally:
        shutil.rmtree(source, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    _print_table(works, table)
    return _print_result(table, idle)


def _works(source: Path, *, quick: bool) -> Sequence[Work]:
    large_bytes, n_small = (_GIB // 8, 200) if quick else (_GIB, 1000)
    made = slides.make(source, large_bytes=large_bytes, n_large=1, n_small=n_small, small_frames=2)
    four = slides.make(
        source / "four", large_bytes=large_bytes // 4, n_large=4, n_small=0, small_frames=0
    )
    short = (peers.OURS, peers.OURS_PLAIN, peers.STORESCP_B, peers.ORTHANC, peers.PYNETDICOM)
    works = [
        _work("large", "one instance of 1 GiB, one sender", _storescu, [made.large], EVERYBODY),
        _work("small", "1,000 small instances, one sender", _dcmsend, [made.small], EVERYBODY),
        _work(
            "large4", "four of 256 MiB, four senders", _storescu, [[one] for one in four.large],
            (*EVERYBODY, peers.OURS_2),
        ),
        _work(
            "small4", "1,000 small instances, four senders", _dcmsend,
            [made.small[n::4] for n in range(4)], (*EVERYBODY, peers.OURS_2),
        ),
        _work("large", "", _storescu, [made.large], PARTS),
        _work("small", "", _dcmsend, [made.small], PARTS),
    ]  # fmt: skip
    del short
    return works


def _work(
    name: str,
    words: str,
    sender: Callable[[int, Sequence[Path]], Sequence[str]],
    shares: Sequence[Sequence[Path]],
    receivers: Sequence[Receiver],
) -> Work:
    files = [path for share in shares for path in share]
    return Work(
        name=name,
        words=words,
        senders=lambda port: [sender(port, share) for share in shares],
        n_bytes=sum(path.stat().st_size for path in files),
        n_objects=len(files),
        receivers=receivers,
    )


def _storescu(port: int, files: Sequence[Path]) -> Sequence[str]:
    # -R: propose only what is sent; without it VL WSI is not proposed at all. -xy: as JPEG.
    return [
        "storescu", "-R", "-xy", "--max-pdu", PDU, *_TITLES, "127.0.0.1", str(port),
        *map(str, files),
    ]  # fmt: skip


def _dcmsend(port: int, files: Sequence[Path]) -> Sequence[str]:
    return ["dcmsend", "--max-pdu", PDU, *_TITLES, "127.0.0.1", str(port), *map(str, files)]


def _measure(works: Sequence[Work], folder: Path, *, rounds: int) -> Table:
    """Run everything `rounds` times, receiver by receiver, so that a slow minute hits all alike."""
    table: Table = defaultdict(list)
    receivers = dict.fromkeys(one for work in works for one in work.receivers)
    for number in range(rounds):
        for receiver in receivers:
            for work in (one for one in works if receiver in one.receivers):
                place = folder / f"{number}-{receiver.name}-{work.name}"
                running = peers.start(receiver, place)
                try:
                    table[work.name, receiver.name].append(_run(work, running))
                finally:
                    running.stop()
                _tidy(place, work)
            print(f"round {number + 1} of {rounds}: {receiver.words}", file=sys.stderr)
    return table


def _run(work: Work, running: Running) -> Figures:
    time.sleep(0.5)  # its own start is over
    os.sync()
    return run(
        running, work.senders(running.port), n_bytes=work.n_bytes, n_new=work.n_objects
    )


def _tidy(place: Path, work: Work) -> None:
    """Remove large output at once; many small files later, ext4 is slow after removing them."""
    if work.name.startswith("large"):
        shutil.rmtree(place)


def _median(table: Table, work: str, receiver: Receiver, field: str) -> float:
    return statistics.median(getattr(one, field) for one in table[work, receiver.name])


def _print_table(works: Sequence[Work], table: Table) -> None:
    for work in (one for one in works if one.words):
        print(f"\n{work.words}\n{'':62} {'MB/s':>7} {'of best':>7} {'CPU s':>6} {'RSS MiB':>8}")
        rows = [one for one in (*work.receivers, *PARTS) if (work.name, one.name) in table]
        best = max(_median(table, work.name, one, "mb_s") for one in rows)
        for one in rows:
            mb_s = _median(table, work.name, one, "mb_s")
            cpu_s = _median(table, work.name, one, "cpu_s")
            rss_mib = _median(table, work.name, one, "rss_mib")
            share = f"{mb_s:7.0f} {mb_s / best:7.2f} {cpu_s:6.2f} {rss_mib:8.0f}"
            print(f"{one.words:62} {share}")
    print()


def _print_result(table: Table, idle: float) -> int:
    results, met = {}, True
    for aim in AIMS:
        ratio = _median(table, aim.work, aim.ours, "mb_s") / _median(
            table, aim.work, aim.theirs, "mb_s"
        )
        results[aim.name] = ratio
        reached = ratio >= aim.at_least * LEVEL
        met = met and reached
        print(f"{'met   ' if reached else 'MISSED'} {aim.words}: {ratio:.2f} ({aim.ours.name})")
    for name, part in (("hash", peers.OURS_HASH), ("fsync", peers.OURS_FSYNC)):
        for work in ("large", "small"):
            plain_s = _median(table, work, peers.OURS_PLAIN, "wall_s")
            cost_s = _median(table, work, part, "wall_s") - plain_s
            results[f"{name}_{work}_s"] = cost_s
            print(f"       {name} costs {cost_s:.2f} s beside {plain_s:.2f} s, {work}")
    reached = idle < IDLE_AIM_CORES
    print(f"{'met   ' if reached else 'MISSED'} ten idle associations: {idle:.3f} of a core")
    results["idle_cores"] = idle
    results["large_mb_s"] = _median(table, "large", peers.OURS, "mb_s")
    results["small_per_s"] = 1000 * _median(table, "small", peers.OURS, "mb_s") / 115.672
    print("RESULT", *(f"{name}={value:.3f}" for name, value in results.items()))
    return 0 if met and reached else 1


if __name__ == "__main__":
    sys.exit(main())

"""How fast slides are received, beside DCMTK, Orthanc and the plain library.

The same instance of 1 GiB and the same thousand small ones are sent with DCMTK's storescu and
dcmsend to every receiver in turn, with one and with four senders, some rounds; the table shows the
medians. `QUICK=1` does a short form, and `ROUNDS` says how many rounds are run. Input lies in
memory, output on disk (`BENCH_FOLDER`).

The aims hold Coverslip's wire, with a writer that neither hashes nor forces to disk, against peers
that do neither; what the promise of a success status costs is printed beside them.
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

from benchmarks import peers, slides
from benchmarks.idle import idle_cores
from benchmarks.measure import Figures, run
from benchmarks.peers import AE_TITLE, CALLING_AE_TITLE, PDU, Receiver

_GIB = 1 << 30
_TITLES = ("-aet", CALLING_AE_TITLE, "-aec", AE_TITLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is sent at once."""

    name: str
    words: str
    senders: Callable[[int], Sequence[Sequence[str]]]
    """Gives the senders' commands for a port."""
    n_bytes: int
    n_objects: int


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
    peers.OURS_2,
    peers.OURS_PLAIN,
    peers.OURS_HASH,
    peers.OURS_FSYNC,
    peers.STORESCP,
    peers.STORESCP_B,
    peers.STORESCP_FORK,
    peers.ORTHANC,
    peers.PYNETDICOM,
)
AIMS = (
    Aim(
        name="large_vs_storescp_b", words="1 GiB: level with storescp +B", work="large",
        ours=peers.OURS_PLAIN, theirs=peers.STORESCP_B, at_least=1.0,
    ),
    Aim(
        name="large_vs_storescp", words="1 GiB: twice storescp as it comes", work="large",
        ours=peers.OURS_PLAIN, theirs=peers.STORESCP, at_least=2.0,
    ),
    Aim(
        name="large_vs_pynetdicom", words="1 GiB: eight times pynetdicom", work="large",
        ours=peers.OURS_PLAIN, theirs=peers.PYNETDICOM, at_least=8.0,
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
_SETTLE_S = 0.3

Table = dict[tuple[str, str], list[Figures]]


def main() -> int:
    """Run it, print it, and give the exit code: 0 when every aim was met."""
    quick = bool(os.environ.get("QUICK"))
    folder = Path(tempfile.mkdtemp(prefix="bench-receive-", dir=os.environ.get("BENCH_FOLDER")))
    shm = Path("/dev/shm")  # noqa: S108  made with a random name below
    source = Path(tempfile.mkdtemp(prefix="bench-receive-", dir=shm if shm.is_dir() else folder))
    try:
        works = _works(source, quick=quick)
        table = _measure(works, folder, rounds=int(os.environ.get("ROUNDS") or (1 if quick else 5)))
        idle = idle_cores(peers.OURS, folder / "idle", seconds=3.0 if quick else 10.0)
    finally:
        shutil.rmtree(source, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    _print_table(works, table)
    return _print_result(table, idle)


def _works(source: Path, *, quick: bool) -> Sequence[Work]:
    """Give what is sent; the large instance last, since it leaves its mark on the memory."""
    large_bytes, n_small = (_GIB // 8, 200) if quick else (_GIB, 1000)
    one = slides.make(source / "one", large_bytes=large_bytes, n_large=1, n_small=n_small)
    four = slides.make(source / "four", large_bytes=large_bytes // 4, n_large=4, n_small=n_small)
    size = f"{large_bytes >> 20} MiB"
    return (
        _work("small", f"{n_small} instances of 0.7 MB, one sender", _dcmsend, [one.small]),
        _work(
            "small4", f"{n_small} instances of 0.7 MB, four senders", _dcmsend,
            [four.small[number::4] for number in range(4)],
        ),
        _work(
            "large4", f"four senders, a quarter of {size} each", _storescu,
            [[path] for path in four.large],
        ),
        _work("large", f"one instance of {size}, one sender", _storescu, [one.large]),
    )  # fmt: skip


def _work(
    name: str,
    words: str,
    sender: Callable[[int, Sequence[Path]], Sequence[str]],
    shares: Sequence[Sequence[Path]],
) -> Work:
    files = [path for share in shares for path in share]
    return Work(
        name=name,
        words=words,
        senders=lambda port: [sender(port, share) for share in shares],
        n_bytes=sum(path.stat().st_size for path in files),
        n_objects=len(files),
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
    """Run everything `rounds` times in turn, so that a slow minute hits all alike."""
    table: Table = defaultdict(list)
    for number in range(rounds):
        for receiver in EVERYBODY:
            running = peers.start(receiver, folder / f"{number}-{receiver.name}")
            try:
                for work in works:
                    time.sleep(_SETTLE_S)
                    os.sync()
                    senders = work.senders(running.port)
                    figures = run(running, senders, n_bytes=work.n_bytes, n_new=work.n_objects)
                    table[work.name, receiver.name].append(figures)
            finally:
                running.stop()
            _empty(running.folder)
            print(f"round {number + 1} of {rounds}: {receiver.words}", file=sys.stderr)
    return table


def _empty(folder: Path) -> None:
    """Give the room of what was received back, and keep the names.

    ext4 makes files slowly for some seconds after many were removed.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)


def _median(table: Table, work: str, receiver: Receiver, field: str) -> float:
    return float(statistics.median(getattr(one, field) for one in table[work, receiver.name]))


def _print_table(works: Sequence[Work], table: Table) -> None:
    for work in reversed(works):
        head = f"{'MB/s':>7} {'/s':>7} {'of best':>7} {'CPU s':>6} {'RSS MiB':>8}"
        print(f"\n{work.words:50} {head}")
        best = max(_median(table, work.name, one, "mb_s") for one in EVERYBODY)
        for one in EVERYBODY:
            mb_s = _median(table, work.name, one, "mb_s")
            cpu_s = _median(table, work.name, one, "cpu_s")
            rss_mib = _median(table, work.name, one, "rss_mib")
            per_s = work.n_objects / _median(table, work.name, one, "wall_s")
            speed = f"{mb_s:7.0f} {per_s:7.1f} {mb_s / best:7.2f}"
            print(f"  {one.words:48} {speed} {cpu_s:6.2f} {rss_mib:8.0f}")
    print()


def _print_result(table: Table, idle: float) -> int:
    results = {}
    met = [_met("ten idle associations, of a core", idle, reached=idle < IDLE_AIM_CORES)]
    for aim in AIMS:
        ratio = _ratio(table, aim.work, aim.ours, aim.theirs)
        met.append(_met(aim.words, ratio, reached=ratio >= aim.at_least * LEVEL))
        results[aim.name] = ratio
        results[f"production_{aim.name}"] = _ratio(table, aim.work, peers.OURS, aim.theirs)
    for name, part in (("hash", peers.OURS_HASH), ("fsync", peers.OURS_FSYNC)):
        for work in ("large", "small"):
            plain_s = _median(table, work, peers.OURS_PLAIN, "wall_s")
            results[f"{name}_{work}_s"] = _median(table, work, part, "wall_s") - plain_s
            print(f"  {name} adds {results[f'{name}_{work}_s']:+.2f} s to {plain_s:.2f} s, {work}")
    results["idle_cores"] = idle
    results["large_mb_s"] = _median(table, "large", peers.OURS, "mb_s")
    results["small_mb_s"] = _median(table, "small", peers.OURS, "mb_s")
    results["peak_rss_mib"] = _median(table, "large", peers.OURS, "rss_mib")
    print("RESULT", *(f"{name}={value:.3f}" for name, value in results.items()))
    return 0 if all(met) else 1


def _ratio(table: Table, work: str, ours: Receiver, theirs: Receiver) -> float:
    return _median(table, work, ours, "mb_s") / _median(table, work, theirs, "mb_s")


def _met(words: str, value: float, *, reached: bool) -> bool:
    print(f"{'met   ' if reached else 'MISSED'} {words}: {value:.3f}")
    return reached


if __name__ == "__main__":
    sys.exit(main())

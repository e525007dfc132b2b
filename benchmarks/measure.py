"""Wall time, CPU time and peak memory of a receiver and of everything it starts."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import Running

_TICKS_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_STORED_LIMIT_S = 30.0
_LOOK_EVERY_S = 0.002


class BenchmarkFailed(SystemExit):
    """A sender failed, or not everything arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one run."""

    wall_s: float
    mb_s: float
    cpu_s: float
    rss_mib: float


def run(running: Running, senders: Sequence[Sequence[str]], *, n_bytes: int, n_new: int) -> Figures:
    """Run all senders at once until the last one ends.

    The exit code of a sender is not believed: dcmsend gives 0 even when nothing was sent.

    Parameters
    ----------
    running
        The receiver.
    senders
        Their commands.
    n_bytes
        What they send together.
    n_new
        How many objects must be there afterwards that were not before.
    """
    expected = running.n_stored() + n_new
    _forget_peak(running)
    cpu_before_s = cpu_s(running)
    began = time.perf_counter()
    processes = [
        subprocess.Popen(one, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for one in senders
    ]
    while any(one.poll() is None for one in processes):
        time.sleep(_LOOK_EVERY_S)
    wall_s = time.perf_counter() - began
    deadline = time.monotonic() + _STORED_LIMIT_S
    while (n_stored := running.n_stored()) < expected and time.monotonic() < deadline:
        time.sleep(0.05)  # Orthanc answers before it has stored, --fork leaves a child behind
    if any(one.returncode for one in processes) or n_stored < expected:
        raise BenchmarkFailed(f"{running.receiver.name}: {n_stored} of {expected} objects arrived")
    peak = tree_peak_mib(running.process.pid)
    return Figures(
        wall_s=wall_s,
        mb_s=n_bytes / wall_s / 1e6,
        cpu_s=cpu_s(running) - cpu_before_s,
        rss_mib=peak,
    )


def cpu_s(running: Running) -> float:
    """CPU time so far of a receiver, of what it started, and of what that has ended."""
    return tree_cpu_s(running.process.pid)


def tree_cpu_s(pid: int) -> float:
    """CPU time so far of a process, of what it started, and of what that has ended."""
    return sum(_cpu_s(one) for one in _tree(pid))


def tree_peak_mib(pid: int) -> float:
    """Peak memory of a process and of what it started, together."""
    return sum(_peak_mib(one) for one in _tree(pid))


def _cpu_s(pid: int) -> float:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(one) for one in fields[11:15]) / _TICKS_S  # own and waited-for children


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        tasks = sorted((_PROC / str(pid) / "task").iterdir())
        children = [one for task in tasks for one in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield from _tree(int(child))


def _forget_peak(running: Running) -> None:
    for pid in _tree(running.process.pid):
        (_PROC / str(pid) / "clear_refs").write_text("5")


def _peak_mib(pid: int) -> float:
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))

"""The machine that the screen runs on: how busy its cores are, and how much memory is left."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_KIB: Final = 1024
_IDLE: Final = slice(3, 5)
"""Idle, and waiting for a disk: the core could do something else."""
_COUNTED: Final = 8
"""What follows (guests) is counted in what stands before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticks:
    """How long all cores together did something, and were there, since the machine started."""

    busy: int
    all: int

    def share_since(self, before: "Ticks | None") -> float | None:
        """Share of the time in between that the cores were busy; None where no time passed."""
        if before is None or self.all <= before.all:
            return None
        return min(1.0, max(0.0, (self.busy - before.busy) / (self.all - before.all)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Cores and memory at one moment."""

    n_cores: int
    busy_share: float | None
    """Of all cores since the moment before; None at the first."""
    memory_used_bytes: int
    memory_total_bytes: int


def read_ticks(proc: Path = PROC) -> Ticks | None:
    """Read how busy the cores were; None where the system does not tell."""
    try:
        first = (proc / "stat").read_text().splitlines()[0]
        numbers = [int(number) for number in first.split()[1 : 1 + _COUNTED]]
    except (OSError, ValueError, IndexError):
        return None
    return Ticks(busy=sum(numbers) - sum(numbers[_IDLE]), all=sum(numbers))


def read_machine(ticks: Ticks | None, before: Ticks | None, proc: Path = PROC) -> Machine | None:
    """Read memory and count cores; None where the system does not tell."""
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        sizes = {line.partition(":")[0]: int(line.split()[1]) * _KIB for line in lines}
        stat = (proc / "stat").read_text().splitlines()
        total, free = sizes["MemTotal"], sizes["MemAvailable"]
    except (OSError, ValueError, IndexError, KeyError):
        return None
    return Machine(
        n_cores=sum(line.startswith("cpu") for line in stat) - 1,
        busy_share=ticks.share_since(before) if ticks else None,
        memory_used_bytes=total - free,
        memory_total_bytes=total,
    )

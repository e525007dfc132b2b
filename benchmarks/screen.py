"""What the screen costs beside a busy line, and how soon it answers a key.

`coverslip tui` runs in a real terminal (a pseudo-terminal of 140 by 45 cells) on a journal of
10,000 slides, to which another process commits 50 times a second. CPU time and memory are those
that the kernel counts for the process of the screen; a key's latency is from the write to the
terminal until the redrawn row comes out of it. `make bench-screen` runs it; `QUICK=1` is a short
form. The last line is `RESULT name=value …`; it ends with 0 only when the aims hold.
"""

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.settings import load
from benchmarks.measure import tree_cpu_s, tree_peak_mib
from benchmarks.screen_line import SETTINGS, seed

QUICK = bool(os.environ.get("QUICK"))
N_SLIDES: Final = 10_000
RATE: Final = 50
WATCH_S: Final = 3.0 if QUICK else 60.0
N_KEYS: Final = 15 if QUICK else 100
AIM_CORE, AIM_RSS_MIB, AIM_KEY_MS = 0.10, 150.0, 100.0
LINES, COLUMNS = 45, 140
SOUGHT: Final = ("4217", "7358", "8164", "1937", "9871")
_LIMIT_S: Final = 30.0
_CURSOR: Final = "▌".encode()
_RULE: Final = "─".encode()
_ORDERS: Final = (b"by name", b"by scanner", b"longest first", b"Scan again")
"""Round to the urgent slides: they stand still, so what is written after a key is the key's."""
_DOWN, _UP, _ESCAPE = b"\x1b[B", b"\x1b[A", b"\x1b"
_P95: Final = 0.95


class Terminal:
    """A program in a pseudo-terminal, what it wrote, and when."""

    def __init__(self, command: Sequence[str]) -> None:
        self.began = time.monotonic()
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            size = struct.pack("HHHH", LINES, COLUMNS, 0, 0)
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            for inherited in ("COLUMNS", "LINES"):  # they outrank the size of the terminal
                os.environ.pop(inherited, None)
            os.execv(command[0], list(command))  # noqa: S606  our own command
        self._written = bytearray()
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while select.select([self._file], [], [])[0]:
            try:
                data = os.read(self._file, 1 << 16)
            except OSError:
                return
            with self._news:
                self._written += data
                self._news.notify_all()

    @property
    def n_bytes(self) -> int:
        """How much it wrote so far."""
        return len(self._written)

    def wait_for(self, text: bytes, *, after: int = 0) -> None:
        """Wait until it has written this."""
        with self._news:
            if not self._news.wait_for(lambda: text in self._written[after:], _LIMIT_S):
                raise SystemExit(f"the screen did not show {text.decode()!r} in {_LIMIT_S:.0f} s")

    def key(self, keys: bytes, *, shows: bytes) -> float:
        """Press keys, and give the milliseconds until what they change is shown."""
        before = self.n_bytes
        began = time.perf_counter()
        os.write(self._file, keys)
        self.wait_for(shows, after=before)
        return 1000 * (time.perf_counter() - began)

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._file, keys)

    def end(self) -> None:
        """Take the terminal away, as a closed window does."""
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured."""

    first_screen_s: float
    core: float
    """Share of a core while nobody presses a key."""
    core_newest: float
    """The same with the newest slides first, so that all that moves is in sight."""
    rss_mib: float
    move_ms: tuple[float, ...]
    filter_ms: tuple[float, ...]
    output_kb_s: float
    commits_s: float


def measure(folder: Path) -> Figures:
    """Run the line and the screen, and measure the screen."""
    settings_file = folder / "coverslip.toml"
    settings_file.write_text(SETTINGS.format(root=folder))
    seed(load(settings_file), N_SLIDES)
    writer = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.screen_line", str(settings_file), str(RATE)],
        stdout=subprocess.PIPE,
        text=True,
    )
    coverslip = Path(sys.executable).parent / "coverslip"
    terminal = Terminal([str(coverslip), "--settings", str(settings_file), "tui"])
    try:
        terminal.wait_for(b"Scan again")
        first_screen_s = time.monotonic() - terminal.began
        time.sleep(2.0)
        core, _ = _at_rest(terminal)
        terminal.key(b"o", shows=b"newest first")
        core_newest, output_kb_s = _at_rest(terminal)
        for said in _ORDERS:
            terminal.key(b"o", shows=said)
        move_ms = _moves(terminal)
        filter_ms = _filters(terminal)
        rss_mib = tree_peak_mib(terminal.pid)
    finally:
        terminal.end()
        writer.terminate()
        said, _ = writer.communicate(timeout=_LIMIT_S)
    n_commits, took_s = said.split()
    return Figures(
        first_screen_s=first_screen_s,
        core=core,
        core_newest=core_newest,
        rss_mib=rss_mib,
        move_ms=move_ms,
        filter_ms=filter_ms,
        output_kb_s=output_kb_s,
        commits_s=int(n_commits) / float(took_s),
    )


def _at_rest(terminal: Terminal) -> tuple[float, float]:
    """Give the share of a core and the kB a second while the screen only follows the line."""
    cpu_before_s, bytes_before = tree_cpu_s(terminal.pid), terminal.n_bytes
    began = time.monotonic()
    time.sleep(WATCH_S)
    took_s = time.monotonic() - began
    core = (tree_cpu_s(terminal.pid) - cpu_before_s) / took_s
    return core, (terminal.n_bytes - bytes_before) / took_s / 1000


def _moves(terminal: Terminal) -> tuple[float, ...]:
    """Move the cursor through the list, one key after the other."""
    found = []
    for number in range(N_KEYS):
        down = number % (2 * LINES) < LINES
        found.append(terminal.key(_DOWN if down else _UP, shows=_CURSOR))
        time.sleep(0.05)
    return tuple(found)


def _filters(terminal: Terminal) -> tuple[float, ...]:
    """Type ends of slide ids into the filter, each letter of which leaves fewer, and clear it."""
    found = []
    for sought in SOUGHT[: 1 if QUICK else len(SOUGHT)]:
        terminal.key(b"/", shows=b"Filter")
        for letter in sought:
            found.append(terminal.key(letter.encode(), shows=_RULE))
            time.sleep(0.1)
        terminal.press(_ESCAPE)
        time.sleep(0.5)
    return tuple(found)


def main() -> int:
    """Measure, print, and say whether the aims hold."""
    with tempfile.TemporaryDirectory(prefix="cs") as folder:
        figures = measure(Path(folder))
    move_p95_ms, filter_p95_ms = _p95(figures.move_ms), _p95(figures.filter_ms)
    print(f"the screen on {N_SLIDES:,} slides, {figures.commits_s:.0f} commits a second")
    rows = (
        ("first screen", f"{figures.first_screen_s:.1f} s", ""),
        ("of a core, urgent slides in sight", f"{figures.core:.3f}", f"under {AIM_CORE:.2f}"),
        (
            "of a core, moving slides in sight",
            f"{figures.core_newest:.3f}",
            f"under {AIM_CORE:.2f}",
        ),
        ("peak memory", f"{figures.rss_mib:.0f} MiB", f"under {AIM_RSS_MIB:.0f} MiB"),
        ("to the terminal", f"{figures.output_kb_s:.1f} kB/s", ""),
        ("a move, median", f"{statistics.median(figures.move_ms):.0f} ms", ""),
        ("a move, p95", f"{move_p95_ms:.0f} ms", f"under {AIM_KEY_MS:.0f} ms"),
        ("a letter in the filter, median", f"{statistics.median(figures.filter_ms):.0f} ms", ""),
        ("a letter in the filter, p95", f"{filter_p95_ms:.0f} ms", f"under {AIM_KEY_MS:.0f} ms"),
    )
    for name, value, aim in rows:
        print(f"  {name:<34}{value:>12}   {aim}".rstrip())
    print(
        f"RESULT core={max(figures.core, figures.core_newest):.3f} rss_mib={figures.rss_mib:.0f} "
        f"first_screen_s={figures.first_screen_s:.2f} move_p95_ms={move_p95_ms:.0f} "
        f"filter_p95_ms={filter_p95_ms:.0f} commits_s={figures.commits_s:.1f}"
    )
    holds = (
        max(figures.core, figures.core_newest) < AIM_CORE
        and figures.rss_mib < AIM_RSS_MIB
        and max(move_p95_ms, filter_p95_ms) < AIM_KEY_MS
        and figures.commits_s > 0.95 * RATE
    )
    return 0 if holds else 1


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(_P95 * len(values)))]


if __name__ == "__main__":
    sys.exit(main())

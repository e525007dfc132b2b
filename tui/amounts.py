"""Numbers as people read them: speeds, spans of time, and counts over time as one line."""

from collections.abc import Sequence
from typing import Final

from tui.words import DAY_S, HOUR_S, counted

_MEGA: Final = 1_000_000
_BARS: Final = "▁▂▃▄▅▆▇█"
_NOTHING: Final = "·"
_MANY_DAYS: Final = 60


def speed(bytes_a_second: float) -> str:
    """Write how fast something comes."""
    return f"{bytes_a_second / _MEGA:.1f} MB/s"


def about(seconds: float) -> str:
    """Say roughly how long something is, as one plans with it."""
    if seconds < HOUR_S:
        return "less than an hour"
    if seconds < 2 * DAY_S:
        return f"about {counted(round(seconds / HOUR_S), 'hour')}"
    if seconds < _MANY_DAYS * DAY_S:
        return f"about {counted(round(seconds / DAY_S), 'day')}"
    return f"about {counted(round(seconds / (30 * DAY_S)), 'month')}"


def lasting(seconds: float) -> str:
    """Write how long something has been there, in one short word: 40 s, 12 min, 5 h, 3 d."""
    for unit, length_s in (("d", DAY_S), ("h", HOUR_S), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds // length_s:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def sparkline(counts: Sequence[int], width: int) -> str:
    """Draw counts over time as at most `width` bars, the newest on the right.

    Bins are put together until they fit; one in which nothing happened is a dot.
    """
    step = -(-len(counts) // max(1, width)) if counts else 1
    ends = range(len(counts), 0, -step)
    bars = [sum(counts[max(0, end - step) : end]) for end in ends][::-1]
    most = max(bars, default=0)
    high = len(_BARS)
    return "".join(_BARS[-(-count * high // most) - 1] if count else _NOTHING for count in bars)


def bins_together(n_bins: int, width: int) -> int:
    """How many bins `sparkline` puts together for one bar."""
    return -(-n_bins // max(1, width))

"""Numbers as people read them: spans of time, sizes, shares, speeds, and counts as one line."""

from collections.abc import Sequence
from typing import Final

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86400
SHORT_S = 10

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


def age(seconds: float) -> str:
    """Say how long ago something was."""
    if seconds < SHORT_S:
        return "just now"
    if seconds < MINUTE_S:
        return f"{seconds:.0f} s ago"
    if seconds < HOUR_S:
        return f"{seconds // MINUTE_S:.0f} min ago"
    if seconds < DAY_S:
        return f"{seconds // HOUR_S:.0f} h ago"
    return f"{seconds // DAY_S:.0f} d ago"


def duration(seconds: float) -> str:
    """Write how long something took: 0.8 s, 12 s, 1:12, 1:02:03."""
    seconds = max(0.0, seconds)
    if seconds < SHORT_S:
        return f"{seconds:.1f} s"
    if seconds < MINUTE_S:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), MINUTE_S)
    if seconds < HOUR_S:
        return f"{minutes}:{rest:02d}"
    hours, minutes = divmod(minutes, MINUTE_S)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def share(part: float) -> str:
    """Write a share as percent, with a decimal where that says something."""
    percent = 100 * part
    return f"{percent:.1f} %" if 0 < percent < SHORT_S else f"{percent:.0f} %"


def size(n_bytes: float) -> str:
    """Write a size with the unit that suits it."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if n_bytes >= unit:
            number = n_bytes / unit
            return f"{number:.1f} {name}" if number < SHORT_S else f"{number:.0f} {name}"
    return f"{n_bytes:.0f} B"


def counted(number: int, word: str) -> str:
    """Write a number and what it counts: 1 image, 3 images."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def gib(n_bytes: float) -> str:
    """Write a size in GiB."""
    return f"{n_bytes / 2**30:,.0f} GiB"


def bar(part: float, width: int) -> tuple[str, str]:
    """Draw a bar as (filled, rest), together `width` cells; never empty for more than nothing."""
    halves = round(min(1.0, max(0.0, part)) * width * 2)
    if part > 0:
        halves = max(1, halves)
    filled = "━" * (halves // 2) + ("╸" if halves % 2 else "")
    return filled, "─" * (width - len(filled))

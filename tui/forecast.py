"""When will the disk be full? Pure: samples of the last days in, a rate and moments out."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import median
from typing import Final

from appliance.line import DiskSample

LEAST_SPAN_S: Final = 2 * 3600.0
"""Less says more about one slide than about the lab."""
LEAST_SAMPLES: Final = 6
MOST_POINTS: Final = 168
"""A week's samples are thinned to one an hour."""
SAME_HOUR_S: Final = 5400.0
FARTHEST_S: Final = 365 * 86_400.0
"""What would take longer is called not filling."""
DAY_S: Final = 86_400.0
DAYS_S: Final = 2.9 * DAY_S
"""From here on hours are compared with the same hours of the next day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How fast the disk fills, and when which limit is reached. Times are seconds from now."""

    bytes_a_day: float
    """Negative while more is removed than comes."""
    put_off_in_s: float | None
    """Until new transfers are put off; None when it is not filling."""
    full_in_s: float | None
    """Until nothing is taken any more."""

    @property
    def is_filling(self) -> bool:
        """Whether it will be full in a time that anyone plans for."""
        return self.full_in_s is not None


def forecast(
    samples: Sequence[DiskSample], *, free_bytes: int, soft_bytes: float, hard_bytes: float
) -> Forecast | None:
    """Tell when the disk will be full at the rate of the last days.

    The rate is a median, so that neither one purge nor one large batch decides: once there are days
    of samples, of what each day took from one hour to the same hour of the next, since a lab fills
    its disk by day and purges by night; before, of the slopes between all pairs (Theil and Sen).

    Parameters
    ----------
    samples
        Oldest first.
    free_bytes
        Room that is left now.
    soft_bytes, hard_bytes
        Limits of the settings: below the first new transfers are put off, below the second nothing
        is taken.

    Returns
    -------
    Forecast or None
        None while too little is known.
    """
    rate = _bytes_a_second(tuple(samples))
    if rate is None:
        return None
    full_in_s = _until(free_bytes - hard_bytes, rate)
    return Forecast(
        bytes_a_day=rate * DAY_S,
        put_off_in_s=None if full_in_s is None else _until(free_bytes - soft_bytes, rate),
        full_in_s=full_in_s,
    )


@lru_cache(maxsize=4)
def _bytes_a_second(samples: tuple[DiskSample, ...]) -> float | None:
    """Bytes by which the room shrinks each second; the same samples are asked about often."""
    if len(samples) < LEAST_SAMPLES or samples[-1].at - samples[0].at < LEAST_SPAN_S:
        return None
    step = -(-len(samples) // MOST_POINTS)
    points = samples[::-step][::-1]  # the newest is always among them
    is_long = points[-1].at - points[0].at >= DAYS_S
    pairs = (_over_a_day(points) if is_long else []) or list(combinations(points, 2))
    return median(
        (before.free_bytes - after.free_bytes) / (after.at - before.at)
        for before, after in pairs
        if after.at > before.at
    )


def _over_a_day(points: Sequence[DiskSample]) -> list[tuple[DiskSample, DiskSample]]:
    """Pair each sample with the first one that is a day later, where there is one about then."""
    moments = [point.at for point in points]
    pairs = []
    for before in points:
        number = bisect_left(moments, before.at + DAY_S)
        if number < len(points) and moments[number] - before.at - DAY_S <= SAME_HOUR_S:
            pairs.append((before, points[number]))
    return pairs


def _until(room_bytes: float, rate: float) -> float | None:
    if room_bytes <= 0:
        return 0.0
    if rate <= 0 or room_bytes / rate > FARTHEST_S:
        return None
    return room_bytes / rate

"""Quiet hours, in the local time of the machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass

_HOUR_MIN = 60

LocalTime = Callable[[float], time.struct_time]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """From one minute of the day up to another, over midnight if need be; equal: none."""

    start_min: int = 0
    end_min: int = 0

    @classmethod
    def of(cls, words: str) -> "QuietHours":
        """Read hours as the settings have them, such as 19:00-07:00; empty means none."""
        if not words:
            return cls()
        start, _, end = words.partition("-")
        return cls(start_min=_minute(start), end_min=_minute(end))

    def cover(self, at: float, local: LocalTime = time.localtime) -> bool:
        """Whether a moment lies in them."""
        there = local(at)
        minute = there.tm_hour * _HOUR_MIN + there.tm_min
        if self.start_min <= self.end_min:
            return self.start_min <= minute < self.end_min
        return minute >= self.start_min or minute < self.end_min

    @property
    def end(self) -> str:
        """When they are over."""
        return f"{self.end_min // _HOUR_MIN:02d}:{self.end_min % _HOUR_MIN:02d}"


def _minute(words: str) -> int:
    hour, _, minute = words.partition(":")
    return int(hour) * _HOUR_MIN + int(minute)

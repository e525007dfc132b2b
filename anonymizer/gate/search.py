"""Search of raw bytes for many patterns at once (hyperscan), whatever stands around them.

Arbitrary bytes meet a short pattern by chance. In a GiB of random bytes a given one of six bytes
stands 4e-6 times as it is spelled, but 2e-4 times when the case of six letters does not matter;
from eight bytes on, without regard to case, 2e-8 times. So six and seven bytes count in codestreams
as they are spelled, longer ones in any case: with a thousand short patterns one clean slide in
250 GiB is set aside. Pixels that are not compressed are far from random (dark grey is digits);
there ten bytes are the least. A pattern that repeats itself is what flat areas are made of, and
counts in neither.
"""

from collections.abc import Collection, Iterator
from typing import Final, cast

import hyperscan

from appliance.errors import IdentityDoubt

SHORTEST_IN_NATIVE_PIXELS: Final = 10

_SHORTEST_IN_CODESTREAMS = 6
_SHORTEST_IN_ANY_CASE = 8
_LONGEST = 200
"""Of a longer pattern the start is looked for."""
_LONGEST_PERIOD = 4
_ESCAPED = [f"\\x{byte:02x}".encode("ascii") for byte in range(256)]

Buffer = bytes | bytearray | memoryview


class Search:
    """Patterns made ready for any number of files; may be shared by threads."""

    def __init__(self, patterns: Collection[bytes]) -> None:
        """Make patterns ready; the case of ASCII letters in them does not matter."""
        self.spelled = frozenset(patterns)
        every = {pattern[:_LONGEST].lower(): pattern for pattern in patterns}.values()
        repeated = [pattern for pattern in every if _repeats(pattern)]
        self._once = _Patterns([one for one in every if not _repeats(one)])
        self._repeated = _Patterns(repeated)
        self.longest = max((len(pattern[:_LONGEST]) for pattern in every), default=1)
        """Bytes of the longest pattern that is looked for."""

    def in_header(self, data: Buffer) -> Iterator[tuple[bytes, int]]:
        """Find every place of every pattern: the pattern, and where it starts."""
        for patterns in (self._once, self._repeated):
            yield from patterns.scanner().matches(data)

    def in_pixels(self, *, is_native: bool) -> "PixelScanner":
        """Make what looks in pixels; each thread needs its own."""
        return PixelScanner(self._once.scanner(), self.spelled, is_native=is_native)


class PixelScanner:
    """Looks for what is long enough to be no chance in pixels."""

    def __init__(self, scanner: "_Scanner", spelled: frozenset[bytes], *, is_native: bool) -> None:
        self._scanner = scanner
        self._spelled = spelled
        self._shortest = SHORTEST_IN_NATIVE_PIXELS if is_native else _SHORTEST_IN_CODESTREAMS

    def first(self, data: Buffer) -> bytes | None:
        """Give a pattern that stands in the data, if any does."""
        for pattern, start in self._scanner.matches(data):
            is_long = len(pattern) >= _SHORTEST_IN_ANY_CASE
            found = pattern if is_long else bytes(data[start : start + len(pattern)])
            if len(pattern) >= self._shortest and found in self._spelled:
                return found
        return None


class _Patterns:
    def __init__(self, patterns: list[bytes]) -> None:
        self.patterns = patterns
        self.database = _compiled(patterns) if patterns else None

    def scanner(self) -> "_Scanner":
        return _Scanner(self)


class _Scanner:
    def __init__(self, sought: _Patterns) -> None:
        self._patterns, self._database = sought.patterns, sought.database
        self._scratch = None if self._database is None else hyperscan.Scratch(self._database)

    def matches(self, data: Buffer) -> list[tuple[bytes, int]]:
        if self._database is None:
            return []
        found: list[tuple[bytes, int]] = []

        def note(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            pattern = self._patterns[number]
            found.append((pattern, end - len(pattern[:_LONGEST])))

        # Its stub knows bytes only; it takes any buffer.
        self._database.scan(cast("bytes", data), match_event_handler=note, scratch=self._scratch)
        return found


def _repeats(pattern: bytes) -> bool:
    return any(pattern[period:] == pattern[:-period] for period in range(1, _LONGEST_PERIOD + 1))


def _compiled(patterns: list[bytes]) -> hyperscan.Database:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    try:
        database.compile(
            expressions=[
                b"".join(map(_ESCAPED.__getitem__, pattern[:_LONGEST])) for pattern in patterns
            ],
            ids=list(range(len(patterns))),
            elements=len(patterns),
            flags=[hyperscan.HS_FLAG_CASELESS] * len(patterns),
        )
    except hyperscan.error as error:
        raise IdentityDoubt("The values of the original are too many to be looked for.") from error
    return database

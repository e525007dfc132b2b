"""Search of raw bytes for many patterns at once (hyperscan), whatever stands around them.

Arbitrary bytes meet a short pattern by chance. In a GiB of random bytes a given one of six bytes
stands 4e-6 times as it is spelled, but 2e-4 times when the case of six letters does not matter;
from eight bytes on, without regard to case, 2e-8 times. So six and seven bytes are looked for in
codestreams as they are spelled, longer ones in any case: a thousand short patterns set one clean
slide of 250 GiB aside. Pixels that are not compressed are far from random (dark grey is digits);
there ten bytes are the least. A pattern that repeats itself is what flat areas are made of, and is
not looked for in either.
"""

from collections.abc import Iterable, Mapping
from typing import Final, cast

import hyperscan

from anonymizer.gate.needles import Origin
from appliance.errors import IdentityDoubt

SHORTEST_IN_CODESTREAMS: Final = 6
SHORTEST_IN_NATIVE_PIXELS: Final = 10

_SHORTEST_IN_ANY_CASE = 8
_LONGEST = 200
"""Of a longer pattern the start is looked for."""
_LONGEST_PERIOD = 4

Buffer = bytes | bytearray | memoryview


class Search:
    """Patterns made ready; may be shared by threads."""

    def __init__(self, patterns: Iterable[bytes], *, exact_below: int = 0) -> None:
        """Make patterns ready.

        Parameters
        ----------
        patterns
            What to look for.
        exact_below
            Shorter ones are looked for as they are spelled, others whatever the case of ASCII
            letters is.
        """
        sought: dict[bytes, tuple[bytes, int]] = {}
        for pattern in patterns:
            start, exact = pattern[:_LONGEST], len(pattern) < exact_below
            key = start if exact else start.lower()
            flags = 0 if exact else hyperscan.HS_FLAG_CASELESS
            sought.setdefault(bytes((exact,)) + key, (pattern, flags))
        self._patterns = [pattern for pattern, _ in sought.values()]
        self.longest = max((len(one[:_LONGEST]) for one in self._patterns), default=1)
        """Bytes of the longest one that is looked for."""
        self._database = _compiled(list(sought.values()))

    def scanner(self) -> "Scanner":
        """Make what looks; each thread needs its own."""
        return Scanner(self._patterns, self._database)


class Scanner:
    """Looks for the patterns of a search."""

    def __init__(self, patterns: list[bytes], database: hyperscan.Database | None) -> None:
        self._patterns = patterns
        self._database = database
        self._scratch = None if database is None else hyperscan.Scratch(database)

    def matches(self, data: Buffer) -> list[tuple[bytes, int]]:
        """Find every place of every pattern: the pattern, and where it starts."""
        if self._database is None:
            return []
        found: list[tuple[bytes, int]] = []

        def note(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            pattern = self._patterns[number]
            found.append((pattern, end - len(pattern[:_LONGEST])))

        # Its stub knows bytes only; it takes any buffer.
        self._database.scan(cast("bytes", data), match_event_handler=note, scratch=self._scratch)
        return found


def in_codestreams(patterns: Mapping[bytes, Origin]) -> Search:
    """Search for what is long enough to be no chance in compressed pixels."""
    return Search(_worth(patterns, SHORTEST_IN_CODESTREAMS), exact_below=_SHORTEST_IN_ANY_CASE)


def in_native_pixels(patterns: Mapping[bytes, Origin]) -> Search:
    """Search for what is long enough to be no chance in pixels as they are."""
    return Search(_worth(patterns, SHORTEST_IN_NATIVE_PIXELS))


def _worth(patterns: Iterable[bytes], shortest: int) -> Iterable[bytes]:
    return (one for one in patterns if len(one) >= shortest and not _repeats(one))


def _repeats(pattern: bytes) -> bool:
    return any(pattern[period:] == pattern[:-period] for period in range(1, _LONGEST_PERIOD + 1))


def _compiled(patterns: list[tuple[bytes, int]]) -> hyperscan.Database | None:
    if not patterns:
        return None
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    try:
        database.compile(
            expressions=[
                "".join(f"\\x{byte:02x}" for byte in pattern[:_LONGEST]).encode("ascii")
                for pattern, _ in patterns
            ],
            ids=list(range(len(patterns))),
            elements=len(patterns),
            flags=[flags for _, flags in patterns],
        )
    except hyperscan.error as error:
        raise IdentityDoubt("The values of the original are too many to be looked for.") from error
    return database

"""What the gate looks for: every value of the input that must not be in the output.

Values are collected from all files of a slide, those that are left out too, from every place that
can be read. They are never written anywhere; the report counts them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from anonymizer.gate.search import Search
from anonymizer.gate.spellings import (
    compared,
    date_spellings,
    dates_in,
    encoded,
    orders,
    spelled,
    squashed,
    usual_orders,
    words_of,
    wrapped,
)
from appliance.errors import IdentityDoubt

SHORTEST_WORD = 4
"""Shorter values are sought by the role of an attribute only: as the whole of a text."""
SHORTEST_IN_BYTES = 6
"""Shorter ones meet their like among arbitrary bytes by chance; they are sought in texts only."""
SHORTEST_SQUASHED = 6

_LONG_NUMBER = re.compile(r"(?<![\d.])0*[1-9]\d{5,19}(?![\d.])")
_LONGEST_PATTERN = 200
"""Of a longer text the start is looked for among bytes."""
_MOST_VALUES = 200_000
_SHORTEST_IN_ANY_CASE = 8
"""Of longer patterns the case of ASCII letters does not matter (`search`)."""
_MOST_SPELLED = 10_000
"""With so many patterns, further values are looked for among bytes as they are only."""

Date = tuple[str, str, str]
"""Year, month and day in digits."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in the input a value stood, and by which rule it had to go."""

    path: str
    rule: str


@dataclass(slots=True)
class Kept:
    """Values that the profile keeps by right, as they are compared; these are not sought."""

    uids: set[str] = field(default_factory=set)
    dates: set[Date] = field(default_factory=set)
    """Dates that options keep, and those that the right shift leads to."""
    texts: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    """Plain numbers that frames refer to, such as an optical path."""


@dataclass(slots=True)
class Needles:
    """Values of one slide's input, each with where it came from."""

    uids: dict[str, Origin] = field(default_factory=dict)
    dates: dict[Date, Origin] = field(default_factory=dict)
    phrases: dict[str, Origin] = field(default_factory=dict)
    """Whole values, in lower case."""
    words: dict[str, Origin] = field(default_factory=dict)
    """Words of values, as they are compared."""
    squashed: dict[str, Origin] = field(default_factory=dict)
    """Whole values without separators, names in every order."""
    shorts: dict[str, Origin] = field(default_factory=dict)
    """Whole values of fewer than four characters."""
    numbers: dict[int, Origin] = field(default_factory=dict)
    """Whole values that are long numbers."""
    patients: dict[frozenset[str], Origin] = field(default_factory=dict)
    """Words of each name of the patient, and their numbers."""
    patterns: dict[bytes, Origin] = field(default_factory=dict)
    """What is sought among bytes: whole values of six bytes or more, in every encoding.

    From eight bytes on, whoever searches must not heed the case of ASCII letters.
    """
    texts: dict[bytes, str] = field(default_factory=dict)
    """What each of the patterns spells, as it is compared."""
    kept: Kept = field(default_factory=Kept)
    pseudonyms: frozenset[str] = frozenset()
    """Identifiers that replace those of the input."""
    shift_weeks: int | None = None
    """Weeks by which its dates must have moved; None when that is not known."""
    lacking: frozenset[str] = frozenset()
    """Paths of attributes that the input already lacks, though its IOD asks for them."""
    not_sought: Counter[str] = field(default_factory=Counter)
    """How many values are not sought everywhere, by the reason."""

    _search: Search | None = field(default=None, compare=False, repr=False)

    def search(self) -> Search:
        """Give the patterns ready to be looked for; made once for all files of a slide."""
        if self._search is None or len(self._search.spelled) != len(self.patterns):
            self._search = Search(self.patterns)
        return self._search

    def __len__(self) -> int:
        return len(self.uids) + len(self.dates) + len(self.phrases) + len(self.words)

    @property
    def too_short(self) -> int:
        """How many whole values are sought only as the whole of a text."""
        return len(self.shorts)

    def counts(self) -> Mapping[str, int]:
        """Count what is looked for, by kind."""
        return {
            "uids": len(self.uids),
            "dates": len(self.dates),
            "values": len(self.phrases),
            "words": len(self.words),
            "short values": len(self.shorts),
            "long numbers": len(self.numbers),
            "byte patterns": len(self.patterns),
        }

    def add_uid(self, uid: str, origin: Origin) -> None:
        """Look for a UID."""
        if uid not in self.kept.uids and uid not in self.uids:
            self.uids[uid] = origin
            self._add_pattern(uid, (uid,), origin, is_wrapped=True)

    def add_date(self, date: Date, origin: Origin) -> None:
        """Look for a date, in every spelling."""
        if date not in self.kept.dates and date not in self.dates:
            self.dates[date] = origin
            self._add_pattern("".join(date), date_spellings(*date), origin, is_wrapped=False)
            self._add_pattern("-".join(date), ("".join(date),), origin, is_wrapped=True)

    def add_text(self, text: str, origin: Origin, *, is_person: bool = False) -> None:
        """Look for a text as a whole and by its words.

        Parameters
        ----------
        text
            A value, or a piece of one.
        origin
            Where it stood.
        is_person
            Whether it is a person name (PS3.5 6.2.1), which has components and orders.
        """
        lowered = compared(text)
        if not lowered or lowered in self.kept.texts:
            return
        for date in dates_in(text):
            self.add_date(date, origin)
        known = lowered in self.phrases
        self._add_whole(lowered, origin)
        for word in words_of(text):
            if tells_enough(word) and word not in self.kept.words:
                self.words.setdefault(word, origin)
        if not known or is_person:
            self._add_spellings(text, origin, is_person=is_person)

    def _add_whole(self, lowered: str, origin: Origin) -> None:
        if not tells_enough(lowered):
            self.shorts.setdefault(lowered, origin)
        elif lowered not in self.phrases:
            self._bound()
            self.phrases[lowered] = origin

    def add_patient(self, text: str, origin: Origin, *, is_person: bool) -> None:
        """Note a name or number of the patient, which not even a text that is kept may hold."""
        words = frozenset(word for word in words_of(text) if len(word) > 1)
        if is_person and words:
            self.patients.setdefault(words, origin)
        elif tells_enough(squashed(text)):
            self.patients.setdefault(frozenset((squashed(text),)), origin)

    def add_raw(self, value: bytes, text: str, origin: Origin) -> None:
        """Look for the bytes of a value as they are in the input, whatever they encode."""
        if len(value) >= SHORTEST_IN_BYTES and compared(text) not in self.kept.texts:
            self.patterns.setdefault(value, origin)
            self.texts.setdefault(value, compared(text))

    def _add_spellings(self, text: str, origin: Origin, *, is_person: bool) -> None:
        for name in orders(text) if is_person else (text, *_LONG_NUMBER.findall(text)):
            plain = squashed(name)
            if tells_enough(plain) and plain not in self.kept.texts:
                self.squashed.setdefault(plain, origin)
            if _LONG_NUMBER.fullmatch(plain):
                self.numbers.setdefault(int(plain), origin)
            is_usual = not is_person or name in usual_orders(text)
            self._add_pattern(name, spelled(name), origin, is_wrapped=is_usual)

    def _add_pattern(
        self, text: str, forms: Iterable[str], origin: Origin, *, is_wrapped: bool
    ) -> None:
        if len(self.patterns) >= _MOST_SPELLED:
            self.not_sought["in other spellings among bytes, for there are very many"] += 1
            self.add_raw(text.encode("utf-8", "surrogatepass"), text, origin)
            return
        plain = compared(text)
        found = {data for form in forms for data in _cased(form[:_LONGEST_PATTERN])}
        if is_wrapped:
            found.update(data for form in forms for data in encoded(form[:_LONGEST_PATTERN]))
            whole = text[:_LONGEST_PATTERN].encode("utf-8", "surrogatepass")
            found.update(wrapped(whole) if len(whole) >= SHORTEST_IN_BYTES else ())
        for data in found:
            if len(data) >= SHORTEST_IN_BYTES and tells_enough(plain):
                self.patterns.setdefault(data, origin)
                self.texts.setdefault(data, plain)

    def _bound(self) -> None:
        if len(self.phrases) >= _MOST_VALUES:
            raise IdentityDoubt(
                "The slide has more identifying values than can be looked for in what comes out."
                " Ask whoever set up the scanner what it writes."
            )


def tells_enough(word: str) -> bool:
    """Whether a word is long enough to be sought in every text; two ideographs are a name."""
    return len(word) >= SHORTEST_WORD or len(word.encode("utf-8", "surrogatepass")) >= (
        SHORTEST_IN_BYTES
    )


def _cased(form: str) -> Iterator[bytes]:
    """Write a text in UTF-8, in several cases where the search heeds the case."""
    heeded = not form.isascii() or len(form) < _SHORTEST_IN_ANY_CASE
    for cased in (form, form.lower(), form.upper(), form.title()) if heeded else (form,):
        yield cased.encode("utf-8", "surrogatepass")


def is_harmless(text: str, harmless: Iterable[str]) -> bool:
    """Whether tables of the standard bring in every word of a text, so that it tells nothing.

    A word also counts when it is a part of such a word, as a patient called Philip is of Philips.
    """
    known = harmless if isinstance(harmless, frozenset | set) else frozenset(harmless)
    return all(
        word in known or (word.isalpha() and any(word in other for other in known))
        for word in words_of(text)
    )

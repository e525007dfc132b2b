"""Looking for needles in one text of the output."""

import re
from collections.abc import Iterator

from anonymizer.gate.sought import SHORTEST_SQUASHED, Needles, Origin
from anonymizer.gate.spellings import compared, date_spellings, squashed, stands_alone, words_of

_MOST_JOINED = 5
_UID = re.compile(r"\d+(?:\.\d+)+")


def find_in(text: str, needles: Needles) -> Origin | None:
    """Find a value of the input in a text: as a whole, by a word, a date, a UID, or run together.

    Parameters
    ----------
    text
        One value, as it stands in the output.
    needles
        What must not be in it.
    """
    lowered = compared(text).strip(" \0")
    if not lowered:
        return None
    return (
        needles.phrases.get(lowered)
        or needles.shorts.get(lowered)
        or _word(lowered, needles)
        or _uid(lowered, needles)
        or _date(lowered, needles)
        or _run_together(lowered, needles)
    )


def find_patient_in(text: str, needles: Needles) -> Origin | None:
    """Find the patient in a text that an option keeps: a number, the name, or two words of it."""
    words = frozenset(words_of(text)) | frozenset(_joined(text))
    for named, origin in needles.patients.items():
        if len(named & words) >= min(2, len(named)):
            return origin
    return None


def find_whole(text: str, needles: Needles) -> Origin | None:
    """Find a text that is a value of the input as a whole."""
    lowered = compared(text).strip(" \0")
    return needles.phrases.get(lowered) or needles.squashed.get(squashed(lowered))


def _joined(text: str) -> Iterator[str]:
    """Join neighbouring words of a text, as a value with separators is compared."""
    words = words_of(text)
    for count in range(2, _MOST_JOINED + 1):
        yield from ("".join(words[one : one + count]) for one in range(len(words) - count + 1))


def _word(lowered: str, needles: Needles) -> Origin | None:
    return next((needles.words[word] for word in words_of(lowered) if word in needles.words), None)


def _uid(lowered: str, needles: Needles) -> Origin | None:
    found = (needles.uids.get(uid) for uid in _UID.findall(lowered))
    return next((origin for origin in found if origin is not None), None)


def _date(lowered: str, needles: Needles) -> Origin | None:
    if not any(letter.isdigit() for letter in lowered):
        return None
    for date, origin in needles.dates.items():
        if any(_holds(lowered, spelling) for spelling in date_spellings(*date)):
            return origin
    return None


def _holds(text: str, spelling: str) -> bool:
    place = text.find(spelling)
    while place >= 0:
        before = text[max(0, place - 1) : place].encode()
        after = text[place + len(spelling) :][:1].encode()
        if stands_alone(before, spelling.encode(), after) or not _is_longer(text, place, spelling):
            return True
        place = text.find(spelling, place + 1)
    return False


def _is_longer(text: str, place: int, spelling: str) -> bool:
    """Whether digits around make a number of it other than a date with a time behind."""
    before = re.search(r"\d\.?$", text[:place])
    behind = re.match(r"\d*", text[place + len(spelling) :])
    digits = len(behind.group()) if behind else 0
    return before is not None or digits not in (0, 2, 4, 6)


def _run_together(lowered: str, needles: Needles) -> Origin | None:
    plain = squashed(lowered)
    joined = frozenset(_joined(lowered))
    for needle, origin in needles.squashed.items():
        is_long = len(needle) >= SHORTEST_SQUASHED or not needle.isascii()  # ideographs say more
        if needle in (plain if is_long else joined):
            return origin
    return None

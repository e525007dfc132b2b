"""What the gate looks for: every value of the input that must not be in the output.

A needle is a whole value or a word of one, never written anywhere; the report counts them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pydicom.charset import python_encoding

from anonymizer.part10.elements import STRING_VRS, Element, Header, text
from anonymizer.profile.decide import Action, keyword
from anonymizer.pseudonyms import is_registered
from anonymizer.rewrite.plan import Planned, walk
from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

SHORTEST_WORD = 4
SHORTEST_IN_BYTES = 8
"""Shorter ones meet their like among arbitrary bytes by chance; they are sought in texts only."""

_OURS = frozenset((IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME))
_CHARSET = 0x00080005
_ICC_PROFILE = 0x00282000
_STAY = frozenset((Action.KEEP, Action.TIME, Action.TIMEZONE, Action.CONSTANT, Action.RECURSE))
_BLOBS = frozenset(("OB", "OW", "UN"))
_NOT_SOUGHT = frozenset(("AS", "DS", "IS", "TM", "UI"))  # numbers and times name nobody
_WORD = re.compile(r"[^\W_]+")
_RUN = re.compile(rb"[\x20-\x7e]{6,}")
_LARGEST_BLOB_BYTES = 1 << 20
_DATE_FORMS = (
    "{y}{m}{d}",
    "{y}-{m}-{d}",
    "{y}/{m}/{d}",
    "{d}.{m}.{y}",
    "{d}/{m}/{y}",
    "{m}/{d}/{y}",
    "{d}-{m}-{y}",
    "{m}-{d}-{y}",
    "{d}{m}{y}",
    "{m}{d}{y}",
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in the input a value stood, and by which rule it had to go."""

    path: str
    rule: str

    def sentence(self, place: str) -> str:
        """Say that something of it was found at a place; the value is not said."""
        return (
            f"Something of {self.path} in the original is still in {place} of the de-identified"
            f" object (rule {self.rule})."
        )


@dataclass(slots=True)
class Needles:
    """Values of one slide's input, lower-case, each with where it came from."""

    uids: dict[str, Origin] = field(default_factory=dict)
    dates: dict[str, Origin] = field(default_factory=dict)
    """Dates in every form in which people write them."""
    phrases: dict[str, Origin] = field(default_factory=dict)
    """Whole values."""
    words: dict[str, Origin] = field(default_factory=dict)
    too_short: int = 0
    """Values of fewer than four characters, which nothing can look for."""

    def __len__(self) -> int:
        return len(self.uids) + len(self.dates) + len(self.phrases) + len(self.words)


def needles_of(headers: Iterable[tuple[Header, Sequence[Planned]]]) -> Needles:
    """Collect the needles of a slide from the headers of all its images, the dropped ones too."""
    needles = Needles()
    for header, planned in headers:
        encodings = _encodings(header)
        for one in walk(planned):
            if one.decision.action not in _STAY and one.element.tag != _ICC_PROFILE:
                origin = Origin(one.path, one.decision.rule)
                for element in _leaves(one.element):
                    _add(needles, element, origin, encodings)
        for element in header.meta:
            if text(element.value) in _OURS:  # our receiver wrote the file, and so do we
                continue
            _add(needles, element, Origin(keyword(element.tag), "E.1.1"), encodings)
    return needles


def words_of(value: str) -> list[str]:
    """Lower-case words of a text."""
    return _WORD.findall(value.lower())


def _leaves(element: Element) -> Iterator[Element]:
    if element.items is None:
        yield element
        return
    for item in element.items:
        for inner in item:
            yield from _leaves(inner)


def _add(needles: Needles, element: Element, origin: Origin, encodings: Sequence[str]) -> None:
    if element.vr == "UI":
        uids = [uid for uid in text(element.value).split("\\") if uid and not is_registered(uid)]
        needles.uids.update(dict.fromkeys(uids, origin))
    for value in _texts(element, encodings):
        for one in value.split("\\"):
            _add_text(needles, one.strip(" \0"), origin)


def _texts(element: Element, encodings: Sequence[str]) -> Iterable[str]:
    """Texts in a value: the value itself, or the readable runs of a binary one."""
    if element.vr == "CS" and not (element.tag >> 16) & 1:
        return ()  # a defined term of the standard, not a text
    if element.vr in STRING_VRS - _NOT_SOUGHT:
        return _decoded(element.value, encodings)
    if element.vr in _BLOBS and len(element.value) <= _LARGEST_BLOB_BYTES:
        return [run.decode("ascii").strip() for run in _RUN.findall(element.value)]
    return ()


def _add_text(needles: Needles, value: str, origin: Origin) -> None:
    lowered = value.lower()
    date = re.fullmatch(
        r"((?:18|19|20)\d\d)[-.]?(\d\d)[-.]?(\d\d)(\d{2,6}(\.\d+)?)?([+-]\d{4})?", lowered
    )
    if date:
        year, month, day = date.groups()[:3]
        for form in _DATE_FORMS:
            needles.dates.setdefault(form.format(y=year, m=month, d=day), origin)
        return
    if 0 < len(lowered) < SHORTEST_WORD:
        needles.too_short += 1
    if len(lowered) >= SHORTEST_WORD:
        needles.phrases.setdefault(lowered, origin)
    for word in words_of(lowered):
        if len(word) >= SHORTEST_WORD:
            needles.words.setdefault(word, origin)


def _encodings(header: Header) -> tuple[str, ...]:
    named = [python_encoding.get(one.strip()) for one in header.text(_CHARSET).split("\\")]
    known = [name for name in named if name is not None]
    return tuple(dict.fromkeys((*known, "utf-8", "latin-1")))


def _decoded(value: bytes, encodings: Sequence[str]) -> set[str]:
    """Decode a value in each encoding in which it makes sense; plain ASCII only once."""
    if value.isascii() and b"\x1b" not in value:
        return {value.decode("ascii")}
    found = set()
    for name in encodings:
        try:
            found.add(value.decode(name))
        except (UnicodeDecodeError, LookupError):
            continue
    return found

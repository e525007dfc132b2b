"""What of a reading counts as text: words that are surely words, and words of the header.

Tissue gives tesseract words of three letters at any time, and of four with little confidence; the
limits here let none of those past that were met on real slides (docs/sight.md). A word that the
header names, or one letter beside it, counts at a fifth of that.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from anonymizer.part10.elements import Element, text
from anonymizer.sight.found import Box, Reading, letters

_SURE: Final = ((4, 80.0), (3, 93.0))
"""Letters and digits that a word has at least, and its confidence then."""
_SHORTEST_SEED: Final = 4
_SHORTEST_FUZZY: Final = 6
"""A shorter word is too often one letter beside another by chance."""
_SHORTEST_PART: Final = 5
_LEAST_CONFIDENCE: Final = 20.0

_NAMES: Final = frozenset(
    (
        0x00080050,  # Accession Number
        0x00080080,  # Institution Name
        0x00100020,  # Patient ID
        0x00100030,  # Patient's Birth Date
        0x00101000,  # Other Patient IDs
        0x00101002,  # Other Patient IDs Sequence
        0x00200010,  # Study ID
        0x00400512,  # Container Identifier
        0x00400551,  # Specimen Identifier
        0x22000002,  # Label Text
        0x22000005,  # Barcode Value
    )
)
_DATE_DIGITS: Final = 8

Kind = Literal["barcode", "text", "value of the header"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Something that can be read; what it says is not kept."""

    kind: Kind
    box: Box


def seeds_of(headers: Iterable[Iterable[Element]]) -> frozenset[str]:
    """Collect the words that name somebody or something in the headers of a slide."""
    found: set[str] = set()
    for elements in headers:
        for value in _values(elements):
            found.update(letters(part) for part in value.replace("^", " ").split())
            found.add(letters(value))
    return frozenset(seed for seed in found if len(seed) >= _SHORTEST_SEED)


def judge(reading: Reading, seeds: frozenset[str]) -> tuple[Sighting, ...]:
    """Give what of a reading counts."""
    sights = [Sighting(kind="barcode", box=barcode.box) for barcode in reading.barcodes]
    for word in reading.words:
        plain = letters(word.text)
        likely = word.confidence >= _LEAST_CONFIDENCE
        if likely and any(is_like(plain, seed) for seed in seeds):
            sights.append(Sighting(kind="value of the header", box=word.box))
        elif any(len(plain) >= least and word.confidence >= sure for least, sure in _SURE):
            sights.append(Sighting(kind="text", box=word.box))
    return tuple(sights)


def is_like(word: str, seed: str) -> bool:
    """Whether a word is a seed, holds it, is a good part of it, or differs in one letter."""
    if len(seed) < _SHORTEST_FUZZY:
        return word == seed
    is_part = len(word) >= _SHORTEST_PART and word in seed
    return is_part or seed in word or is_one_off(word, seed)


def is_one_off(one: str, other: str) -> bool:
    """Whether two words differ by at most one letter that is missing, added or another."""
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1:
        return False
    same = next((n for n in range(len(one)) if one[n] != other[n]), len(one))
    rest = same + 1 if len(one) == len(other) else same
    return one[rest:] == other[same + 1 :]


def _values(elements: Iterable[Element]) -> Iterator[str]:
    for element in elements:
        if element.items is not None:
            for item in element.items:
                yield from _values(item)
        elif element.vr == "PN" or element.tag in _NAMES:
            for value in text(element.value).split("\\"):
                yield value
                if len(value) == _DATE_DIGITS and value.isdigit():
                    yield value[6:] + value[4:6] + value[:4]
                    yield value[4:] + value[:4]

"""Coded concepts: only codes that the standard itself lists stay, in words of our own table.

A code of a local scheme, or a code meaning that someone typed, is free text by the back door
(PS3.15 E.3.4). The table is that of pydicom: every code in the context groups of PS3.16.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, cast

from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from anonymizer.part10.elements import Element, find, items, text

CODE_VALUE = 0x00080100
CODING_SCHEME_DESIGNATOR = 0x00080102
CODE_MEANING = 0x00080104
CONTENT_ITEMS = 0x00400612  # Specimen Preparation Step Content Item Sequence

_VALUE_TYPE = 0x0040A040
_CONCEPT_NAME = 0x0040A043
_CONCEPT_CODE = 0x0040A168
_TEXT_VALUE = 0x0040A160
_SPECIMEN_IDENTIFIER = ("DCM", "121041")
_PREPARATION_GROUPS = frozenset((8103, 8109, 8110, 8111, 8112, 8113, 8114, 8115, 8130))
"""Context groups of specimen types, collection, sampling, processing, stains, fixatives, media."""
_Codes = Mapping[str, tuple[str, list[int]]]
_UNKNOWN = ("SCT", "261665006")
_LANGUAGES: Final = {
    "da": "Danish",
    "de": "German",
    "de-AT": "German (Austria)",
    "de-CH": "German (Switzerland)",
    "de-DE": "German (Germany)",
    "en": "English",
    "en-GB": "English (United Kingdom)",
    "en-US": "English (United States)",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nb": "Norwegian",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "sv": "Swedish",
    "zh": "Chinese",
}
"""Codes of RFC 5646 (CID 5000) in which reports say their language, as TID 1500 requires."""
_LONGEST_MEANING = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """A code of the table."""

    scheme: str
    value: str
    meaning: str
    groups: frozenset[int]
    """Context groups of PS3.16 that list it."""


def clean_codes(sequence: Sequence[Sequence[Element]]) -> tuple[tuple[Element, ...], ...]:
    """Keep the items whose code the table knows, written anew from the table."""
    known = [concept for concept in map(concept_of, sequence) if concept is not None]
    return tuple(code_item(concept) for concept in known)


def unknown_code() -> tuple[Element, ...]:
    """Stand in for a code that must be there (Type 1) but is not in the table."""
    return code_item(_table()[_UNKNOWN])


def standard_code(scheme: str, value: str) -> tuple[Element, ...]:
    """Write an item for a code of the table."""
    return code_item(_table()[scheme, value])


def clean_preparation(
    steps: Sequence[Sequence[Element]], specimen: Callable[[bytes], bytes]
) -> tuple[tuple[Element, ...], ...]:
    """Keep coded stain, fixative, embedding and processing of the preparation steps.

    Parameters
    ----------
    steps
        Items of Specimen Preparation Sequence (PS3.3 C.7.6.22.1.1, content of TID 8001).
    specimen
        Gives the pseudonym of a raw specimen identifier; every step names its specimen.
    """
    kept = []
    for step in steps:
        content = clean_content(items(step, CONTENT_ITEMS), _PREPARATION_GROUPS)
        if content:
            named = tuple(_specimen_items(items(step, CONTENT_ITEMS), specimen))
            kept.append((Element(CONTENT_ITEMS, "SQ", items=named + content),))
    return tuple(kept)


def clean_content(
    content: Sequence[Sequence[Element]], groups: frozenset[int] | None = None
) -> tuple[tuple[Element, ...], ...]:
    """Keep the content items of value type CODE whose name and value the table knows.

    `groups` limits the values to context groups; None means any code of the table.
    """
    kept = []
    for item in content:
        name = _only_concept(items(item, _CONCEPT_NAME))
        value = _only_concept(items(item, _CONCEPT_CODE))
        if text(find(item, _VALUE_TYPE)) != "CODE" or name is None or value is None:
            continue
        if groups is None or value.groups & groups:
            kept.append(_content_item("CODE", name, _sequence(_CONCEPT_CODE, value)))
    return tuple(kept)


def code_item(concept: Concept) -> tuple[Element, ...]:
    """Write value, scheme and meaning of a concept."""
    return (
        Element(CODE_VALUE, "SH", concept.value.encode("ascii")),
        Element(CODING_SCHEME_DESIGNATOR, "SH", concept.scheme.encode("ascii")),
        Element(CODE_MEANING, "LO", concept.meaning.encode("ascii")),
    )


def concept_of(item: Sequence[Element]) -> Concept | None:
    """Find the concept of a code item; None when the table does not know it."""
    scheme = text(find(item, CODING_SCHEME_DESIGNATOR))
    value = text(find(item, CODE_VALUE))
    if scheme == "SRT":
        modern = _table().get(("SCT", str(mapping["SRT"].get(value))))
        return modern and Concept(
            scheme=scheme, value=value, meaning=modern.meaning, groups=modern.groups
        )
    return _table().get((scheme, value))


def known_meaning(scheme: str, value: str) -> str | None:
    """Give the meaning that an item with this code has after cleaning; None for an unknown one."""
    concept = concept_of(
        (
            Element(CODING_SCHEME_DESIGNATOR, "SH", scheme.encode("ascii", "replace")),
            Element(CODE_VALUE, "SH", value.encode("ascii", "replace")),
        )
    )
    return None if concept is None else concept.meaning


def _only_concept(sequence: Sequence[Sequence[Element]]) -> Concept | None:
    return concept_of(sequence[0]) if len(sequence) == 1 else None


def _specimen_items(
    content: Sequence[Sequence[Element]], specimen: Callable[[bytes], bytes]
) -> Iterator[tuple[Element, ...]]:
    name = _table()[_SPECIMEN_IDENTIFIER]
    for item in content:
        original = find(item, _TEXT_VALUE).strip(b" \0")
        if original and _only_concept(items(item, _CONCEPT_NAME)) == name:
            yield _content_item("TEXT", name, Element(_TEXT_VALUE, "UT", specimen(original)))


def _content_item(kind: str, name: Concept, value: Element) -> tuple[Element, ...]:
    return tuple(
        sorted(
            (Element(_VALUE_TYPE, "CS", kind.encode()), _sequence(_CONCEPT_NAME, name), value),
            key=lambda element: element.tag,
        )
    )


def _sequence(tag: int, concept: Concept) -> Element:
    return Element(tag, "SQ", items=(code_item(concept),))


@cache
def _table() -> Mapping[tuple[str, str], Concept]:
    """Every code of pydicom's table; of two meanings the one that a context group lists."""
    table: dict[tuple[str, str], Concept] = {}
    for value, meaning in _LANGUAGES.items():
        _enter(table, "RFC5646", value, meaning, frozenset((5000,)))
    for scheme, by_keyword in concepts.items():
        for codes in cast("Mapping[str, _Codes]", by_keyword).values():
            for value, (meaning, groups) in codes.items():
                _enter(table, scheme, value, meaning, frozenset(groups))
    return table


def _enter(
    table: dict[tuple[str, str], Concept],
    scheme: str,
    value: str,
    meaning: str,
    groups: frozenset[int],
) -> None:
    earlier = table.get((scheme, value))
    if earlier is not None and earlier.groups:
        meaning, groups = earlier.meaning, earlier.groups | groups
    words = meaning.replace("µ", "u").encode("ascii", "replace").decode()
    table[scheme, value] = Concept(
        scheme=scheme, value=value, meaning=words[:_LONGEST_MEANING].strip(), groups=groups
    )

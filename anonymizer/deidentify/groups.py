"""Which files belong together: the images of a slide, and what was made from them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anonymizer.deidentify.objects import is_slide
from anonymizer.deidentify.subjects import subject_in
from anonymizer.part10.elements import Element, text
from anonymizer.part10.reading import read_header
from anonymizer.pseudonyms import Pseudonyms

_STUDY: Final = 0x0020000D
_SERIES: Final = 0x0020000E
_INSTANCE: Final = 0x00080018
_FRAME_OF_REFERENCE: Final = 0x00200052
_REFERENCES: Final = frozenset((_SERIES, 0x00081155))


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What of one file says where it belongs."""

    file: Path
    study: str
    is_slide: bool
    own: frozenset[str]
    """UIDs of its series and of itself, by which others name it."""
    named: frozenset[str]
    """UIDs of series and instances that it names."""
    name: str
    """Pseudonym of the slide or, of what is none, of its series by itself."""


def card_of(file: Path, pseudonyms: Pseudonyms) -> Card:
    """Read what says where a file belongs.

    A slide is a study and a container, else a study and a frame of reference.

    Raises
    ------
    RejectedError
        It cannot be read, or names nobody.
    """
    header = read_header(file)
    subject = subject_in(header, pseudonyms)
    slide = subject.container_identifier or header.text(_FRAME_OF_REFERENCE)
    own = slide if is_slide(header) else f"series {header.text(_SERIES)}"
    return Card(
        file=file,
        study=header.text(_STUDY),
        is_slide=is_slide(header),
        own=frozenset((header.text(_SERIES), header.text(_INSTANCE))),
        named=frozenset(
            uid
            for element in header.elements
            for item in element.items or ()
            for uid in _references(item)
        ),
        name=pseudonyms.identifier("other", subject.study_instance_uid, own),
    )


def names_of(cards: Sequence[Card]) -> Mapping[Path, str]:
    """Name the slide of every file: what was made from a slide goes with it."""
    slides = {(one.study, uid): one.name for one in cards if one.is_slide for uid in one.own}
    return {one.file: next(_slides_of(one, slides), one.name) for one in cards}


def _slides_of(card: Card, slides: Mapping[tuple[str, str], str]) -> Iterator[str]:
    if not card.is_slide:
        yield from sorted(
            {slides[card.study, uid] for uid in card.named if (card.study, uid) in slides}
        )


def _references(item: Iterable[Element]) -> Iterator[str]:
    for element in item:
        if element.tag in _REFERENCES:
            yield text(element.value)
        for inner in element.items or ():
            yield from _references(inner)

"""Which images of a slide may go on: those that show tissue and nothing else.

A label, an overview, a thumbnail or a localizer shows the slide's label or may do so, whatever
Burned In Annotation says. Anything whose flags or shape are in doubt counts as one of these.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from anonymizer.part10.elements import Element, Header, find, integer, items, text
from anonymizer.profile.iod import VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE
from appliance.errors import IncompleteSlide, InvalidInstance

_IMAGE_TYPE, _FRAME_TYPE = 0x00080008, 0x00089007
_SHARED, _PER_FRAME, _FRAME_TYPES = 0x52009229, 0x52009230, 0x00400710
_MATRIX_COLUMNS, _MATRIX_ROWS = 0x00480006, 0x00480007
_SPARE_PX = 2
_SPARE_SHARE = 0.03


class Doubt(StrEnum):
    """Why an image is left out."""

    FLAVOR = "its image type is not VOLUME"
    FRAMES = "a frame of it is not of type VOLUME"
    LABEL = "it does not say that the slide label is not in the image"
    ANNOTATION = "it says that annotation is burned in, or does not say that none is"
    FEATURES = "it says that a face may be recognised"
    OVERLAY = "a drawing hides in its pixels"
    SOURCE = "it was made from an image that is left out"
    PALETTE = "its colours are in a table, which may hold anything"
    UNSEEN = "nobody looks for text in single images, as Clean Pixel Data asks"
    SIZE = "it has no size"
    SHAPE = "it has another shape than the slide's largest image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The images of one slide, sorted."""

    kept: tuple[Header, ...]
    """Finest first; parts of a concatenation in their order."""
    dropped: tuple[tuple[str, Doubt], ...]
    """Image flavor as far as it is a known word, and why."""


def select(headers: Iterable[Header]) -> Selection:
    """Keep the tissue images of a slide.

    Raises
    ------
    InvalidInstance
        One is no whole-slide image.
    IncompleteSlide
        None is left.
    """
    clear: list[Header] = []
    dropped: list[tuple[str, Doubt]] = []
    for header in headers:
        if header.text(0x00080016) != VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE:
            raise InvalidInstance("An object of the slide is no whole-slide image.")
        doubt = _doubt(header)
        if doubt is None:
            clear.append(header)
        else:
            dropped.append((_flavor(header), doubt))
    clear.sort(key=_fineness)
    kept = [header for header in clear if _has_shape_of(header, clear[0])]
    dropped += [("VOLUME", Doubt.SHAPE)] * (len(clear) - len(kept))
    if not kept:
        raise IncompleteSlide("The slide has no image that surely shows only tissue.")
    return Selection(kept=tuple(kept), dropped=tuple(dropped))


def _doubt(header: Header) -> Doubt | None:
    if _values(header.value(_IMAGE_TYPE))[2:3] != ["VOLUME"]:
        return Doubt.FLAVOR
    if any(_values(value)[2:3] != ["VOLUME"] for value in _frame_types(header.elements)):
        return Doubt.FRAMES
    if header.text(0x00480010) != "NO":
        return Doubt.LABEL
    if header.text(0x00280301) not in ("NO", ""):
        return Doubt.ANNOTATION
    return None if min(_size(header)) > 0 else Doubt.SIZE


def _frame_types(elements: Sequence[Element]) -> Iterator[bytes]:
    for groups in (*items(elements, _SHARED), *items(elements, _PER_FRAME)):
        for frame_type in items(groups, _FRAME_TYPES):
            yield find(frame_type, _FRAME_TYPE)


def _flavor(header: Header) -> str:
    named = _values(header.value(_IMAGE_TYPE))[2:3]
    known = ("VOLUME", "LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER")
    return named[0] if named and named[0] in known else "other"


def _values(value: bytes) -> list[str]:
    return [one.strip() for one in text(value).split("\\")]


def _size(header: Header) -> tuple[int, int]:
    rows = integer(header.elements, _MATRIX_ROWS) or 0
    return rows, integer(header.elements, _MATRIX_COLUMNS) or 0


def _fineness(header: Header) -> tuple[int, int, int, str]:
    rows, columns = _size(header)
    part = integer(header.elements, 0x00209162) or 0
    number = integer(header.elements, 0x00200013) or 0
    return -rows * columns, part, number, header.text(0x00080018)


def _has_shape_of(header: Header, base: Header) -> bool:
    """Whether a level has the aspect of the base, two pixels and three percent aside."""
    rows, columns = _size(header)
    base_rows, base_columns = _size(base)
    expected = columns * base_rows / base_columns
    spare = _SPARE_PX * (1 + base_rows / base_columns) + _SPARE_SHARE * expected
    return abs(rows - expected) <= spare

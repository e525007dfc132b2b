"""Types of attributes (PS3.5 7.4): what the IOD asks for is there, unless the input lacked it too.

Conditions of Types 1C and 2C are not evaluated: what every data set of the input had at a path,
every data set of the output must have there.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from anonymizer.gate.tree import Piece
from anonymizer.part10.elements import PIXEL_VRS, STRING_VRS, Element, Header
from anonymizer.profile.decide import keyword
from anonymizer.profile.iod import Attribute, Shape, iod_of
from appliance.errors import InvalidInstance

_SOP_CLASS_UID = 0x00080016
_PADDING = b" \0"

Present = tuple[tuple[int, bool], ...]
"""Tags of a data set, each with whether it has a value or items."""


def lacking(header: Header) -> frozenset[str]:
    """Name the attributes that the IOD asks for and some data set of the input has not."""
    try:
        shape = iod_of(header.text(_SOP_CLASS_UID))
    except InvalidInstance:
        return frozenset()
    return frozenset(_lacking(header.elements, shape, ""))


def _lacking(elements: Sequence[Element], shape: Shape, path: str) -> Iterator[str]:
    present = tuple((one.tag, bool(one.items) or _filled(one.vr, one.value)) for one in elements)
    yield from missing(shape, present, path)
    for one in elements:
        if one.items:
            attribute = shape.attributes.get(one.tag)
            if attribute is not None and attribute.items and not attribute.items.is_code:
                for item in one.items:
                    yield from _lacking(item, attribute.items, place_of(path, one.tag))


def present_in(pieces: Sequence[Piece]) -> Present:
    """Say which attributes a data set of the output has."""
    return tuple((tag, _filled(vr, value)) for tag, vr, value in pieces)


def _filled(vr: str, value: bytes) -> bool:
    return bool(value.strip(_PADDING) if vr in STRING_VRS else value)


@lru_cache(maxsize=4096)
def missing(shape: Shape, present: Present, path: str) -> tuple[str, ...]:
    """Name the attributes of Types 1, 1C without a value, and of Types 2, 2C that are absent."""
    known: Mapping[int, bool] = dict(present)
    return tuple(
        place_of(path, tag)
        for tag, attribute in shape.attributes.items()
        if tag not in PIXEL_VRS and not _is_satisfied(attribute, tag, known)
    )


def _is_satisfied(attribute: Attribute, tag: int, known: Mapping[int, bool]) -> bool:
    kind = attribute.type[0]
    return kind == "3" or (tag in known if kind == "2" else known.get(tag, False))


@lru_cache(maxsize=65536)
def place_of(path: str, tag: int) -> str:
    """Name the place of an attribute, such as OpticalPathSequence/ICCProfile."""
    return f"{path}/{keyword(tag)}" if path else keyword(tag)

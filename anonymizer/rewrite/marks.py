"""The marks: what says that, how and by what an object was de-identified."""

from collections.abc import Iterable
from functools import cache

from anonymizer.part10.elements import Element
from anonymizer.profile.decide import Profile
from anonymizer.profile.options import CLEAN_PIXEL_DATA
from anonymizer.rewrite.codes import (
    CODE_MEANING,
    CODE_VALUE,
    CODING_SCHEME_DESIGNATOR,
    standard_code,
)
from anonymizer.rewrite.texts import UNICODE, needs_unicode
from appliance import __version__

SITE_SCHEME = "99COVERSLIP"
"""Coding scheme of the hospital's own options."""

_CONTRIBUTING_EQUIPMENT = 0x0018A001
_ROWS, _BURNED_IN = 0x00280010, 0x00280301


def marked(elements: Iterable[Element], profile: Profile) -> tuple[Element, ...]:
    """Add what says that and how the object was de-identified (PS3.15 E.1.1, PS3.3 C.7.1.1)."""
    kept = {element.tag: element for element in elements}
    earlier = kept.get(_CONTRIBUTING_EQUIPMENT)
    equipment = (*((earlier.items if earlier else None) or ()), _equipment())
    codes = *map(_standard, profile.method_codes), *map(_site_option, profile.site_rules.options)
    for mark in (
        Element(0x00120062, "CS", b"YES"),
        Element(0x00120063, "LO", "\\".join(profile.method_text).encode("ascii")),
        Element(0x00120064, "SQ", items=codes),
        Element(_CONTRIBUTING_EQUIPMENT, "SQ", items=equipment),
        Element(0x00280303, "CS", profile.temporal.encode("ascii")),
    ):
        kept[mark.tag] = mark
    if CLEAN_PIXEL_DATA in profile.options and _ROWS in kept:
        kept[_BURNED_IN] = Element(_BURNED_IN, "CS", b"NO")  # PS3.15 E.3.1
    if profile.keeps_more and needs_unicode(tuple(kept.values())):
        kept[UNICODE.tag] = UNICODE
    return tuple(sorted(kept.values(), key=lambda one: one.tag))


@cache
def _equipment() -> tuple[Element, ...]:
    purpose = standard_code("DCM", "109104")  # De-identifying Equipment, CID 7005
    return (
        Element(0x00080070, "LO", b"Coverslip"),
        Element(0x00081090, "LO", b"Coverslip"),
        Element(0x00181020, "LO", __version__.encode("ascii")),
        Element(0x0040A170, "SQ", items=(purpose,)),
    )


def _site_option(name: str) -> tuple[Element, ...]:
    """Code of an option of the hospital: a local one, since CID 7050 has none for it."""
    return (
        Element(CODE_VALUE, "SH", name.encode("ascii")),
        Element(CODING_SCHEME_DESIGNATOR, "SH", SITE_SCHEME.encode("ascii")),
        Element(CODE_MEANING, "LO", f"Site option {name}".encode("ascii")),
    )


def _standard(code: str) -> tuple[Element, ...]:
    return standard_code("DCM", code)

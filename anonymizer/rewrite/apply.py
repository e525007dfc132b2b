"""Carrying a plan out: a new data set, attribute by attribute, and the marks that say so."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from anonymizer.part10.elements import Element
from anonymizer.pixels.icc import srgb_profile
from anonymizer.profile.decide import EDITION, Action, Profile, keyword
from anonymizer.pseudonyms import Pseudonyms, Subject
from anonymizer.rewrite import values
from anonymizer.rewrite.codes import (
    clean_codes,
    clean_content,
    clean_preparation,
    standard_code,
    unknown_code,
)
from anonymizer.rewrite.plan import Planned
from appliance import __version__
from appliance.errors import IdentityDoubt

_CONTRIBUTING_EQUIPMENT = 0x0018A001
_SPECIMEN_DESCRIPTION = "SpecimenDescriptionSequence"
_SPECIMEN_IDENTIFIER = 0x00400551
_SAME_VR = (frozenset(("US", "SS")), frozenset(("OB", "OW")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacements:
    """What identifiers of one slide are replaced with."""

    pseudonyms: Pseudonyms
    subject: Subject
    specimens: Mapping[bytes, bytes]
    """Pseudonym of each specimen identifier, by its raw value without padding."""

    def specimen(self, original: bytes) -> bytes:
        """Pseudonym of a specimen that a preparation step names, this slide's or an earlier one."""
        known = self.specimens.get(original)
        if known is not None:
            return known
        words = original.decode("latin-1")
        return self.pseudonyms.identifier("specimen_identifier", "", words).encode("ascii")


def specimens_of(planned: Iterable[Planned], subject: Subject) -> dict[bytes, bytes]:
    """Join the raw specimen identifiers of a plan with the pseudonyms of the subject.

    Raises
    ------
    IdentityDoubt
        There are more of the ones than of the others.
    """
    found = [
        inner.element.value.strip(b" \0")
        for one in planned
        if one.path == _SPECIMEN_DESCRIPTION
        for item in one.items
        for inner in item
        if inner.element.tag == _SPECIMEN_IDENTIFIER
    ]
    if len(found) != len(subject.specimen_identifiers):
        raise IdentityDoubt("The specimens of the slide cannot be told apart.")
    return {
        value: pseudonym.encode("ascii")
        for value, pseudonym in zip(found, subject.specimen_identifiers, strict=True)
    }


def apply(planned: Iterable[Planned], replacements: Replacements) -> tuple[Element, ...]:
    """Build the new data set of a plan, without the marks."""
    made = (_made(one, replacements) for one in planned)
    return tuple(sorted((one for one in made if one is not None), key=lambda one: one.tag))


def marked(elements: Iterable[Element], profile: Profile) -> tuple[Element, ...]:
    """Add what says that and how the object was de-identified (PS3.15 E.1.1, PS3.3 C.7.1.1)."""
    kept = {element.tag: element for element in elements}
    earlier = kept.get(_CONTRIBUTING_EQUIPMENT)
    equipment = (*((earlier.items if earlier else None) or ()), _equipment())
    method = f"Coverslip\\{EDITION}\\Basic Profile"
    for mark in (
        Element(0x00120062, "CS", b"YES"),
        Element(0x00120063, "LO", method.encode("ascii")),
        Element(0x00120064, "SQ", items=tuple(_method(code) for code in profile.method_codes)),
        Element(_CONTRIBUTING_EQUIPMENT, "SQ", items=equipment),
        Element(0x00280303, "CS", profile.temporal.encode("ascii")),
    ):
        kept[mark.tag] = mark
    return tuple(sorted(kept.values(), key=lambda one: one.tag))


def words_written(profile: Profile) -> frozenset[str]:
    """Words that the marks bring in, which therefore tell nothing about the input."""
    texts = [element.value for item in _equipment() for element in _leaves(item)]
    texts += [
        element.value for code in profile.method_codes for one in _method(code) for element in [one]
    ]
    words = b" ".join(texts).decode("ascii").lower().replace("-", " ").split()
    return frozenset(words) | {"coverslip", "dicom", "ps3", "basic", "profile", "2026d"}


def _leaves(element: Element) -> list[Element]:
    if element.items is None:
        return [element]
    return [leaf for item in element.items for inner in item for leaf in _leaves(inner)]


@cache
def _equipment() -> tuple[Element, ...]:
    purpose = standard_code("DCM", "109104")  # De-identifying Equipment, CID 7005
    return (
        Element(0x00080070, "LO", b"Coverslip"),
        Element(0x00081090, "LO", b"Coverslip"),
        Element(0x00181020, "LO", __version__.encode("ascii")),
        Element(0x0040A170, "SQ", items=(purpose,)),
    )


def _method(code: str) -> tuple[Element, ...]:
    return standard_code("DCM", code)


def _made(one: Planned, replacements: Replacements) -> Element | None:
    element = _in_known_vr(one)
    if element is None:
        return _without(one)
    made = _MAKERS[one.decision.action](one, element, replacements)
    return _without(one) if made is None else made


def _in_known_vr(one: Planned) -> Element | None:
    """Give the element in the VR of the IOD; None when it is of another, or of no use."""
    if one.attribute is None or one.decision.action is Action.REMOVE:
        return None
    element, vr = one.element, one.attribute.vr
    if element.vr == vr or {element.vr, vr} in _SAME_VR:
        return element
    return Element(element.tag, vr, element.value) if element.vr == "UN" and vr != "SQ" else None


def _without(one: Planned) -> Element | None:
    """Leave an attribute out, or as empty or meaningless as its Type allows."""
    if one.attribute is None or one.decision.action is Action.REMOVE:
        return None
    vr, tag = one.attribute.vr, one.element.tag
    needed = one.attribute.type[0]
    if vr == "SQ":
        if needed == "1" and one.attribute.items and one.attribute.items.is_code:
            return Element(tag, "SQ", items=(unknown_code(),))
        return Element(tag, "SQ", items=()) if needed != "3" else None
    if needed == "3":
        return None
    return Element(tag, vr, values.dummy(vr) if needed == "1" else b"")


Maker = Callable[[Planned, Element, Replacements], Element | None]


def _valued(change: Callable[[Element, Planned, Replacements], bytes | None]) -> Maker:
    def make(one: Planned, element: Element, replacements: Replacements) -> Element | None:
        if not element.value:
            return element
        value = change(element, one, replacements)
        return None if value is None else Element(element.tag, element.vr, value)

    return make


def _with_items(
    change: Callable[[Planned, Replacements], tuple[tuple[Element, ...], ...]],
) -> Maker:
    def make(one: Planned, element: Element, replacements: Replacements) -> Element | None:
        if not element.items:
            return element
        changed = change(one, replacements)
        return Element(element.tag, "SQ", items=changed) if changed else None

    return make


def _emptied(_one: Planned, element: Element, _replacements: Replacements) -> Element:
    return Element(element.tag, element.vr, items=None if element.items is None else ())


def _recursed(one: Planned, _element: Element, replacements: Replacements) -> Element:
    inside = tuple(apply(item, replacements) for item in one.items)
    return Element(one.element.tag, "SQ", items=inside)


def _remapped(element: Element, _one: Planned, replacements: Replacements) -> bytes:
    originals = element.value.decode("latin-1").strip(" \0").split("\\")
    return "\\".join(replacements.pseudonyms.uid(uid) if uid else "" for uid in originals).encode()


def _pseudonym(element: Element, one: Planned, replacements: Replacements) -> bytes | None:
    subject = replacements.subject
    if one.decision.detail == "specimen_identifier":
        return replacements.specimens.get(element.value.strip(b" \0"))
    known = {
        "patient_id": subject.patient_id,
        "accession_number": subject.accession_number,
        "container_identifier": subject.container_identifier,
    }
    return known[one.decision.detail].encode("ascii")


def _label(element: Element, _one: Planned, replacements: Replacements) -> bytes:
    if values.is_plain_label(element.value):
        return element.value.strip(b" \0")
    original = element.value.decode("latin-1")
    name = keyword(element.tag)
    return replacements.pseudonyms.identifier("other", name, original).encode("ascii")


_MAKERS: Mapping[Action, Maker] = {
    Action.KEEP: _valued(lambda element, _one, _to: values.kept(element.value, element.vr)),
    Action.EMPTY: _emptied,
    Action.DUMMY: lambda _one, _element, _replacements: None,
    Action.RECURSE: _recursed,
    Action.CODES: _with_items(lambda one, _: clean_codes(one.element.items or ())),
    Action.CONTENT: _with_items(lambda one, _: clean_content(one.element.items or ())),
    Action.PREPARATION: _with_items(
        lambda one, to: clean_preparation(one.element.items or (), to.specimen)
    ),
    Action.UID: _valued(_remapped),
    Action.SHIFT: _valued(
        lambda element, _one, to: values.shifted(element.value, element.vr, to.subject.shift_weeks)
    ),
    Action.TIME: _valued(lambda element, _one, _to: values.clean_time(element.value)),
    Action.TIMEZONE: _valued(lambda element, _one, _to: values.clean_timezone(element.value)),
    Action.PSEUDONYM: _valued(_pseudonym),
    Action.LABEL: _valued(_label),
    Action.VOCABULARY: _valued(
        lambda element, one, _: values.clean_words(element.value, one.decision.detail)
    ),
    Action.VERSION: _valued(lambda element, _one, _to: values.clean_version(element.value)),
    Action.CONSTANT: _valued(lambda _element, one, _to: one.decision.detail.encode("ascii")),
    Action.SRGB: _valued(lambda _element, _one, _to: srgb_profile()),
}

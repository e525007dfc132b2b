"""Carrying a plan out: a new data set, attribute by attribute."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from anonymizer.part10.elements import Element
from anonymizer.pixels.icc import profile_out
from anonymizer.profile.decide import Action, keyword
from anonymizer.pseudonyms import Domain, Pseudonyms, Subject
from anonymizer.rewrite import values
from anonymizer.rewrite.codes import (
    clean_codes,
    clean_content,
    clean_preparation,
    unknown_code,
)
from anonymizer.rewrite.content_rules import TEXT_VALUE
from anonymizer.rewrite.plan import Planned
from anonymizer.rewrite.texts import (
    TEXT_VRS,
    UNICODE,
    encodings_of,
    kept_codes,
    kept_text,
)
from appliance.errors import IdentityDoubt

_SPECIMEN_DESCRIPTION = "SpecimenDescriptionSequence"
_SPECIMEN_IDENTIFIER = 0x00400551
_ENTITIES = frozenset(
    (
        0x00080017,  # Acquisition UID
        0x00080018,  # SOP Instance UID
        0x00080019,  # Pyramid UID
        0x00081155,  # Referenced SOP Instance UID
        0x00081167,  # Multi-Frame Source SOP Instance UID
        0x0020000D,  # Study Instance UID
        0x0020000E,  # Series Instance UID
        0x00200242,  # SOP Instance UID of Concatenation Source
        0x00209161,  # Concatenation UID
        0x00400554,  # Specimen UID
        0x00620021,  # Tracking UID
    )
)
"""They name things of the hospital: a UID that the standard registers is replaced here too."""
_SAME_VR = (frozenset(("US", "SS")), frozenset(("OB", "OW")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacements:
    """What identifiers of one slide are replaced with."""

    pseudonyms: Pseudonyms
    subject: Subject
    specimens: Mapping[bytes, bytes]
    """Pseudonym of each specimen identifier, by its raw value without padding."""
    encodings: tuple[str, ...] = ()
    """Of the texts in the data set that is being written; none is plain ASCII."""
    names: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Pseudonym of each identifier of the slide, by what it names and the identifier."""

    def named(self, domain: Domain, original: bytes) -> bytes:
        """Pseudonym of an identifier that stands in the content of a report."""
        read = kept_text(original, "UT", self.encodings)
        words = original.decode("latin-1") if read is None else read.decode("utf-8")
        words = words.strip(" \0")
        name = self.names.get((domain, words)) or self.pseudonyms.identifier(domain, "", words)
        return name.encode("ascii")

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
    planned = tuple(planned)
    named = next((one.element for one in planned if one.element.tag == UNICODE.tag), None)
    if named is not None:  # an item may have a character set of its own (PS3.3 C.12.1.1.2)
        replacements = replace(replacements, encodings=encodings_of(named.value))
    made = (_made(one, replacements) for one in planned)
    return tuple(sorted((one for one in made if one is not None), key=lambda one: one.tag))


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
    if one.attribute is None or one.decision.action in {Action.REMOVE, Action.TREE}:
        return None
    vr, tag = one.attribute.vr, one.element.tag
    needed = one.attribute.type[0]
    if vr == "SQ":
        if needed == "1" and one.attribute.items and one.attribute.items.is_code:
            return Element(tag, "SQ", items=(unknown_code(),))
        if needed == "1" and one.attribute.items is None:
            return Element(tag, "SQ", items=((),))  # nobody knows what has to be in its items
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


def _grown(one: Planned, element: Element, replacements: Replacements) -> Element | None:
    """Build the items of a content tree that stay; an item without children has no sequence."""
    inside = tuple(made for made in (apply(item, replacements) for item in one.items) if made)
    return Element(element.tag, "SQ", items=inside) if inside else None


def _kept(_one: Planned, element: Element, replacements: Replacements) -> Element | None:
    if element.items is not None:
        codes = kept_codes(element.items, replacements.encodings)
        return Element(element.tag, "SQ", items=codes) if codes or not element.items else None
    if not element.value:
        return element
    value = (
        kept_text(element.value, element.vr, replacements.encodings)
        if element.vr in TEXT_VRS
        else values.kept(element.value, element.vr)
    )
    return None if value is None else Element(element.tag, element.vr, value)


def _remapped(element: Element, _one: Planned, replacements: Replacements) -> bytes:
    originals = element.value.decode("latin-1").strip(" \0").split("\\")
    to = replacements.pseudonyms
    new = to.entity_uid if element.tag in _ENTITIES else to.uid
    return "\\".join(new(uid) if uid else "" for uid in originals).encode()


def _pseudonym(element: Element, one: Planned, replacements: Replacements) -> bytes | None:
    subject = replacements.subject
    if element.tag == TEXT_VALUE:
        return replacements.named(cast("Domain", one.decision.detail), element.value)
    if one.decision.detail == "specimen_identifier":
        return replacements.specimens.get(element.value.strip(b" \0"))
    if one.decision.detail == "other":
        original = element.value.decode("latin-1")
        return replacements.pseudonyms.identifier("other", keyword(element.tag), original).encode()
    known = {
        "patient_id": subject.patient_id,
        "accession_number": subject.accession_number,
        "container_identifier": subject.container_identifier,
    }
    return known[one.decision.detail].encode("ascii")


def _label(element: Element, one: Planned, replacements: Replacements) -> bytes:
    if values.is_plain_label(element.value):
        return element.value.strip(b" \0")
    original = element.value.decode("latin-1")
    name = one.decision.detail or keyword(element.tag)
    return replacements.pseudonyms.identifier("other", name, original).encode("ascii")


_MAKERS: Mapping[Action, Maker] = {
    Action.KEEP: _kept,
    Action.AGE: _valued(lambda element, _one, _to: values.capped_age(element.value)),
    Action.EMPTY: _emptied,
    Action.DUMMY: lambda _one, _element, _replacements: None,
    Action.RECURSE: _recursed,
    Action.TREE: _grown,
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
    Action.SRGB: _valued(lambda element, one, _: profile_out(element.value, one.decision.detail)),
}

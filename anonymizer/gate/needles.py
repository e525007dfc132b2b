"""Collecting the needles of a slide: from data sets by their plan, and from all that is outside.

An attribute whose value the profile keeps gives no needle; every other one does, at any depth,
private and unknown ones too, and whatever part of it is not planned because it goes as a whole.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta

from anonymizer.gate.conformity import lacking
from anonymizer.gate.outside import texts_outside
from anonymizer.gate.readable import LARGEST_BLOB_BYTES, decoded, encodings_of, pieces, texts_in
from anonymizer.gate.sought import SHORTEST_WORD, Kept, Needles, Origin
from anonymizer.gate.spellings import compared, dates_in, words_of
from anonymizer.part10.elements import STRING_VRS, Element, Header, text
from anonymizer.pixels.icc import is_reviewed, srgb_profile
from anonymizer.profile.decide import STAYS, Action, keyword
from anonymizer.pseudonyms import Subject, is_registered
from anonymizer.quiet import quiet_pydicom
from anonymizer.rewrite.plan import Planned, walk
from anonymizer.rewrite.values import is_term
from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_OURS = frozenset((IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME))
_CHARSET = 0x00080005
_ICC_PROFILE = 0x00282000
_PATIENT = frozenset((0x00100010, 0x00100020, 0x00101000, 0x00101001, 0x00101005))
"""Names and numbers of the patient."""
_AS_THEY_ARE = STAYS - {Action.CONSTANT, Action.RECURSE, Action.TREE}
_DATES = frozenset(("DA", "DT"))
_DIGITS = frozenset(("DS", "IS"))
_BLOBS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_TEXTS = STRING_VRS - _DATES - _DIGITS - {"AS", "TM", "UI"}  # ages and times name nobody
_URGENCY = {"PN": 0, "DA": 2, "DT": 2, "UI": 3} | dict.fromkeys(_BLOBS, 4)
"""Names come first: when there are very many values, the last are sought in fewer spellings."""
_UID = re.compile(r"(?<![\d.])[0-2](?:\.(?:0|[1-9]\d*)){4,}(?![\d.])")
_LONG_NUMBER = re.compile(r"[+-]?(\d{6,})(?:\.0*)?")
_MEASURE = re.compile(r"[+-]?\d+\.\d+|\d{1,2}:\d\d(:\d\d(\.\d+)?)?")
"""Decimal fractions and times of day in longer texts, as scanners write them, name nobody."""
_DAY = re.compile(r"(\d{4})[.-]?(\d\d)?[.-]?(\d\d)?")


def needles_of(
    headers: Iterable[tuple[Header, Sequence[Planned]]], subjects: Iterable[Subject] = ()
) -> Needles:
    """Collect the needles of a slide.

    Parameters
    ----------
    headers
        Headers of all its files, also of those that are left out, with their plans.
    subjects
        Who they belong to; without one, dates are only looked for, their shift is not audited.

    Raises
    ------
    IdentityDoubt
        There are more values than can be looked for.
    """
    known = list(headers)
    who = list(subjects)
    weeks = {subject.shift_weeks for subject in who}
    needles = Needles(
        pseudonyms=frozenset(name for subject in who for name in _pseudonyms(subject)),
        shift_weeks=weeks.pop() if len(weeks) == 1 else None,
        lacking=frozenset(path for header, _ in known for path in lacking(header)),
    )
    with quiet_pydicom():
        for header, planned in known:
            _keep(needles, header, planned)
        for header, planned in known:
            _seek(needles, header, planned)
            _seek_outside(needles, header)
    return needles


def _pseudonyms(subject: Subject) -> tuple[str, ...]:
    return (
        subject.patient_id,
        subject.accession_number,
        subject.container_identifier,
        *subject.specimen_identifiers,
    )


def _keep(needles: Needles, header: Header, planned: Iterable[Planned]) -> None:
    """Note what stays by right, before anything is looked for."""
    encodings = encodings_of(header.text(_CHARSET))
    kept = needles.kept
    for one in walk(planned):
        action = one.decision.action
        if action is Action.LABEL:
            kept.labels.add(text(one.element.value))
        for element, inner in _leaves(one.element, encodings) if not one.items else ():
            if element.vr in _DATES:
                kept.dates.update(_dates_out(element.value, action, needles.shift_weeks))
            elif action in _AS_THEY_ARE:
                _keep_value(kept, element, inner)


def _keep_value(kept: Kept, element: Element, encodings: Sequence[str]) -> None:
    if element.vr == "UI":
        kept.uids.update(text(element.value).split("\\"))
    elif element.vr in _TEXTS - {"CS"}:
        for value in _values(element, encodings):
            kept.texts.add(compared(value))
            kept.words.update(words_of(value))


def _dates_out(
    value: bytes, action: Action, shift_weeks: int | None
) -> Iterator[tuple[str, str, str]]:
    """Dates to which a value leads: itself when it stays, or so many weeks before."""
    for one in text(value).split("\\"):
        match = _DAY.match(one)
        if match is None:
            continue
        year, month, day = (part or "01" for part in match.groups())
        if action in _AS_THEY_ARE:
            yield year, month, day
        elif shift_weeks is not None:
            try:
                moved = date(int(year), int(month), int(day)) - timedelta(weeks=shift_weeks)
            except (ValueError, OverflowError):
                continue
            yield f"{moved.year:04d}", f"{moved.month:02d}", f"{moved.day:02d}"


def _seek(needles: Needles, header: Header, planned: Iterable[Planned]) -> None:
    encodings = encodings_of(header.text(_CHARSET))
    found: dict[tuple[int, str, bytes], tuple[Element, Origin, Sequence[str]]] = {}
    for one in walk(planned):
        if not one.items and one.decision.action not in _AS_THEY_ARE:
            origin = Origin(one.path, one.decision.rule)
            for element, inner in _leaves(one.element, encodings):
                is_profile = element.tag == _ICC_PROFILE
                stays = is_profile and is_reviewed(element.value, one.decision.detail)
                if not stays and not _is_code_of_study(one, element, needles):
                    key = element.tag, element.vr, element.value
                    found.setdefault(key, (element, origin, inner))
    for element, origin, inner in sorted(
        found.values(), key=lambda one: _URGENCY.get(one[0].vr, 1)
    ):
        _add(needles, element, origin, inner)
    for element in header.meta:
        if text(element.value) not in _OURS:  # our receiver wrote the file, and so do we
            _add(needles, element, Origin(keyword(element.tag), "E.1.1"), encodings)


def _is_code_of_study(one: Planned, element: Element, needles: Needles) -> bool:
    """Whether the scanner was told the pseudonym that the study gave: it names nobody there."""
    identifies = one.decision.action is Action.PSEUDONYM or element.vr == "PN"
    return not identifies and text(element.value).strip(" \0") in needles.pseudonyms


def _seek_outside(needles: Needles, header: Header) -> None:
    for place, found in texts_outside(header):
        for value in pieces(found):
            needles.add_text(value, Origin(place, "E.1.1"))


def _leaves(element: Element, encodings: Sequence[str]) -> Iterator[tuple[Element, Sequence[str]]]:
    """Give the values in an element, each with the character set of its data set."""
    if element.items is None:
        yield element, encodings
        return
    for item in element.items:
        own = next((text(inner.value) for inner in item if inner.tag == _CHARSET), "")
        for inner in item:
            yield from _leaves(inner, encodings_of(own) if own else encodings)


Adder = Callable[[Needles, Element, Origin, Sequence[str]], None]


def _add(needles: Needles, element: Element, origin: Origin, encodings: Sequence[str]) -> None:
    adder = _ADDERS.get(element.vr)
    if element.value and adder is not None and not _is_of_terms(element):
        adder(needles, element, origin, encodings)


def _is_of_terms(element: Element) -> bool:
    """Whether a value is nothing but terms that the standard defines, and so no text."""
    is_public = element.vr == "CS" and not (element.tag >> 16) & 1
    return is_public and all(map(is_term, element.value.split(b"\\")))


def _add_numbers(needles: Needles, element: Element, origin: Origin, _: Sequence[str]) -> None:
    for one in text(element.value).split("\\"):
        if _LONG_NUMBER.fullmatch(one.strip()):
            needles.add_text(one.strip().split(".")[0].lstrip("+-"), origin)


def _add_dates(needles: Needles, element: Element, origin: Origin, _: Sequence[str]) -> None:
    for one in dates_in(text(element.value)):
        needles.add_date(one, origin)


def _add_texts(
    needles: Needles, element: Element, origin: Origin, encodings: Sequence[str]
) -> None:
    is_person = element.vr == "PN"
    for value in _values(element, encodings):
        if _MEASURE.fullmatch(value) and len(value) < len(element.value.strip(b" \0")):
            continue
        needles.add_text(value, origin, is_person=is_person)
        if element.tag in _PATIENT:
            needles.add_patient(value, origin, is_person=is_person)
        _add_uids(needles, value, origin)
    for value in decoded(element.value.strip(b" \0"), encodings):
        needles.add_raw(element.value.strip(b" \0"), value, origin)


def _add_blob(needles: Needles, element: Element, origin: Origin, _: Sequence[str]) -> None:
    if len(element.value) > LARGEST_BLOB_BYTES:
        needles.not_sought["in what follows the first MiB of a binary value"] += 1
    own = srgb_profile() if element.tag == _ICC_PROFILE else b""
    for found in texts_in(element.value):
        for value in pieces(found):
            if not _MEASURE.fullmatch(value) and value.encode("utf-8") not in own:
                needles.add_text(value, origin)
                _add_uids(needles, value, origin)


def _values(element: Element, encodings: Sequence[str]) -> Iterator[str]:
    """Give the values of a text, and the pieces of one that is XML, JSON or a list."""
    for whole in decoded(element.value, encodings):
        if element.vr in ("LT", "ST", "UT", "UR"):  # of one value, which may hold a backslash
            yield from pieces(whole)
        for one in whole.split("\\"):
            yield from pieces(one)


def _add_uid_values(needles: Needles, element: Element, origin: Origin, _: Sequence[str]) -> None:
    _add_uids(needles, text(element.value), origin)


def _add_uids(needles: Needles, value: str, origin: Origin) -> None:
    for uid in value.split("\\"):
        if len(uid) >= SHORTEST_WORD and set(uid) <= set("0123456789.") and "." in uid:
            _add_uid(needles, uid, origin)
    for uid in _UID.findall(value):
        _add_uid(needles, uid, origin)


def _add_uid(needles: Needles, uid: str, origin: Origin) -> None:
    if uid not in _OURS and not is_registered(uid):
        needles.add_uid(uid, origin)


_ADDERS: Mapping[str, Adder] = {
    **dict.fromkeys(_BLOBS, _add_blob),
    **dict.fromkeys(_TEXTS, _add_texts),
    **dict.fromkeys(_DATES, _add_dates),
    **dict.fromkeys(_DIGITS, _add_numbers),
    "UI": _add_uid_values,
}

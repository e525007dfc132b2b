"""The form that a value of the output must have, by the action of its rule.

Written anew rather than shared with what made the values: a fault there must not hide here.
"""

import re
from collections.abc import Callable, Mapping

from anonymizer.gate.sought import Needles
from anonymizer.gate.spellings import compared, words_of
from anonymizer.pixels.icc import srgb_profile
from anonymizer.profile.decide import Action, Decision, vocabulary

Form = Callable[[str, Decision, Needles], bool]
"""Whether one value, without padding, has the form that its rule asks for."""

SIZES: Mapping[str, int] = {
    "AT": 4,
    "FL": 4,
    "FD": 8,
    "SL": 4,
    "SS": 2,
    "SV": 8,
    "UL": 4,
    "US": 2,
    "UV": 8,
    "OF": 4,
    "OD": 8,
    "OL": 4,
    "OV": 8,
    "OW": 2,
}
"""Bytes of one value of a binary VR (PS3.5 6.2)."""

_DUMMIES = {
    "AE": ("REMOVED",),
    "AS": ("000Y",),
    "CS": ("REMOVED",),
    "DA": ("19000101",),
    "DS": ("0",),
    "DT": ("19000101000000",),
    "IS": ("0",),
    "PN": ("REMOVED",),
    "TM": ("000000",),
    "UR": ("urn:removed",),
}
_PLAIN: Mapping[str, re.Pattern[str]] = {
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9_ ]{0,16}"),
    "DA": re.compile(r"\d{8}"),
    "DS": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"),
    "DT": re.compile(r"\d{4}(\d\d){0,5}(\.\d{1,6})?([+-]\d{4})?"),
    "IS": re.compile(r"[+-]?\d{1,12}"),
    "TM": re.compile(r"\d\d(:?\d\d(:?\d\d(\.\d{1,6})?)?)?"),
    "UI": re.compile(r"[0-9.]{1,64}"),
}
_LONGEST_NUMBER_BYTES = 8
_IDENTIFIER = re.compile(r"[A-Z2-7]{16}")
_SHORT_NUMBER = re.compile(r"\d{1,4}")
_VERSION = re.compile(r"[vV]?\d{1,4}(\.\d{1,4}){0,5}|[Uu]nknown")
_TIMEZONE = re.compile(r"[+-](0\d|1[0-4])(00|15|30|45)")
_VOCABULARY_SEPARATORS = re.compile(r"[\s,.()/&-]+")


def is_dummy(value: str, vr: str) -> bool:
    """Whether a value stands for nothing, where something must stand (Type 1)."""
    return value in _DUMMIES.get(vr, ("Removed",))


def is_plain(value: str, vr: str) -> bool:
    """Whether a value has the form of its VR, when that VR has one."""
    form = _PLAIN.get(vr)
    return form is None or not value or form.fullmatch(value) is not None


def has_form(value: str, decision: Decision, needles: Needles) -> bool:
    """Whether a value has the form that its rule asks for."""
    form = FORMS.get(decision.action)
    return form is None or form(value, decision, needles)


def is_canonical(value: bytes) -> bool:
    """Whether a binary value is the one that we put in, or zeros for one number or a word."""
    return value == srgb_profile() or (len(value) <= _LONGEST_NUMBER_BYTES and not any(value))


def is_pseudonym(value: str, needles: Needles) -> bool:
    """Whether a value is one of the slide's pseudonyms, or has the form of a keyed one."""
    return value in needles.pseudonyms or _IDENTIFIER.fullmatch(value) is not None


def _is_label(value: str, _decision: Decision, needles: Needles) -> bool:
    plain = _SHORT_NUMBER.fullmatch(value) is not None and value in needles.kept.labels
    return plain or is_pseudonym(value, needles)


def _is_of_vocabulary(value: str, decision: Decision, _needles: Needles) -> bool:
    known = vocabulary(decision.detail)
    words = filter(None, _VOCABULARY_SEPARATORS.split(value))
    return all(_SHORT_NUMBER.fullmatch(word) or word.lower() in known for word in words)


def _is_gone(value: str, _decision: Decision, _needles: Needles) -> bool:
    return not value


FORMS: Mapping[Action, Form] = {
    Action.EMPTY: _is_gone,
    Action.DUMMY: _is_gone,
    Action.TIMEZONE: lambda value, _rule, _: _TIMEZONE.fullmatch(value) is not None,
    Action.PSEUDONYM: lambda value, _rule, needles: is_pseudonym(value, needles),
    Action.LABEL: _is_label,
    Action.VOCABULARY: _is_of_vocabulary,
    Action.VERSION: lambda value, _rule, _: _VERSION.fullmatch(value) is not None,
    Action.CONSTANT: lambda value, rule, _: value == rule.detail,
}
"""Forms beside that of the VR; dummies aside, which any rule may leave."""

BROUGHT_BY_TABLES = frozenset(
    (Action.VOCABULARY, Action.VERSION, Action.CONSTANT, Action.TIMEZONE, Action.LABEL)
)
"""Values that are judged by their form alone: a word of a name may be a word of a table."""


def is_kept(value: str, needles: Needles) -> bool:
    """Whether an option keeps exactly this text of the input."""
    return compared(value) in needles.kept.texts or not words_of(value)

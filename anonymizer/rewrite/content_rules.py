"""What is done with one content item of a structured report (PS3.15 E.3.4, Table E.3.4-1).

The table decides about the concepts that it lists, `content_rules.json` about what it leaves open,
and an allow-list about all others: a code or a measurement stays when our table of codes knows its
name and its value, a reference and a region always, a date moves; a text or a name that no rule
knows goes. What the table replaces stays as a dummy, so that templates such as TID 1500 find what
they require.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from anonymizer.part10.elements import Element, find, items, text
from anonymizer.profile.decide import Action, Decision, Profile
from anonymizer.profile.options import FULL_DATES, MODIFIED_DATES, RETAIN_UIDS
from anonymizer.rewrite.codes import concept_of
from anonymizer.rewrite.values import clean_version, clean_words

TEXT_VALUE: Final = 0x0040A160
TARGET: Final = 0x0040DB73
"""Referenced Content Item Identifier: where another item stands in the tree, from 1."""

_VALUE_TYPE: Final = 0x0040A040
_RELATIONSHIP_TYPE: Final = 0x0040A010
_CONCEPT_NAME: Final = 0x0040A043
_CONCEPT_CODE: Final = 0x0040A168
_MEASURED_VALUE: Final = 0x0040A300
_UNITS: Final = 0x004008EA

VALUES: Final[Mapping[str, int]] = {
    "TEXT": TEXT_VALUE,
    "PNAME": 0x0040A123,
    "DATE": 0x0040A121,
    "TIME": 0x0040A122,
    "DATETIME": 0x0040A120,
    "UIDREF": 0x0040A124,
}
"""The attribute that holds the value, where it is one that may name somebody."""

_NAMED: Final = frozenset((*VALUES, "CODE", "NUM"))
"""Value types of which an item means nothing without its name (PS3.3 C.17.3.2)."""

_UNNAMED: Final = frozenset(
    ("CONTAINER", "IMAGE", "COMPOSITE", "WAVEFORM", "SCOORD", "SCOORD3D", "TCOORD")
)
_RELATIONSHIPS: Final = frozenset(
    (
        "CONTAINS",
        "HAS OBS CONTEXT",
        "HAS ACQ CONTEXT",
        "HAS CONCEPT MOD",
        "HAS PROPERTIES",
        "INFERRED FROM",
        "SELECTED FROM",
    )
)
_MOVED: Final = {"DATE": Action.SHIFT, "DATETIME": Action.SHIFT, "TIME": Action.TIME}
_KEPT: Final = Decision(action=Action.KEEP, rule="E.3.4", reason="known by its name and value")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A row of Table E.3.4-1; an empty one for a concept that it does not list."""

    action: str = ""
    options: Mapping[str, str]

    @property
    def rule(self) -> str:
        return f"E.3.4-1 {self.action}" if self.action else "E.3.4"


def value_decision(item: Sequence[Element], profile: Profile) -> Decision:
    """Decide about the value of a content item; to remove it is to remove the item."""
    kind = text(find(item, _VALUE_TYPE))
    name = concept_of(next(iter(items(item, _CONCEPT_NAME)), ()))
    why = _obstacle(item, kind, is_named=name is not None)
    if why:
        return gone("E.3.4", why)
    if name is None:
        return _KEPT
    key = f"{kind} {name.value}" if name.scheme == "DCM" else ""
    row = _rows().get(key) or _Row(options={})
    ours = _rules().get(key)
    if ours is not None:
        return ours
    if kind in _MOVED:
        return _of_date(kind, row, profile)
    if any(letter == "K" and option in profile.options for option, letter in row.options.items()):
        return Decision(action=Action.KEEP, rule=f"{row.rule}, option K", reason="an option")
    return _of_value(kind, row, profile)


def is_known_text(value: bytes) -> bool:
    """Whether a text is one that rules for content items let stay: a maker, a model, a version."""
    return clean_version(value) is not None or any(
        decision.action is Action.VOCABULARY and clean_words(value, decision.detail) is not None
        for decision in _rules().values()
    )


def value_attribute(item: Sequence[Element]) -> int | None:
    """Tag of the attribute that the decision is about; None when it is about the whole item."""
    return VALUES.get(text(find(item, _VALUE_TYPE)))


def gone(rule: str, reason: str) -> Decision:
    """Decide that something goes."""
    return Decision(action=Action.REMOVE, rule=rule, reason=reason)


def _obstacle(item: Sequence[Element], kind: str, *, is_named: bool) -> str:
    """Say why nobody can tell what an item holds; "" when somebody can."""
    if text(find(item, _RELATIONSHIP_TYPE)) not in _RELATIONSHIPS:
        return "its relationship is none of the standard"
    if (kind not in _NAMED | _UNNAMED and kind) or bool(kind) == bool(find(item, TARGET)):
        return "its value type may hold anything"
    if kind in _NAMED and not is_named:
        return "no table knows its name"
    if kind == "CODE" and concept_of(next(iter(items(item, _CONCEPT_CODE)), ())) is None:
        return "no table knows its value"
    units = [one for measured in items(item, _MEASURED_VALUE) for one in items(measured, _UNITS)]
    unknown = any(concept_of(unit) is None for unit in units)
    return "no table knows its unit" if unknown else ""


def _of_value(kind: str, row: _Row, profile: Profile) -> Decision:
    if kind == "UIDREF" and RETAIN_UIDS not in profile.options:
        return Decision(action=Action.UID, rule=row.rule, reason="keyed, as in headers")
    if kind in {"TEXT", "PNAME"}:
        if "D" in row.action:
            return Decision(action=Action.DUMMY, rule=row.rule, reason="a name or a free text")
        return gone(row.rule, "a name or a free text")
    if row.action and kind in {"CODE", "NUM", "CONTAINER"}:
        return gone(row.rule, "tells about the patient or a device")
    return _KEPT


def _of_date(kind: str, row: _Row, profile: Profile) -> Decision:
    if row.action and not row.options:
        return gone(row.rule, "a date that no option keeps")
    if FULL_DATES in profile.options:
        return Decision(action=Action.KEEP, rule=f"{row.rule}, full dates K", reason="a date")
    if MODIFIED_DATES in profile.options:
        rule = f"{row.rule}, modified dates C"
        return Decision(action=_MOVED[kind], rule=rule, reason="dates move together")
    return gone(row.rule, "no option keeps dates")


@cache
def _rows() -> Mapping[str, _Row]:
    return {
        item: _Row(action=action, options=options)
        for item, (action, options) in _content()["rows"].items()
    }


@cache
def _rules() -> Mapping[str, Decision]:
    return {
        rule["item"]: Decision(
            action=Action(rule["action"]),
            rule="content rule",
            reason=rule["why"],
            detail=rule.get("detail", ""),
        )
        for rule in _content()["rules"]
    }


@cache
def _content() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(
        files("anonymizer.profile").joinpath("content_rules.json").read_text(encoding="utf-8")
    )
    return content

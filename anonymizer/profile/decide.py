"""The profile: what to do with an attribute, by tag, at any depth, and by which rule.

Three layers, the first that speaks decides:

1. what slides never need: private and unknown attributes, overlays, curves, foreign groups;
2. `wsi_rules.json`: what Table E.1-1 misses in slides, and the manner where it leaves a choice;
3. `profile_2026d.json`: Table E.1-1 of PS3.15 2026d with the options below, compound codes
   resolved by the Type of the attribute in the IOD (Table E.1-1a).

What no rule names is kept only when its VR cannot hold free text; dates always move.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from pydicom.datadict import dictionary_has_tag, keyword_for_tag

from anonymizer.profile.iod import Attribute
from appliance.errors import ConfigError

DEFAULT_OPTIONS = (
    "clean_descriptors",
    "clean_structured_content",
    "retain_longitudinal_modified_dates",
)
"""Options of PS3.15 that always apply. Descriptors are cleaned by leaving them out."""

EDITION = "DICOM PS3.15 2026d"


class Action(StrEnum):
    """What is done with one attribute."""

    KEEP = "keep"
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    RECURSE = "recurse"
    CODES = "codes"
    PREPARATION = "preparation"
    CONTENT = "content"
    UID = "uid"
    SHIFT = "shift"
    TIME = "time"
    TIMEZONE = "timezone"
    PSEUDONYM = "pseudonym"
    LABEL = "label"
    VOCABULARY = "vocabulary"
    VERSION = "version"
    CONSTANT = "constant"
    SRGB = "srgb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with an attribute, and why."""

    action: Action
    rule: str
    reason: str
    detail: str = ""
    """Which pseudonym, vocabulary or constant."""


_NUMBERS = frozenset(("AT", "DS", "FD", "FL", "IS", "OV", "SL", "SS", "SV", "UL", "US", "UV"))
_DATES = frozenset(("DA", "DT"))
_FAMILIES = (0x50, 0x60)  # curves and overlays, (50xx,eeee) and (60xx,eeee)
_FOREIGN_GROUPS = frozenset((0x0002, 0x0004))
_BY_TYPE = {
    "1": ("D", "U", "Z", "X"),
    "1C": ("D", "U", "Z", "X"),
    "2": ("Z", "D", "U", "X"),
    "2C": ("Z", "D", "U", "X"),
    "3": ("X", "Z", "D", "U"),
}
_ACTIONS = {"X": Action.REMOVE, "Z": Action.EMPTY, "D": Action.DUMMY, "U": Action.UID}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The Basic Profile with its options.

    Attributes
    ----------
    options
        Names of the options, as the columns of Table E.1-1 are named.
    """

    options: tuple[str, ...] = DEFAULT_OPTIONS

    @property
    def method_codes(self) -> tuple[str, ...]:
        """Codes of CID 7050 for the profile and its options."""
        return ("113100", "113105", "113104", "113107")

    @property
    def temporal(self) -> str:
        """Value of Longitudinal Temporal Information Modified (PS3.15 E.3.6)."""
        return "MODIFIED"

    def decide(self, tag: int, attribute: Attribute | None) -> Decision:
        """Decide about one attribute.

        Parameters
        ----------
        tag
            Group and element as one number.
        attribute
            What the IOD says of it where it stands; None when the IOD does not have it there.
        """
        return _decide(tag, attribute)


def profile_of(options: Iterable[str]) -> Profile:
    """Make the profile with further options.

    Raises
    ------
    ConfigError
        An option is named that is not available.
    """
    for option in options:
        if option not in DEFAULT_OPTIONS:
            raise ConfigError(
                f"deidentify.options: {option} is not available; the options are"
                f" {', '.join(DEFAULT_OPTIONS)}."
            )
    return Profile()


@cache
def _decide(tag: int, attribute: Attribute | None) -> Decision:
    never = _never(tag)
    if never is not None:
        return never
    row = _table().get(tag)
    if attribute is None:
        rule = f"E.1-1 {row['basic_profile']}" if row else "unknown"
        return Decision(action=Action.REMOVE, rule=rule, reason="not part of a slide here")
    special = _rules().get(f"{tag:08X}") or _rules().get(f"{tag >> 16:04X}xxxx")
    if special is not None:
        return special
    return _by_vr(attribute) if row is None else _by_table(row, attribute)


def keyword(tag: int) -> str:
    """Name of an attribute: its keyword, or the tag when it has none."""
    if not (tag >> 16) & 1 and dictionary_has_tag(tag):
        return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _never(tag: int) -> Decision | None:
    group = tag >> 16
    if group & 1:
        return _removed("E.1-1 X", "private")
    if group >> 8 in _FAMILIES:
        return _removed("E.1-1 X", "curve or overlay")
    if group in _FOREIGN_GROUPS:
        return _removed("E.1.1", "belongs to a file or a DICOMDIR, not to an object")
    if tag & 0xFFFF == 0:
        return _removed("PS3.5 7.2", "group length, retired")
    return None


def _removed(rule: str, reason: str) -> Decision:
    return Decision(action=Action.REMOVE, rule=rule, reason=reason)


def _by_table(row: Mapping[str, Any], attribute: Attribute) -> Decision:
    code = str(row["basic_profile"])
    rule = f"E.1-1 {code}"
    if "retain_longitudinal_modified_dates" in row["options"]:
        dated = {"DA": Action.SHIFT, "DT": Action.SHIFT, "TM": Action.TIME}.get(attribute.vr)
        if dated is not None:
            return Decision(action=dated, rule=f"{rule}, modified dates C", reason="date or time")
    letters = code.replace("*", "").split("/")
    letter = next(letter for letter in _BY_TYPE[attribute.type] if letter in letters)
    action = _ACTIONS[letter]
    if attribute.items is not None and action in (Action.DUMMY, Action.UID):
        action = _inside(attribute)
    return Decision(action=action, rule=rule, reason=f"{code} at Type {attribute.type}")


def _by_vr(attribute: Attribute) -> Decision:
    rule = f"not in E.1-1, VR {attribute.vr}"
    if attribute.items is not None:
        return Decision(action=_inside(attribute), rule=rule, reason="cleaned item by item")
    if attribute.vr in _DATES:
        return Decision(action=Action.SHIFT, rule=rule, reason="dates move together")
    if attribute.vr == "TM":
        return Decision(action=Action.TIME, rule=rule, reason="times stay")
    if attribute.vr == "UI":
        return Decision(action=Action.UID, rule=rule, reason="registered UIDs stay")
    if attribute.vr in _NUMBERS or attribute.vr == "CS":
        return Decision(action=Action.KEEP, rule=rule, reason="holds no free text")
    letter = {"1": "D", "2": "Z"}.get(attribute.type[0], "X")
    return Decision(action=_ACTIONS[letter], rule=rule, reason="may hold free text")


def _inside(attribute: Attribute) -> Action:
    return Action.CODES if attribute.items and attribute.items.is_code else Action.RECURSE


@cache
def _table() -> Mapping[int, Mapping[str, Any]]:
    rows = _data("profile_2026d.json")["rows"]
    plain = [row for row in rows if "x" not in row["tag"] and "gggg" not in row["tag"]]
    return {int(row["tag"][1:5] + row["tag"][6:10], 16): row for row in plain}


@cache
def _rules() -> Mapping[str, Decision]:
    return {
        rule["tag"]: Decision(
            action=Action(rule["action"]),
            rule="slide rule",
            reason=rule["why"],
            detail=rule.get("detail", ""),
        )
        for rule in _data("wsi_rules.json")["rules"]
    }


def vocabulary(name: str) -> frozenset[str]:
    """Lower-case words that a text of this kind may keep."""
    return frozenset(_data("vocabulary.json")[name])


@cache
def _data(name: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(
        files(__package__).joinpath(name).read_text(encoding="utf-8")
    )
    return content

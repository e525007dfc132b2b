"""The tables of the profile as they are stored: Table E.1-1, the rules for slides, vocabularies."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

EDITION = "DICOM PS3.15 2026d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of Table E.1-1."""

    code: str
    """What the Basic Profile does, such as X/Z/D."""
    options: Mapping[str, str]
    """K or C by the name of the option."""

    def letter(self, kind: str) -> str:
        """Resolve the code by the Type of the attribute in the IOD (Table E.1-1a)."""
        letters = self.code.replace("*", "").split("/")
        return next(letter for letter in _BY_TYPE[kind[0]] if letter in letters)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideRule:
    """A rule of `wsi_rules.json`: what the table misses, or the manner where it leaves a choice."""

    action: str
    why: str
    detail: str
    unless: str
    """The option under which the rule does not apply and the table speaks again."""


_BY_TYPE = {"1": ("D", "U", "Z", "X"), "2": ("Z", "D", "U", "X"), "3": ("X", "Z", "D", "U")}


def row_of(tag: int) -> Row | None:
    """Row of an attribute; None when the table does not have it."""
    return _rows().get(tag)


def slide_rule_of(tag: int) -> SlideRule | None:
    """Rule for an attribute; None when there is none."""
    return _rules().get(tag)


@cache
def vocabulary(name: str) -> frozenset[str]:
    """Lower-case words that a text of this kind may keep."""
    return frozenset(_content("vocabulary.json")[name])


def safe_private_vr(creator: str, tag: int) -> str | None:
    """VR of a private element that Table E.3.10-1 calls safe; None for others."""
    known: Mapping[str, str] = _safe_private().get(creator, {})
    return known.get(f"{tag >> 16:04X}xx{tag & 0xFF:02X}")


@cache
def _safe_private() -> Mapping[str, Mapping[str, str]]:
    creators: Mapping[str, Mapping[str, str]] = _content("safe_private.json")["creators"]
    return creators


@cache
def _rows() -> Mapping[int, Row]:
    rows = _content("profile_2026d.json")["rows"]
    plain = [row for row in rows if "x" not in row["tag"] and "gggg" not in row["tag"]]
    return {
        int(row["tag"][1:5] + row["tag"][6:10], 16): Row(
            code=row["basic_profile"], options=row["options"]
        )
        for row in plain
    }


@cache
def _rules() -> Mapping[int, SlideRule]:
    return {
        int(rule["tag"], 16): SlideRule(
            action=rule["action"],
            why=rule["why"],
            detail=rule.get("detail", ""),
            unless=rule.get("unless", ""),
        )
        for rule in _content("wsi_rules.json")["rules"]
    }


def _content(name: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(
        files(__package__).joinpath(name).read_text(encoding="utf-8")
    )
    return content

"""What can be done with an attribute, and a decision to do it."""

from dataclasses import dataclass
from enum import StrEnum


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
    TREE = "tree"
    UID = "uid"
    AGE = "age"
    SHIFT = "shift"
    TIME = "time"
    TIMEZONE = "timezone"
    PSEUDONYM = "pseudonym"
    LABEL = "label"
    VOCABULARY = "vocabulary"
    VERSION = "version"
    CONSTANT = "constant"
    SRGB = "srgb"


STAYS = frozenset(
    (
        Action.KEEP,
        Action.AGE,
        Action.TIME,
        Action.TIMEZONE,
        Action.CONSTANT,
        Action.RECURSE,
        Action.TREE,
    )
)
"""Actions after which a value may stand in the output as it did in the input."""

_STRENGTH = {
    Action.REMOVE: 5,
    Action.EMPTY: 4,
    Action.DUMMY: 3,
    Action.CONSTANT: 3,
    Action.SRGB: 3,
    Action.PSEUDONYM: 2,
    **dict.fromkeys(STAYS - {Action.CONSTANT, Action.TREE}, 0),
}
"""How much an action takes away; those that are not named keep what they know to be harmless: 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with an attribute, and why."""

    action: Action
    rule: str
    reason: str
    detail: str = ""
    """Which pseudonym, vocabulary or constant."""


def removed(rule: str, reason: str) -> Decision:
    """Decide that an attribute goes."""
    return Decision(action=Action.REMOVE, rule=rule, reason=reason)


def strength(action: Action) -> int:
    """How much an action takes away: 0 nothing, 5 all."""
    return _STRENGTH.get(action, 1)

"""What a message is made of, and what happens next by itself after each kind of error."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Fate(Enum):
    """What happens next by itself after an error."""

    STOP = "stop"
    AGAIN = "again"
    ASIDE = "aside"
    NOTHING = "nothing"


FATES: Mapping[Fate, str] = MappingProxyType(
    {
        Fate.STOP: "The daemon stops, or the command ends, until a file is corrected.",
        Fate.AGAIN: "It is tried again by itself, each time after a longer while.",
        Fate.ASIDE: "It is set aside, and everything else goes on. A person decides.",
        Fate.NOTHING: "Nothing was done and nothing was changed.",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a code means."""

    title: str
    cause: str
    """Where it comes from, as far as the code alone can tell."""
    next_step: str
    """What a person can do about it."""
    fate: Fate


def tried_again(title: str, cause: str, next_step: str) -> Message:
    """Make a message of what is tried again by itself."""
    return Message(title=title, cause=cause, next_step=next_step, fate=Fate.AGAIN)


def set_aside(title: str, cause: str, next_step: str) -> Message:
    """Make a message of what a person decides about."""
    return Message(title=title, cause=cause, next_step=next_step, fate=Fate.ASIDE)


def refused(title: str, cause: str, next_step: str) -> Message:
    """Make a message of what was refused to whoever asked."""
    return Message(title=title, cause=cause, next_step=next_step, fate=Fate.NOTHING)

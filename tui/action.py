"""What an action of an operator is, and what only changes the view: values, without any doing."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from appliance.line import Role, SlideStatus, State

Question = Literal["nothing", "confirm", "reason", "note", "choice"]
"""What is asked before: nothing, yes or no, why, why if one likes, one of several."""

EVERY_STATE = frozenset(State)
NO_NAMES = "Write no patient names."


class Subject(StrEnum):
    """What an action is about."""

    SLIDE = "slide"
    ROUTE = "route"
    DAEMON = "daemon"
    NODE = "node"
    """The receiving of slides as a whole: there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several ways to do something."""

    value: str
    """What the daemon is told; nothing is done for an empty one."""
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something an operator can do."""

    name: str
    key: str
    label: str
    sentence: str
    """What it does, in one sentence."""
    role: Role
    """The role that the daemon will ask for; only the daemon decides."""
    done: str = ""
    """What was done, to follow the subject's name, where the daemon does not say it in words."""
    subject: Subject = Subject.SLIDE
    command: str = ""
    """Command at the control socket, where it is not the name."""
    at_archive: str = ""
    """Command at the daemon of an archive route, where it is another."""
    states: frozenset[State] = EVERY_STATE
    """States of a slide in which it makes sense."""
    when: Callable[[SlideStatus], bool] | None = None
    """Whether it makes sense for this slide, beside its state."""
    only: str = ""
    """That condition in words."""
    in_footer: Callable[[SlideStatus], bool] | None = None
    """For which slides the footer shows it; None for all for which it makes sense."""
    asks: Question = "nothing"
    question: str = ""
    """What is asked before it is done, with {subject} for its name."""
    choices: tuple[Choice, ...] = ()
    argument: str = "reason"
    """Name under which the answer to the question goes to the daemon."""
    rehearsed: bool = False
    """Whether the daemon is asked first what it would do, for the question."""
    daemon: str | None = None
    """The daemon that does it to a slide; None for the one that works the slide's stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Something that changes only what is shown."""

    name: str
    """Action of the application."""
    key: str
    label: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of an action, for the technician."""

    title: str
    sentence: str
    worked: bool

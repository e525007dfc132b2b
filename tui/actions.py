"""What an operator can do: one table that makes the keys, the help and the command palette.

An action on a slide goes through the control socket of the daemon that works the slide's stage;
the daemon knows who asks, decides, and writes the audit event. This side holds no rights.
"""

from dataclasses import dataclass
from typing import Literal

from appliance import control
from appliance.errors import ApplianceError, PeerUnavailable
from appliance.line import DAEMONS, Role, SlideStatus, Stage, State
from appliance.storage import Root
from tui.health import start_step

Question = Literal["nothing", "confirm", "reason"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something an operator can do to one slide."""

    name: str
    """Command at the control socket."""
    key: str
    label: str
    sentence: str
    """What it does, in one sentence."""
    done: str
    """What was done, to follow the slide's name."""
    role: Role
    """The role that the daemon will ask for; only the daemon decides."""
    states: frozenset[State]
    """States of a slide in which it makes sense."""
    asks: Question = "nothing"
    question: str = ""
    """What is asked before it is done, with {slide} for its name."""
    daemon: str | None = None
    """The daemon that does it; None for the one that works the slide's stage."""


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


ACTIONS: tuple[Action, ...] = (
    Action(
        name="retry",
        key="r",
        label="Retry",
        sentence="Put the slide back on the line now.",
        done="is back on the line.",
        role=Role.TECHNICIAN,
        states=frozenset({State.ASIDE, State.HELD, State.WAITING}),
    ),
    Action(
        name="hold",
        key="h",
        label="Hold",
        sentence="Stop the slide where it is until it is resumed.",
        done="is held.",
        role=Role.TECHNICIAN,
        states=frozenset({State.WAITING, State.RUNNING, State.ASIDE}),
    ),
    Action(
        name="resume",
        key="u",
        label="Resume",
        sentence="Let a held slide go on.",
        done="goes on.",
        role=Role.TECHNICIAN,
        states=frozenset({State.HELD}),
    ),
    Action(
        name="set_aside",
        key="x",
        label="Set aside",
        sentence="Take the slide off the line, with a reason; tiles of it that wait stay here.",
        done="is set aside.",
        role=Role.TECHNICIAN,
        states=frozenset({State.WAITING, State.RUNNING, State.HELD, State.DONE}),
        asks="reason",
        question="Why is {slide} set aside? Write no patient names.",
    ),
    Action(
        name="force_complete",
        key="c",
        label="Complete",
        sentence="Begin a slide without waiting for more objects from the scanner.",
        done="begins.",
        role=Role.TECHNICIAN,
        states=frozenset({State.RECEIVING}),
        asks="confirm",
        question="Begin {slide} now, without waiting for more objects? An object that comes later "
        "begins a new revision.",
        daemon=DAEMONS[Stage.ASSEMBLE],
    ),
)

MOVES: tuple[Move, ...] = (
    Move(
        name="find",
        key="slash",
        label="Filter",
        sentence="Show only slides, or log lines, that contain what you type; escape clears it.",
    ),
    Move(
        name="label",
        key="b",
        label="Label",
        sentence="What the slide's label says, beside the header. It is noted who looked.",
    ),
    Move(name="system", key="s", label="System", sentence="Disk, daemons, queues and routes."),
    Move(name="log", key="l", label="Log", sentence="What the daemons write, as it comes."),
    Move(name="copy", key="y", label="Copy id", sentence="Copy the slide's id to the clipboard."),
    Move(name="theme", key="t", label="Theme", sentence="Dark, light, high contrast."),
    Move(name="explain", key="question_mark", label="Help", sentence="Keys, glyphs and words."),
    Move(name="quit", key="q", label="Quit", sentence="Leave the screen; the line goes on."),
)

SHOWN_KEYS = {"slash": "/", "question_mark": "?"}
"""How keys with long names are shown."""


def action_named(name: str) -> Action:
    """Find an action by its name."""
    return next(action for action in ACTIONS if action.name == name)


def daemon_for(action: Action, slide: SlideStatus) -> str:
    """Name the daemon that does an action on a slide.

    A slide at deliver belongs to the daemon of its first route that still has something to do.
    """
    if action.daemon is not None:
        return action.daemon
    if slide.stage is not Stage.DELIVER:
        return DAEMONS[slide.stage]
    for delivery in slide.deliveries:
        if delivery.state is not State.DONE:
            return f"deliver@{delivery.route}"
    return DAEMONS[Stage.RELEASE]


def perform(
    action: Action, slide: SlideStatus, *, name: str, root: Root, reason: str = ""
) -> Answer:
    """Ask the daemon concerned, and put its answer into words; never raises for a refusal.

    Parameters
    ----------
    action, slide
        What to do to which slide.
    name
        How the technician knows the slide.
    root
        Where the control sockets are.
    reason
        Why, for the event list.
    """
    daemon = daemon_for(action, slide)
    try:
        control.call(root.socket(daemon), action.name, slide_id=slide.slide_id, reason=reason)
    except ApplianceError as error:
        return Answer(title=str(error), sentence=advice(error, daemon), worked=False)
    return Answer(title=action.label, sentence=f"{name} {action.done}", worked=True)


def advice(error: ApplianceError, daemon: str) -> str:
    """Say what to do about a refusal."""
    if isinstance(error, control.AnsweredError):
        return error.answered_next_step
    if isinstance(error, PeerUnavailable):
        return start_step(daemon)
    return error.next_step

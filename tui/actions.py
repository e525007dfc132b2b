"""What an operator can do: one table that makes the keys, the help, the footer and the palette.

An action goes through the control socket of the daemon concerned; the daemon knows who asks,
decides, and writes the audit event. This side holds no rights.
"""

from appliance.line import DAEMONS, Mark, Role, SlideStatus, Stage, State, Verdict
from tui.action import NO_NAMES, Action, Choice, Move
from tui.machine_actions import MACHINE_ACTIONS

CONFLICT = "conflicting-instance"
LABEL_MISMATCH = "label-mismatch"
JUDGED = (Verdict.RESCAN, Verdict.REVIEW)


def _asks_for_a_person(slide: SlideStatus) -> bool:
    return slide.verdict in JUDGED


def _never(_slide: SlideStatus) -> bool:
    return False


BY_VERDICT = "Only for a slide with the verdict rescan or review."

SLIDE_ACTIONS: tuple[Action, ...] = (
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
        name="mark_requested",
        key="m",
        label="Rescan asked",
        sentence="Note that the glass slide will be scanned again; others see it.",
        done="is noted: a rescan was asked for.",
        role=Role.TECHNICIAN,
        when=lambda slide: _asks_for_a_person(slide) and slide.mark is not Mark.REQUESTED,
        only=BY_VERDICT,
    ),
    Action(
        name="mark_done",
        key="M",
        label="Rescan done",
        sentence="Note that nothing more is to be done: scanned again, or looked at and good.",
        done="is noted: nothing more is to be done.",
        role=Role.TECHNICIAN,
        when=lambda slide: _asks_for_a_person(slide) and slide.mark is not Mark.DONE,
        only=BY_VERDICT,
        in_footer=lambda slide: slide.verdict is Verdict.REVIEW or slide.mark is Mark.REQUESTED,
    ),
    Action(
        name="unmark",
        key="N",
        label="Take note back",
        sentence="Take back what was noted about a rescan.",
        done="has no note any more.",
        role=Role.TECHNICIAN,
        when=lambda slide: slide.mark is not None,
        only="Only for a slide with a note about a rescan.",
        in_footer=_never,
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
        question=f"Why is {{subject}} set aside? {NO_NAMES}",
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
        question="Begin {subject} now, without waiting for more objects? An object that comes "
        "later begins a new revision.",
        daemon=DAEMONS[Stage.ASSEMBLE],
    ),
    Action(
        name="accept_label",
        key="A",
        label="Accept label",
        sentence="Say that label and header are of one slide, and let it go on.",
        done="goes on: its label is accepted.",
        role=Role.TECHNICIAN,
        states=frozenset({State.ASIDE}),
        when=lambda slide: slide.error_code == LABEL_MISMATCH,
        only="Only for a slide whose label names another one than its header.",
        asks="confirm",
        question="Are label and header of {subject} of one slide? Compare them first (b).",
        daemon=DAEMONS[Stage.DEIDENTIFY],
    ),
    Action(
        name="settle_conflict",
        key="k",
        label="Settle conflict",
        sentence="Choose which of two different objects under one identifier is right.",
        role=Role.ADMINISTRATOR,
        states=frozenset({State.ASIDE, State.HELD}),
        when=lambda slide: slide.error_code == CONFLICT,
        only="Only for a slide of which two different objects came under one identifier.",
        asks="choice",
        question="Which object of {subject} is right? The other is never used again; ask the "
        "scanner's service when in doubt.",
        choices=(
            Choice(value="", label="not now: leave both"),
            Choice(value="first", label="the one that came first"),
            Choice(value="newest", label="the one that came last"),
        ),
        argument="keep",
        daemon=DAEMONS[Stage.ASSEMBLE],
        done="goes on with the chosen object.",
    ),
    Action(
        name="purge",
        key="P",
        label="Purge originals",
        sentence="Remove the received originals of a slide that an archive holds.",
        role=Role.ADMINISTRATOR,
        states=frozenset({State.DONE}),
        asks="confirm",
        question="Remove the originals of {subject} from this machine, for ever?",
        rehearsed=True,
        in_footer=_never,
        daemon=DAEMONS[Stage.ASSEMBLE],
    ),
)

ACTIONS = SLIDE_ACTIONS + MACHINE_ACTIONS

MOVES: tuple[Move, ...] = (
    Move(
        name="find",
        key="slash",
        label="Filter",
        sentence="Show only slides, or log lines, that contain what you type; escape clears it.",
    ),
    Move(
        name="order",
        key="o",
        label="Sort",
        sentence="Sort slides by what needs you, newest, name, scanner, or time taken.",
    ),
    Move(
        name="label",
        key="b",
        label="Label",
        sentence="What the slide's label says, beside the header. It is noted who looked.",
    ),
    Move(
        name="picture",
        key="p",
        label="Picture",
        sentence="The slide picture as large as the terminal, to see where an artifact lies.",
    ),
    Move(
        name="overlay",
        key="v",
        label="Overlay",
        sentence="On a picture: the slide without what is drawn over it, and back.",
    ),
    Move(
        name="system",
        key="s",
        label="System",
        sentence="Disk, queues, daemons, scanners, routes, models and keys.",
    ),
    Move(name="log", key="l", label="Log", sentence="What the daemons write, as it comes."),
    Move(
        name="audit",
        key="a",
        label="Audit",
        sentence="Who did what to which slide, daemons and operators; of one slide from there.",
    ),
    Move(
        name="settings",
        key="comma",
        label="Settings",
        sentence="The settings file, checked, with every mistake at its line.",
    ),
    Move(name="copy", key="y", label="Copy id", sentence="Copy the slide's id to the clipboard."),
    Move(
        name="copy_error",
        key="Y",
        label="Copy sentence",
        sentence="Copy why the slide is as it is, with its id, for a mail to the service.",
    ),
    Move(
        name="theme",
        key="t",
        label="Theme",
        sentence="Dark, light, high contrast, without colour; it is kept for the next time.",
    ),
    Move(name="explain", key="question_mark", label="Help", sentence="Keys, glyphs and words."),
    Move(name="quit", key="q", label="Quit", sentence="Leave the screen; the line goes on."),
)

SHOWN_KEYS = {"slash": "/", "question_mark": "?", "comma": ","}
"""How keys with long names are shown."""


def action_named(name: str) -> Action:
    """Find an action by its name."""
    return next(action for action in ACTIONS if action.name == name)

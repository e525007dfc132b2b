"""Doing an action: which daemon it is asked of, and its answer in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance import control
from appliance.errors import ApplianceError, PeerUnavailable
from appliance.line import DAEMONS, SlideStatus, Stage, State
from appliance.storage import Root
from tui.action import Action, Answer
from tui.health import start_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom an action is about: a slide, or a daemon and what it stands for."""

    shown: str
    """How the technician knows it."""
    daemon: str = ""
    """For what is no slide: the daemon that is asked."""
    slide: SlideStatus | None = None
    is_archive: bool = False
    note: str = ""
    """What helps to choose it among others."""

    def asked_by(self, action: Action) -> str:
        """Name the daemon that an action on it is asked of."""
        return daemon_for(action, self.slide) if self.slide else self.daemon

    def command_of(self, action: Action) -> str:
        """Name the command at that daemon's control socket."""
        if self.is_archive and action.at_archive:
            return action.at_archive
        return action.command or action.name

    @property
    def arguments(self) -> dict[str, Any]:
        """What names it to the daemon."""
        return {"slide_id": self.slide.slide_id} if self.slide else {}


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


def perform(action: Action, target: Target, *, root: Root, said: str = "") -> Answer:
    """Ask the daemon concerned, and put its answer into words; never raises for a refusal.

    Parameters
    ----------
    action, target
        What to do to whom.
    root
        Where the control sockets are.
    said
        What the technician answered to the action's question.
    """
    told: dict[str, Any] = {action.argument: said} if said else {}
    answer = _call(action, target, root, told)
    if isinstance(answer, Answer):
        return answer
    words = answer.get("words") or f"{target.shown} {action.done}"
    return Answer(title=action.label, sentence=str(words), worked=True)


def rehearse(action: Action, target: Target, *, root: Root) -> str | Answer:
    """Ask the daemon what it would do, without doing it; its refusal as an answer."""
    answer = _call(action, target, root, {"dry_run": True})
    return answer if isinstance(answer, Answer) else str(answer.get("words", ""))


def _call(
    action: Action, target: Target, root: Root, told: Mapping[str, Any]
) -> dict[str, Any] | Answer:
    daemon = target.asked_by(action)
    path, command = root.socket(daemon), target.command_of(action)
    try:
        return control.call(path, command, **target.arguments, **told)
    except ApplianceError as error:
        return refusal(error, daemon)


def refusal(error: ApplianceError, daemon: str) -> Answer:
    """Say that a daemon refused or is not there, and what to do about it."""
    return Answer(title=str(error), sentence=_advice(error, daemon), worked=False)


def _advice(error: ApplianceError, daemon: str) -> str:
    if isinstance(error, control.AnsweredError):
        return error.answered_next_step
    if isinstance(error, PeerUnavailable):
        return start_step(daemon)
    return error.next_step

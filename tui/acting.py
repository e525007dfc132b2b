"""From a key to a daemon: whom an action is about, what is asked first, and the doing."""

from collections.abc import Callable
from functools import partial
from typing import Any

from textual.app import App

from appliance.line import SlideStatus
from tui.action import Action, Choice
from tui.asking import Asking
from tui.offers import targets, why_not
from tui.performing import Target
from tui.screens.ask import ChoiceScreen, ConfirmScreen, ReasonScreen
from tui.view import View

WHICH = "{label}: which one?"


class Acting:
    """Walks actions through their questions.

    Parameters
    ----------
    app
        Shows the questions.
    asking
        Does it in the end.
    view
        Gives what is known now.
    """

    def __init__(self, app: App[Any], asking: Asking, view: Callable[[], View]) -> None:
        self._app = app
        self._asking = asking
        self._view = view

    def begin(self, action: Action, slide: SlideStatus | None) -> None:
        """Do an action to the slide, or to what the technician chooses; or say why not."""
        view = self._view()
        reason = why_not(action, view, slide)
        if reason:
            self._app.notify(reason, title=action.label, severity="warning", markup=False)
            return
        found = targets(action, view, slide)
        if len(found) == 1:
            self._ask(action, found[0])
            return
        by_name = {one.shown: one for one in found}
        self._app.push_screen(
            ChoiceScreen(
                WHICH.format(label=action.label),
                tuple(
                    Choice(value=name, label=f"{name}   {one.note}".rstrip())
                    for name, one in by_name.items()
                ),
            ),
            lambda name: self._ask(action, by_name[name]) if name else None,
        )

    def _ask(self, action: Action, target: Target) -> None:
        if action.rehearsed:
            self._asking.rehearse(action, target)
        else:
            self.question(action, target)

    def question(self, action: Action, target: Target, words: str = "") -> None:
        """Ask what is to be asked, and do it then.

        Parameters
        ----------
        action, target
            What to do to whom.
        words
            What the daemon said that it would do.
        """
        question = " ".join(
            part for part in (action.question.format(subject=target.shown), words) if part
        )
        do = partial(self._asking.do, action, target)
        push = self._app.push_screen
        match action.asks:
            case "nothing":
                do()
            case "confirm":
                push(ConfirmScreen(question, action.label), lambda yes: do() if yes else None)
            case "choice":
                push(ChoiceScreen(question, action.choices), lambda one: do(one) if one else None)
            case "reason" | "note":
                push(
                    ReasonScreen(question, may_be_empty=action.asks == "note"),
                    lambda reason: None if reason is None else do(reason),
                )

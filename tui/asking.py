"""What the application asks of stores and daemons: each in a thread, the answer as a message."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from textual.app import App
from textual.message import Message

from appliance import control
from appliance.control import AnsweredError
from appliance.errors import ApplianceError
from appliance.line import Role
from appliance.storage import Root
from tui import label, names
from tui.action import Action
from tui.feed import JournalFeed
from tui.performing import Target, perform, rehearse
from tui.story import read_story
from tui.told import ask_details
from tui.view import (
    ActionAnswered,
    ActionRehearsed,
    DetailsTold,
    LabelAnswered,
    NamesLearned,
    RoleLearned,
    SlidesFound,
    StoryRead,
)


class Asking:
    """Starts the threads.

    Parameters
    ----------
    app
        Gets the answers.
    root
        Where control sockets and pictures are.
    feed
        Has the journal's reader.
    """

    def __init__(self, app: App[Any], root: Root, feed: JournalFeed) -> None:
        self._app = app
        self._root = root
        self._feed = feed

    def _start(self, group: str, work: Callable[[], Message | None], *, newest: bool) -> None:
        """Start a thread; with `newest`, one of the same group that still runs is given up."""

        def run() -> None:
            message = work()
            if message is not None:
                self._app.post_message(message)

        self._app.run_worker(run, thread=True, group=group, exclusive=newest, exit_on_error=False)

    def story(self, slide_id: str) -> None:
        """Ask for all there is about a slide."""
        self._start("story", partial(self._story, slide_id), newest=True)

    def _story(self, slide_id: str) -> Message | None:
        story = read_story(self._feed.board, self._root, slide_id)
        return None if story is None else StoryRead(story)

    def details(self, slide_id: str) -> None:
        """Ask the daemons what only they can tell of a slide."""
        self._start(
            "details",
            lambda: DetailsTold(slide_id, ask_details(self._root, slide_id)),
            newest=True,
        )

    def names(self, slide_ids: tuple[str, ...]) -> None:
        """Ask the release daemon for container identifiers."""
        self._start(
            "names",
            lambda: NamesLearned(slide_ids, names.ask(self._root, slide_ids)),
            newest=False,
        )

    def find(self, name: str) -> None:
        """Ask the node which slides have exactly this container identifier."""
        self._start("find", lambda: SlidesFound(name, names.find(self._root, name)), newest=True)

    def label(self, slide_id: str) -> None:
        """Ask what a slide's label says."""
        self._start("label", partial(self._label, slide_id), newest=True)

    def _label(self, slide_id: str) -> Message:
        read = label.ask(self._root, slide_id)
        if isinstance(read, label.LabelRead):
            return LabelAnswered(slide_id, read)
        return ActionAnswered(read)

    def do(self, action: Action, target: Target, said: str = "") -> None:
        """Ask a daemon to do something."""
        self._start(
            "action",
            lambda: ActionAnswered(perform(action, target, root=self._root, said=said)),
            newest=False,
        )

    def rehearse(self, action: Action, target: Target) -> None:
        """Ask a daemon what an action would do."""
        self._start("action", partial(self._rehearse, action, target), newest=False)

    def _rehearse(self, action: Action, target: Target) -> Message:
        words = rehearse(action, target, root=self._root)
        if isinstance(words, str):
            return ActionRehearsed(action, target, words)
        return ActionAnswered(words)

    def role(self, daemons: Iterable[str]) -> None:
        """Ask what the operator may do, of the first daemon that answers."""
        asked = tuple(daemons)
        self._start("role", lambda: _role(self._root, asked), newest=True)


def _role(root: Root, daemons: tuple[str, ...]) -> Message | None:
    for daemon in daemons:
        try:
            said = control.call(root.socket(daemon), "status").get("role")
            return RoleLearned(Role(str(said)) if said else None)
        except AnsweredError:
            return RoleLearned(None)
        except (ApplianceError, ValueError):
            continue
    return None

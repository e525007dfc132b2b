"""The system: the machine, the line, daemons, scanners, routes, models, keys and policies."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll

from appliance.stores.board import Board
from tui.action import Subject
from tui.panels import system as system_panels
from tui.screens.base import LineScreen
from tui.system_facts import FactsFeed, FactsRead, SystemFacts
from tui.view import View
from tui.widgets.bars import AlarmBar
from tui.widgets.card import Card


class SystemScreen(LineScreen):
    """Is the machine well, and where does work pile up.

    Parameters
    ----------
    view
        What is known now.
    board
        Gives the journal's reader; None asks no daemon, and shows only what it is told.
    """

    HEADING = "system"
    ACTS_ON = (Subject.ROUTE, Subject.NODE)

    def __init__(self, view: View, *, board: Callable[[], Board] | None = None) -> None:
        super().__init__(view)
        self._board = board
        self._feed: FactsFeed | None = None
        self._facts: SystemFacts | None = None

    def body(self) -> ComposeResult:
        """Put the cards beside each other where there is room."""
        with VerticalScroll(id="system"):
            yield Card("Needs attention", id="alarms")
            with Container(id="cards"):
                for column in (system_panels.LEFT, system_panels.RIGHT):
                    with Vertical(classes="column"):
                        yield from (_card(name) for name in column)
            yield from (_card(name) for name in system_panels.BELOW)

    def on_mount(self) -> None:
        """Let the keys scroll."""
        super().on_mount()
        self.query_one("#system").focus()

    def on_screen_resume(self) -> None:
        """Ask the daemons for as long as this screen is on top."""
        if self._board is not None and self._feed is None:
            self._feed = FactsFeed(self.view.settings, self._board, self.post_message)
            self.run_worker(self._feed.run, thread=True, group="facts", exit_on_error=False)

    def on_screen_suspend(self) -> None:
        """Ask no more."""
        if self._feed is not None:
            self._feed.stop()
            self._feed = None

    def on_unmount(self) -> None:
        """Ask no more."""
        self.on_screen_suspend()

    @on(FactsRead)
    def _told(self, message: FactsRead) -> None:
        self._facts = message.facts
        self.show_again()

    def render_view(self, view: View) -> None:
        """Bring every card up to date."""
        view = replace(view, system=self._facts)
        self.query_one(AlarmBar).display = False  # here all alarms stand in a card
        alarms = self.query_one("#alarms", Card)
        alarms.display = bool(view.alarms)
        alarms.show(lambda _: system_panels.alarms(view))
        for name, draw in system_panels.CARDS.items():
            self.query_one(f"#{name}", Card).show(partial(draw, view))


def _card(name: str) -> Card:
    return Card(name.capitalize(), id=name)

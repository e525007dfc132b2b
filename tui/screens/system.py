"""The system: disk, daemons, queues and routes."""

from functools import partial

from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll

from tui import system_panels
from tui.screens.base import LineScreen
from tui.view import View
from tui.widgets.card import Card


class SystemScreen(LineScreen):
    """Is the machine well, and where does work pile up."""

    HEADING = "system"

    def body(self) -> ComposeResult:
        """Put four cards, two beside each other where there is room."""
        with VerticalScroll(id="system"):
            yield Card("Needs attention", id="alarms")
            with Container(id="cards"):
                for name in system_panels.CARDS:
                    yield Card(name.capitalize(), id=name)

    def on_mount(self) -> None:
        """Let the keys scroll."""
        super().on_mount()
        self.query_one("#system").focus()

    def render_view(self, view: View) -> None:
        """Bring every card up to date."""
        alarms = self.query_one("#alarms", Card)
        alarms.display = bool(view.alarms)
        alarms.show(lambda _: system_panels.alarms(view))
        for name, draw in system_panels.CARDS.items():
            self.query_one(f"#{name}", Card).show(partial(draw, view))

"""Help, made from the same tables that make the keys and the rows."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tui.panels import help as help_panels
from tui.screens.base import LineScreen
from tui.view import View
from tui.widgets.card import Card


class HelpScreen(LineScreen):
    """Keys, glyphs and words."""

    HEADING = "help"

    def __init__(self, view: View, *, own: Mapping[str, str], own_file: Path | None) -> None:
        super().__init__(view)
        self._own = own
        self._place = str(own_file or "")

    def body(self) -> ComposeResult:
        """Put the keys first, then what the signs mean."""
        with VerticalScroll(id="help"):
            yield Card("Keys", id="keys")
            yield Card("Signs", id="legend")

    def on_mount(self) -> None:
        """Let the keys scroll."""
        super().on_mount()
        self.query_one("#legend", Card).show(help_panels.legend)
        self.query_one("#help").focus()

    def render_view(self, view: View) -> None:
        """Show the keys, and what the operator has no right to."""
        draw = partial(help_panels.keys, view, self._own, self._place)
        self.query_one("#keys", Card).show(lambda width: draw(width=width))

"""The settings: the file with its line numbers, every mistake at its line, and what runs by it."""

import threading
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message

from appliance.settings import Settings
from appliance.storage import Root
from tui.health import daemons_of
from tui.panels import settings as settings_panels
from tui.screens.base import LineScreen
from tui.settings_file import Shown, look
from tui.view import View
from tui.widgets.card import Card

LOOK_EVERY_S = 3.0
NO_FILE = "The screen was started without a settings file."


class FileRead(Message):
    """The file was read, and daemons were asked."""

    def __init__(self, shown: Shown) -> None:
        super().__init__()
        self.shown = shown

    def can_replace(self, message: Message) -> bool:
        """Only how it is now matters."""
        return isinstance(message, FileRead)


class SettingsScreen(LineScreen):
    """The settings file, checked again and again while someone corrects it.

    Parameters
    ----------
    view
        What is known now.
    path
        The file; None when the screen was started without one.
    """

    HEADING = "settings"
    ACTS_ON = ()
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "mistake", "Next mistake", tooltip="Go to the next mistake in the file."),
    ]

    def __init__(self, view: View, *, path: Path | None) -> None:
        super().__init__(view)
        self._path = path
        self._shown = Shown(unread=NO_FILE)
        self._drawn: Shown | None = None
        self._n_gone_to = 0
        self._stop = threading.Event()

    def body(self) -> ComposeResult:
        """Put the state of the file above its lines."""
        with VerticalScroll(id="settings"):
            yield Card("Settings", id="state")
            yield Card("What runs by it", id="running")
            yield Card(str(self._path or ""), id="file")

    def on_mount(self) -> None:
        """Begin to look."""
        super().on_mount()
        self.query_one("#running").display = False
        self.query_one("#settings").focus()
        if self._path is not None:
            self.run_worker(self._follow, thread=True, group="settings", exit_on_error=False)

    def on_unmount(self) -> None:
        """Stop looking."""
        self._stop.set()

    def _follow(self) -> None:
        settings: Settings = self.view.settings
        path = self._path
        root, daemons = Root(settings.storage.root), daemons_of(settings)
        while path is not None and not self._stop.is_set():
            self.post_message(FileRead(look(path, daemons, root, settings.digests)))
            self._stop.wait(LOOK_EVERY_S)

    def on_file_read(self, message: FileRead) -> None:
        """Show the file as it is now."""
        if message.shown == self._shown:
            return
        self._shown = message.shown
        if self.is_active:  # drawing behind another screen would draw that one again
            self.render_view(self.view)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to go to mistakes only where there are some."""
        if action == "mistake":
            return bool(self._shown.mistakes)
        return super().check_action(action, parameters)

    def action_mistake(self) -> None:
        """Go to the next mistake in the file, and after the last to the first."""
        scroll, file = self.query_one("#settings"), self.query_one("#file", Card)
        rows = settings_panels.rows_of_mistakes(self._shown, width=file.content_size.width)
        if rows:
            row = rows[self._n_gone_to % len(rows)]
            self._n_gone_to += 1
            top = file.virtual_region.y + row - scroll.size.height // 2
            scroll.scroll_to(y=max(0, top), animate=False)

    def render_view(self, view: View) -> None:  # noqa: ARG002  the file is no part of the line
        """Show the file where it changed while this screen was behind another."""
        if self._drawn != self._shown:
            self._drawn = self._shown
            self._draw()
            self.refresh_bindings()

    def _draw(self) -> None:
        shown = self._shown
        name = self._path.name if self._path else ""
        self.query_one("#state", Card).show(
            lambda width: settings_panels.state(shown, path=name, width=width)
        )
        running = self.query_one("#running", Card)
        running.display = shown.differing is not None
        running.show(lambda width: settings_panels.running(shown, width=width))
        file = self.query_one("#file", Card)
        file.display = bool(shown.text)
        file.show(lambda width: settings_panels.file_lines(shown, width=width))

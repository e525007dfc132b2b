"""The log: what the daemons write, as it comes, with a filter."""

import threading
from collections import deque
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import Input, Log

from tui.screens.base import LineScreen
from tui.tail import LogTail, chosen
from tui.view import View

MOST_LINES = 5000
READ_EVERY_S = 0.25


class LinesRead(Message):
    """Daemons have written more."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines


class LogScreen(LineScreen):
    """The ends of all log files together, the newest line last."""

    HEADING = "log"
    HAS_FILTER = True

    def __init__(self, view: View, *, folder: Path, sought: str = "") -> None:
        super().__init__(view)
        self._tail = LogTail(folder)
        self._sought = sought
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._stop = threading.Event()

    def body(self) -> ComposeResult:
        """Put the filter above the lines."""
        yield Input(
            self._sought, placeholder="Filter: a daemon, WARNING, a slide's id …", id="filter"
        )
        yield Log(max_lines=MOST_LINES, id="lines")

    def on_mount(self) -> None:
        """Begin to read."""
        super().on_mount()
        self.query_one("#lines").focus()
        self.run_worker(self._follow, thread=True, group="log", exit_on_error=False)

    def on_unmount(self) -> None:
        """Stop reading."""
        self._stop.set()

    def find(self) -> None:
        """Go to the filter."""
        self.query_one("#filter").focus()

    def action_back(self) -> None:
        """Leave the filter, empty it, then the screen."""
        field = self.query_one("#filter", Input)
        if field.has_focus:
            field.value = ""
            self.query_one("#lines").focus()
        else:
            self.dismiss()

    def _follow(self) -> None:
        while not self._stop.is_set():
            lines = self._tail.new_lines()
            if lines:
                self.post_message(LinesRead(lines))
            self._stop.wait(READ_EVERY_S)

    @on(LinesRead)
    def _more(self, message: LinesRead) -> None:
        self._lines.extend(message.lines)
        self.query_one(Log).write_lines(chosen(message.lines, self._sought))

    @on(Input.Changed, "#filter")
    def _filter(self, message: Input.Changed) -> None:
        self._sought = message.value
        log = self.query_one(Log)
        log.clear()
        log.write_lines(chosen(list(self._lines), self._sought))

    @on(Input.Submitted, "#filter")
    def _to_lines(self) -> None:
        self.query_one("#lines").focus()

"""The log: what the daemons write, as it comes; by words, slide and level."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from tui.log_lines import LEAST, Level, LogLine, next_least, read_line, wanted
from tui.panels import log as log_panels
from tui.screens.live import MOST_KEPT, LiveScreen
from tui.tail import LogTail
from tui.view import View


class LogScreen(LiveScreen[LogLine]):
    """The ends of all log files together.

    Parameters
    ----------
    view
        What is known now.
    folder
        Where the log files are.
    sought
        What the filter holds at first.
    """

    HEADING = "log"
    PLACEHOLDER = "Filter: words, a daemon, a slide, its name …"
    READ_EVERY_S = 0.25
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "level", "Level", tooltip="All levels, warnings and errors, errors only."),
    ]

    def __init__(self, view: View, *, folder: Path, sought: str = "") -> None:
        super().__init__(view, sought=sought)
        self._tail = LogTail(folder)
        self._least: Level = "debug"

    def read(self) -> list[LogLine]:
        """Read what the daemons have written since."""
        return [read_line(line) for line in self._tail.new_lines()[-MOST_KEPT:]]

    def wanted(self, items: Iterable[LogLine]) -> list[LogLine]:
        """Keep the lines of these words and levels."""
        return wanted(items, self.sought, least=self._least, name_of=self.view.names.of)

    def draw(self, item: LogLine, width: int) -> Content:
        """Draw a line, cut to the width."""
        return log_panels.log_line(item, name=self.name_of(item), width=width)

    def draw_whole(self, item: LogLine, width: int) -> Content:
        """Draw a line with all its words."""
        return log_panels.whole_line(item, name=self.name_of(item), width=width)

    def which(self) -> str:
        """Say which levels are shown."""
        return LEAST[self._least]

    def about(self, item: LogLine) -> str | None:
        """Give the slide that a line is about."""
        return item.slide_id

    def action_level(self) -> None:
        """Show fewer or more levels."""
        self._least = next_least(self._least)
        self.choose()

"""What log and audit have in common: lines that keep coming, a filter, the line that is read."""

import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from appliance.errors import ApplianceError
from tui.amounts import counted
from tui.rows import toned
from tui.screens.base import LineScreen
from tui.view import View
from tui.widgets.card import Card, Words
from tui.widgets.field import Field
from tui.widgets.line_list import LineList
from tui.widgets.slide_list import SlideList

MOST_KEPT = 5000
START_AGAIN_S = 2.0
WIDEST = 10_000
NOTHING_READ = "Go up to a line first."

Item = TypeVar("Item")


class ItemsRead(Message):
    """More has come; the screen it is posted to knows of what kind."""

    def __init__(self, items: list[object]) -> None:
        super().__init__()
        self.items = items


class LiveScreen(LineScreen, Generic[Item]):
    """A list that a thread keeps filling; the newest line is the last."""

    HAS_FILTER = True
    ACTS_ON = ()
    PLACEHOLDER = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy_line", "Copy line", id="copy", show=False),
    ]
    READ_EVERY_S = 1.0

    def __init__(self, view: View, *, sought: str = "") -> None:
        super().__init__(view)
        self.sought = sought
        self._items: deque[Item] = deque(maxlen=MOST_KEPT)
        self._behind: deque[Item] = deque(maxlen=MOST_KEPT)
        """What came while another screen was in front; drawing it would draw that one again."""
        self._n_names = 0
        self._stop = threading.Event()

    # What each of them is.

    @abstractmethod
    def read(self) -> list[Item]:
        """Give what is new since the last time; called in a thread."""

    @abstractmethod
    def wanted(self, items: Iterable[Item]) -> list[Item]:
        """Keep what the filter lets through."""

    @abstractmethod
    def draw(self, item: Item, width: int) -> Content:
        """Draw an item in one line."""

    @abstractmethod
    def draw_whole(self, item: Item, width: int) -> Content:
        """Draw an item with all its words."""

    @abstractmethod
    def which(self) -> str:
        """Say which of them are shown, beside what the filter says."""

    @abstractmethod
    def about(self, item: Item) -> str | None:
        """Give the slide that an item is about."""

    def name_of(self, item: Item) -> str:
        """Give the name of the slide that an item is about; empty for none."""
        slide_id = self.about(item)
        return self.view.names.of(slide_id) if slide_id else ""

    # What they share.

    def body(self) -> ComposeResult:
        """Put the filter above the lines, and the one that is read below."""
        yield Field(self.sought, placeholder=self.PLACEHOLDER, id="filter")
        yield LineList[Item](self.draw, most=MOST_KEPT, id="lines")
        yield Card(id="detail")
        yield Words(id="shown")

    def on_mount(self) -> None:
        """Begin to read."""
        super().on_mount()
        self.lines.focus()
        self._start()

    def on_unmount(self) -> None:
        """Stop reading."""
        self._stop.set()

    @property
    def lines(self) -> LineList[Item]:
        """The list."""
        return self.query_one("#lines", LineList)

    def find(self) -> None:
        """Go to the filter."""
        self.set_focus(self.query_one("#filter"))

    def action_copy_line(self) -> None:
        """Copy the line that is read; works over SSH where the terminal allows it (OSC 52)."""
        read = self.lines.at_cursor
        if read is None:
            self.notify(NOTHING_READ)
            return
        self.app.copy_to_clipboard(self.draw_whole(read, WIDEST).plain)
        self.notify("The line is on the clipboard.", title="Copied")

    def action_back(self) -> None:
        """Leave the filter, empty it, then the screen."""
        field = self.query_one("#filter", Input)
        if field.has_focus:
            field.value = ""
            self.lines.focus()
        else:
            self.dismiss()

    def choose(self) -> None:
        """Show what the filter lets through now."""
        self._behind.clear()
        self.lines.fill(self.wanted(self._items))

    def _start(self) -> None:
        self.run_worker(self._follow, thread=True, group="live", exit_on_error=False)

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                items = self.read()
            except ApplianceError:
                items = []  # the bar on top says what does not answer
            if items:
                self.post_message(ItemsRead(list(items)))
            self._stop.wait(self.READ_EVERY_S)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Read on after a while when a database or a disk failed."""
        if event.worker.group == "live" and event.state is WorkerState.ERROR:
            event.stop()
            self.set_timer(START_AGAIN_S, self._start)

    @on(ItemsRead)
    def _more(self, message: ItemsRead) -> None:
        items: list[Item] = message.items  # type: ignore[assignment]
        self._items.extend(items)
        self._behind.extend(items)
        if self.is_active:
            self._take()

    def _take(self) -> None:
        items = list(self._behind)
        self._behind.clear()
        self.lines.add(self.wanted(items))
        self._say()

    def render_view(self, view: View) -> None:
        """Draw names that were learned, and what came behind another screen."""
        if self._behind:
            self._take()
        if view.names.n_learned != self._n_names:
            self._n_names = view.names.n_learned
            self.lines.refresh()

    @on(LineList.Moved)
    def _say(self) -> None:
        lines = self.lines
        read = lines.at_cursor
        detail = self.query_one("#detail", Card)
        detail.display = read is not None
        if read is not None:
            if detail.border_title != (title := unseen(lines.n_unseen)):
                detail.border_title = title
            detail.show(lambda width: self.draw_whole(read, width))
        several = counted_lines(lines.n_lines, len(self._items), sought=bool(self.sought))
        said = f"{self.which()} · {several}"
        how = "following" if lines.following else "stopped"
        self.query_one("#shown", Words).say(toned(f"{said} · {how}", "quiet"))

    @on(Input.Changed, "#filter")
    def _filter(self, message: Input.Changed) -> None:
        self.sought = message.value
        self.choose()

    @on(Input.Submitted, "#filter")
    def _to_lines(self) -> None:
        self.lines.focus()

    @on(LineList.Opened)
    def _open(self, message: LineList.Opened) -> None:
        slide_id = self.about(message.item)  # type: ignore[arg-type]
        if slide_id is None:
            self.notify("This line is about no slide.")
        elif self.view.slide(slide_id) is None:
            self.notify("The slide of this line is not on the list.")
        else:
            self.post_message(SlideList.Opened(slide_id))


def counted_lines(n_shown: int, n_kept: int, *, sought: bool) -> str:
    """Say how many lines there are, and how many of them the filter lets through."""
    if n_shown == n_kept:
        return counted(n_kept, "line") if n_kept else "nothing yet"
    if n_shown == 0:
        hint = "; / and escape show all" if sought else ""
        return f"none of {counted(n_kept, 'line')} fits{hint}"
    return f"{n_shown:,} of {counted(n_kept, 'line')}"


def unseen(n_lines: int) -> str:
    """Say how many lines wait below, and how to go on."""
    return f"+{n_lines:,} lines, end goes on" if n_lines else "stopped, end goes on"

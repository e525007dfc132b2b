"""Lines that keep coming, the newest last: drawn only where they are seen, never scrolled away.

At the end it follows. Whoever goes up stays at the line that is read, however many come and however
many old ones go; the end key goes on.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

Item = TypeVar("Item")

GUTTER = 2
"""Cells on the left for the mark of the cursor."""
PAGE_KEEPS = 2
"""Lines of a page that the next page shows again."""


class LineList(ScrollView, Generic[Item], can_focus=True):
    """One line an item.

    Parameters
    ----------
    draw
        Gives an item's text for so many cells.
    most
        How many items are kept; the oldest go first.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"line-list--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "first", "First", show=False),
        Binding("end", "follow", "Go on", tooltip="Go to the newest line and follow.", show=False),
        Binding("enter", "open", "Open slide", tooltip="Show the slide of this line in full."),
    ]

    class Moved(Message):
        """The cursor is elsewhere, or following began or ended, or there are more lines below."""

        def can_replace(self, message: Message) -> bool:
            """Only how it is now matters."""
            return isinstance(message, LineList.Moved)

    class Opened(Message):
        """What a line is about is to be shown."""

        def __init__(self, item: object) -> None:
            super().__init__()
            self.item = item

    def __init__(self, draw: Callable[[Item, int], Content], *, most: int, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._draw = draw
        self._items: deque[Item] = deque(maxlen=most)
        self._n_gone = 0
        """Items that were kept once; a line's number counts them."""
        self._cursor = 0
        self._seen_to = 0
        """Number of the line after the last one that was there when following ended."""
        self._scrolls_itself = False
        self.following = True

    @property
    def n_lines(self) -> int:
        """How many lines are shown."""
        return len(self._items)

    @property
    def at_cursor(self) -> Item | None:
        """The item that is read; None while following."""
        place = self._cursor - self._n_gone
        return self._items[place] if not self.following and 0 <= place < len(self._items) else None

    @property
    def n_unseen(self) -> int:
        """How many lines came since following ended."""
        return 0 if self.following else self._end - max(self._seen_to, self._n_gone)

    @property
    def _end(self) -> int:
        return self._n_gone + len(self._items)

    def add(self, items: Iterable[Item]) -> None:
        """Put items at the end."""
        n_before, n_gone = self._end, self._n_gone
        for item in items:
            self._n_gone += len(self._items) == self._items.maxlen
            self._items.append(item)
        if self._end != n_before:
            self._fit(n_gone=self._n_gone - n_gone)

    def fill(self, items: Iterable[Item]) -> None:
        """Show other items; the cursor stays at its item where that is still there."""
        kept = self.at_cursor
        self._items = deque(items, maxlen=self._items.maxlen)
        self._n_gone = 0
        places = (place for place, item in enumerate(self._items) if item is kept)
        place = next(places, None) if kept is not None else None
        self.following = place is None
        self._cursor, self._seen_to = place or 0, len(self._items)
        self._fit()
        if place is not None:
            self._show_cursor()
        self.refresh()

    def _fit(self, n_gone: int = 0) -> None:
        """Keep the same lines in sight, or the last ones while following."""
        self._scrolls_itself = True
        try:
            # Only the height matters: a line fits by itself.
            self.virtual_size = Size(0, len(self._items))
            if self.following:
                self._cursor = max(0, self._end - 1)
                self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True, force=True)
                self.refresh()
            elif n_gone:
                self._cursor = max(self._cursor, self._n_gone)
                top = max(0, self.scroll_offset.y - n_gone)
                self.scroll_to(y=top, animate=False, immediate=True, force=True)
                self.refresh()
        finally:
            self._scrolls_itself = False
        self.post_message(self.Moved())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow exactly when the wheel or the scroll bar is at the end."""
        super().watch_scroll_y(old_value, new_value)
        if self._scrolls_itself or round(old_value) == round(new_value):
            return
        self._follow_if(at_end=round(new_value) >= self.max_scroll_y)
        top = self._n_gone + round(new_value)
        self._cursor = min(max(self._cursor, top), top + max(0, self.size.height - 1))
        self.post_message(self.Moved())

    def on_resize(self, _event: events.Resize) -> None:
        """Keep the end in sight while following."""
        self._fit()

    def render_line(self, y: int) -> Strip:
        """Draw one visible line."""
        place = self.scroll_offset.y + y
        width = self.scrollable_content_region.width
        if place >= len(self._items):
            return Strip.blank(width, self.rich_style)
        content = self._draw(self._items[place], width - GUTTER)
        style = self.visual_style
        mark = Content(" " * GUTTER)
        if not self.following and place + self._n_gone == self._cursor:
            style += self.get_visual_style("line-list--cursor", partial=True)
            mark = Content.styled("▌ ", "$primary")
        strips = Visual.to_strips(self, mark + content, width, 1, style, pad=True)
        return strips[0] if strips else Strip.blank(width)  # in two cells there is no room for text

    def action_move(self, step: int) -> None:
        """Go to another line; at the last one, down follows."""
        if self.following and step < 0:
            step += 1  # the last line is the first to stop at
        elif self._cursor + step >= self._end:
            self.action_follow()
            return
        self._go(self._cursor + step)

    def action_page(self, direction: int) -> None:
        """Go a screenful up or down."""
        self.action_move(direction * max(1, self.size.height - PAGE_KEEPS))

    def action_first(self) -> None:
        """Go to the oldest line that is kept."""
        self._go(self._n_gone)

    def action_follow(self) -> None:
        """Go to the newest line, and follow."""
        self._follow_if(at_end=True)
        self._fit()

    def action_open(self) -> None:
        """Show what the line is about."""
        item = self.at_cursor if not self.following else (self._items[-1] if self._items else None)
        if item is not None:
            self.post_message(self.Opened(item))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is; a second click opens."""
        number = self._n_gone + self.scroll_offset.y + event.y
        if number < self._end:
            if event.chain > 1 and number == self._cursor:
                self.action_open()
            self._go(number)

    def _go(self, number: int) -> None:
        if not self._items:
            return
        self._follow_if(at_end=False)
        self._cursor = min(max(number, self._n_gone), self._end - 1)
        self._show_cursor()
        self.refresh()
        self.post_message(self.Moved())

    def _show_cursor(self) -> None:
        place, top = self._cursor - self._n_gone, self.scroll_offset.y
        height = max(1, self.scrollable_content_region.height)
        self._scrolls_itself = True
        try:
            y = min(max(top, place - height + 1), place)
            self.scroll_to(y=y, animate=False, immediate=True, force=True)
        finally:
            self._scrolls_itself = False

    def _follow_if(self, *, at_end: bool) -> None:
        if self.following and not at_end:
            self._seen_to = self._end
        self.following = at_end

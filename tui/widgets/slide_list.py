"""The worklist: one line a slide, drawn only where it is seen.

A table widget that keeps cells takes seconds to rebuild; this one keeps ids in order and draws the
lines that are visible, so that ten thousand slides cost what fifty do. The cursor stays at its
slide, by id, however the order changes.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from tui import rows
from tui.rows import Heading, Layout
from tui.snapshot import FEW_GROUPS, GROUPS, Group
from tui.view import View

MANY_LINES = 20
"""From so many lines on there is room for a heading a group."""

Row = Heading | str
"""A heading, or the id of a slide."""

EMPTY = Content("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A line as it was last drawn, and what for."""

    content: Content
    at_cursor: bool
    width: int
    strip: Strip

    def is_for(self, content: Content, *, at_cursor: bool, width: int) -> bool:
        """Whether this very content was drawn; comparing objects is enough, rows are cached."""
        return self.content is content and self.at_cursor is at_cursor and self.width == width


class SlideList(ScrollView, can_focus=True):
    """Slides in groups, most urgent first."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"slide-list--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "edge(0)", "First", show=False),
        Binding("end", "edge(-1)", "Last", show=False),
        Binding("enter", "open", "Open", tooltip="Show all there is about the slide."),
    ]

    selected: reactive[str | None] = reactive(None, repaint=False)
    """Slide id at the cursor."""

    class Highlighted(Message):
        """The cursor came to another slide."""

        def __init__(self, slide_id: str | None) -> None:
            super().__init__()
            self.slide_id = slide_id

    class Opened(Message):
        """A slide is to be shown in full."""

        def __init__(self, slide_id: str) -> None:
            super().__init__()
            self.slide_id = slide_id

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._rows: tuple[Row, ...] = ()
        self._rows_of: object = None
        """What the rows were made of."""
        self._places: Mapping[str, int] = {}
        self._drawn: dict[int, Drawn] = {}

    @property
    def layout_now(self) -> Layout:
        """The columns that there is room for."""
        routes = self._view.routes
        return rows.layout_for(self.scrollable_content_region.width, routes)

    @property
    def is_empty(self) -> bool:
        """Whether no slide is shown."""
        return not self._places

    def show(self, view: View, *, sought: str = "") -> None:
        """Show the slides that contain what is sought; what did not change is not drawn again."""
        self._view = view
        followed = view.followed
        made_of: object = (followed.serial, sought, self._has_many_lines)
        if sought:  # what a row says may change while it stays in its place
            made_of = (made_of, id(view.slides), view.names.n_learned)
        if made_of != self._rows_of:
            self._rows_of = made_of
            self._make_rows(sought)
        self._refresh_changed()

    @property
    def _has_many_lines(self) -> bool:
        return self.size.height >= MANY_LINES

    def _make_rows(self, sought: str) -> None:
        followed = self._view.followed
        few = GROUPS if self._has_many_lines else FEW_GROUPS
        all_slides = Group(title=rows.ORDERS[followed.order], tone="plain")
        titled = (
            (all_slides if need is None else few[need], ids)
            for need, ids in followed.groups(sought)
        )
        new: list[Row] = []
        for group, members in itertools.groupby(titled, key=lambda pair: pair[0]):
            ids = [slide_id for _, found in members for slide_id in found]
            new.append(Heading(group=group, n_slides=len(ids)))
            new.extend(ids)
        old_place = self._places.get(self.selected or "", 1)
        was_seen = self.selected in self.visible_slides()
        self._rows = tuple(new)
        self._places = {row: place for place, row in enumerate(new) if isinstance(row, str)}
        self.virtual_size = Size(self.scrollable_content_region.width, len(new))
        if self.selected not in self._places:
            self.selected = self._slide_near(old_place, 1)
        elif was_seen:  # who has scrolled away from the cursor is not taken back
            self.call_after_refresh(self._keep_in_sight)

    def visible_slides(self) -> tuple[str, ...]:
        """Give the ids of the slides that can be seen now."""
        top = self.scroll_offset.y
        seen = self._rows[top : top + max(1, self.scrollable_content_region.height)]
        return tuple(row for row in seen if isinstance(row, str))

    def render_line(self, y: int) -> Strip:
        """Draw one visible line, or give it as it was drawn before."""
        return self._draw(y)[0]

    def _draw(self, y: int) -> tuple[Strip, Strip | None]:
        """Give a line as it is, and as it was before if that was something else."""
        width = self.scrollable_content_region.width
        content, at_cursor = self._line(self.scroll_offset.y + y)
        drawn = self._drawn.get(y)
        if drawn is not None and drawn.is_for(content, at_cursor=at_cursor, width=width):
            return drawn.strip, drawn.strip
        style = self.visual_style
        if at_cursor:
            style += self.get_visual_style("slide-list--cursor", partial=True)
            # The cursor is a mark as well as a colour.
            shown = Content.assemble(("▌", "$primary"), content[1:])
        else:
            shown = content
        strips = Visual.to_strips(self, shown, width, 1, style, pad=True)
        # A terminal that was dragged shut has no room for a line.
        strip = strips[0] if strips else Strip.blank(width)
        self._drawn[y] = Drawn(content=content, at_cursor=at_cursor, width=width, strip=strip)
        return strip, drawn.strip if drawn is not None else None

    def notify_style_update(self) -> None:
        """Draw everything again in another theme."""
        self._drawn.clear()
        super().notify_style_update()

    def _refresh_changed(self) -> None:
        """Ask for those cells to be written again that say something else than before.

        A running slide changes a few cells a second; its whole row would be ten times as much for a
        slow line to carry.
        """
        for y in range(self.scrollable_content_region.height):
            strip, before = self._draw(y)
            if strip is not before:
                first, last = differing(before, strip)
                if first < last:
                    self.refresh(Region(first, y, last - first, 1))

    def _line(self, place: int) -> tuple[Content, bool]:
        """Give what a line says (one object while it says the same) and if the cursor is there."""
        width = self.scrollable_content_region.width
        if place >= len(self._rows):
            return EMPTY, False
        row = self._rows[place]
        if isinstance(row, Heading):
            return rows.heading(row, width), False
        view = self._view
        slide = view.slide(row)
        if slide is None:
            return EMPTY, False
        line = rows.slide_line(
            slide,
            name=view.names.of(row),
            now=view.now,
            layout=self.layout_now,
            superseded=view.is_superseded(row),
        )
        return line, row == self.selected

    def watch_selected(self, slide_id: str | None) -> None:
        """Keep the cursor in sight and tell who shows details."""
        self._keep_in_sight()
        self._refresh_changed()
        self.post_message(self.Highlighted(slide_id))

    def _keep_in_sight(self) -> None:
        place = self._places.get(self.selected or "")
        if place is not None:
            # The heading above the first slide of a group is shown with it.
            self.scroll_to_region(Region(0, max(0, place - 1), 1, 2), animate=False)

    def action_move(self, step: int) -> None:
        """Go to the next or the previous slide."""
        place = self._places.get(self.selected or "", 0)
        self._go(place + step, step)

    def action_page(self, direction: int) -> None:
        """Go a screenful up or down."""
        place = self._places.get(self.selected or "", 0)
        self._go(place + direction * max(1, self.size.height - 2), direction)

    def action_edge(self, edge: int) -> None:
        """Go to the first or the last slide."""
        self._go(0 if edge == 0 else len(self._rows) - 1, 1 if edge == 0 else -1)

    def action_open(self) -> None:
        """Show the slide at the cursor in full."""
        if self.selected is not None:
            self.post_message(self.Opened(self.selected))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is; a second click opens."""
        place = self.scroll_offset.y + event.y
        if not 0 <= place < len(self._rows):
            return
        row = self._rows[place]
        if isinstance(row, str):
            if event.chain > 1 and row == self.selected:
                self.action_open()
            self.selected = row

    def _go(self, place: int, direction: int) -> None:
        found = self._slide_near(place, direction)
        if found is not None:
            self.selected = found

    def _slide_near(self, place: int, direction: int) -> str | None:
        """Find the slide at a place, else the next one in a direction, else the one before."""
        last = len(self._rows) - 1
        place = max(0, min(place, last))
        up, down = range(place, -1, -1), range(place, last + 1)
        for candidate in (*down, *up) if direction > 0 else (*up, *down):
            row = self._rows[candidate] if candidate <= last else None
            if isinstance(row, str):
                return row
        return None


def differing(before: Strip | None, after: Strip) -> tuple[int, int]:
    """Give the first cell that differs and the one after the last; all without a strip before."""
    width = after.cell_length
    if before is None or before.cell_length != width:
        return 0, width
    same_left = sum(
        one.cell_length
        for one, _ in itertools.takewhile(_are_equal, zip(before, after, strict=False))
    )
    same_right = sum(
        one.cell_length
        for one, _ in itertools.takewhile(
            _are_equal, zip(reversed(list(before)), reversed(list(after)), strict=False)
        )
    )
    return min(same_left, width), max(width - same_right, min(same_left, width))


def _are_equal(pair: tuple[Segment, Segment]) -> bool:
    return pair[0] == pair[1]

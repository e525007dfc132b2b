"""The worklist: one row a slide, most urgent first, and the one at the cursor below."""

import math
import time
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input

from tui import rows
from tui.actions import ACTIONS
from tui.arrangement import Order
from tui.panels import findings as findings_panels
from tui.panels import summary as panels
from tui.rows import toned
from tui.screens.base import LineScreen
from tui.story import Story
from tui.view import NamesWanted, SlidesSought, StoryWanted, View
from tui.widgets.card import Card, Words
from tui.widgets.field import Field
from tui.widgets.picture_view import PictureView
from tui.widgets.slide_list import SlideList

PLACEHOLDER = "Filter: name, scanner, verdict, reason … Enter looks up a whole identifier"
NO_SLIDES = "No slide on the line. Send one from a scanner: it appears here by itself."
NO_MATCH = (
    "No slide contains this. Enter looks it up as a whole container identifier; escape shows all."
)
NOT_FOUND = "No slide contains this, and none has it as its container identifier. Escape shows all."
LEAST_NAME = 3
"""What is shorter is no container identifier, and is not looked up."""
REST_S = 0.2
"""A cursor or a list that rests for so long is looked at; only then is more asked for."""


class WorklistScreen(LineScreen):
    """Which slides are on the line, which must be scanned again and why, what is stuck."""

    HEADING = "worklist"
    HAS_FILTER = True
    HAS_ORDER = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "All slides"),
    ]

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self._story: Story | None = None
        self._looked_up: str | None = None
        self._seen: tuple[str, ...] = ()
        self._offered: tuple[bool | None, ...] = ()
        self._rest: Timer | None = None
        self._moved_at = -math.inf

    @property
    def slide_id(self) -> str | None:
        """The slide at the cursor."""
        slides = self.query(SlideList)
        return slides.first().selected if slides else None

    def body(self) -> ComposeResult:
        """List above, the slide at the cursor below."""
        yield Field(placeholder=PLACEHOLDER, id="filter")
        yield Words(id="titles")
        yield Words(id="empty")
        yield SlideList(self.view)
        with Horizontal(id="glance"):
            yield PictureView(id="thumbnail")
            with Vertical(id="words"):
                yield Words(id="summary")
                yield Card(id="areas", classes="")

    def on_mount(self) -> None:
        """Begin at the list, without a filter."""
        super().on_mount()
        self.query_one("#filter").display = False
        self.query_one(SlideList).focus()

    def render_view(self, view: View) -> None:
        """Bring list and glance up to date."""
        slides = self.query_one(SlideList)
        sought = self.query_one("#filter", Input).value
        slides.show(view, sought=sought)
        empty = self.query_one("#empty", Words)
        empty.display = slides.is_empty
        empty.say(toned(self._why_empty(view, sought), "quiet"))
        titles = rows.titles(slides.layout_now, view.arrangement.order)
        self.query_one("#titles", Words).say(titles.stylize("$text-muted"))
        self._glance(view)
        if slides.visible_slides() != self._seen:
            self._rest_soon()
        else:
            self.post_message(NamesWanted(self._seen))

    def _why_empty(self, view: View, sought: str) -> str:
        if not view.slides:
            return NO_SLIDES
        return NOT_FOUND if sought.strip() == self._looked_up else NO_MATCH

    def tell(self, story: Story) -> None:
        """Show picture and areas of the slide at the cursor."""
        self._story = story
        self.show_again()

    def find(self) -> None:
        """Open the filter."""
        field = self.query_one("#filter", Input)
        field.display = True
        self.set_focus(field)

    def sort(self) -> None:
        """Go to the next order."""
        self._sort(self.view.followed.order.following)

    @on(events.Click, "#titles")
    def _sort_by_title(self, event: events.Click) -> None:
        """Sort by the column whose title was clicked; by the same one again, by what is urgent."""
        order = rows.order_at(self.query_one(SlideList).layout_now, event.x)
        self._sort(Order.URGENCY if order is self.view.followed.order else order)

    def _sort(self, order: Order) -> None:
        """Put the slides in another order, and go to its top."""
        self.view.followed.sort(order)
        self.show_again()
        self.query_one(SlideList).action_edge(0)

    def found(self, name: str, n_slides: int) -> None:
        """Say it when no slide has a container identifier."""
        self._looked_up = None if n_slides else name
        self.show_again()

    def action_back(self) -> None:
        """Close the filter and show all slides."""
        field = self.query_one("#filter", Input)
        field.value = ""
        field.display = False
        self.query_one(SlideList).focus()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the way back to all slides only while a filter hides some."""
        if action == "back":
            return bool(self.query("#filter")) and self.query_one("#filter").display
        return super().check_action(action, parameters)

    @on(Input.Changed, "#filter")
    def _filter(self) -> None:
        self.show_again()

    @on(Input.Submitted, "#filter")
    def _to_list(self, message: Input.Submitted) -> None:
        """Go to what was found; the node knows container identifiers that were never shown."""
        self.query_one(SlideList).focus()
        name = message.value.strip()
        if len(name) >= LEAST_NAME:
            self.post_message(SlidesSought(name))

    @on(SlideList.Highlighted)
    def _other_slide(self, message: SlideList.Highlighted) -> None:
        """Show another slide at once; while the cursor runs its story is not read."""
        self._glance(self.view)
        self._refresh_footer()
        moved_at, self._moved_at = self._moved_at, time.monotonic()
        if self._moved_at - moved_at > REST_S:
            self.post_message(StoryWanted(message.slide_id))
        self._rest_soon()

    def _refresh_footer(self) -> None:
        """Make the footer anew only when it would say something else: it is made of many parts."""
        offered = tuple(self.app.check_action("act", (action.name,)) for action in ACTIONS)
        if offered != self._offered:
            self._offered = offered
            self.app.refresh_bindings()

    def _rest_soon(self) -> None:
        """Look again once cursor and list have rested."""
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_S, self._rested)

    def _rested(self) -> None:
        """Ask for the names that can be seen, one question a screenful, and for the story."""
        self._rest = None
        self._seen = self.query_one(SlideList).visible_slides()
        self.post_message(NamesWanted(self._seen))
        if self._story is None or self._story.status.slide_id != self.slide_id:
            self.post_message(StoryWanted(self.slide_id))

    def _glance(self, view: View) -> None:
        """Show the slide at the cursor."""
        glance = self.query_one("#glance")
        slide = view.slide(self.slide_id)
        glance.display = slide is not None
        if slide is None or view.snapshot is None:
            return
        name = view.names.of(slide.slide_id)
        if glance.border_title != name:  # setting it draws the picture again, each second
            glance.border_title = name
        self.query_one("#summary", Words).say(
            panels.summary(
                slide,
                now=view.now,
                superseded=view.is_superseded(slide.slide_id),
                describe=view.names.of,
            )
        )
        story = (
            self._story if self._story and self._story.status.slide_id == slide.slide_id else None
        )
        self.query_one("#thumbnail", PictureView).show(story.picture if story else None)
        found = story.findings if story else None
        rules = view.settings.verdict
        self.query_one("#areas", Card).show(
            lambda width: findings_panels.areas(found, rules, width=width) if found else Content("")
        )

"""The worklist: one row a slide, most urgent first, and the one at the cursor below."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input

from tui import panels, rows
from tui.rows import toned
from tui.screens.base import LineScreen
from tui.story import Story
from tui.view import NamesWanted, StoryWanted, View
from tui.widgets.card import Card, Words
from tui.widgets.picture_view import PictureView
from tui.widgets.slide_list import SlideList

NO_SLIDES = "No slide on the line. Send one from a scanner: it appears here by itself."
NO_MATCH = "No slide contains this. Escape shows all."


class WorklistScreen(LineScreen):
    """Which slides are on the line, which must be scanned again and why, what is stuck."""

    HEADING = "worklist"
    HAS_FILTER = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "All slides", show=False),
    ]

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self._story: Story | None = None

    @property
    def slide_id(self) -> str | None:
        """The slide at the cursor."""
        slides = self.query(SlideList)
        return slides.first().selected if slides else None

    def body(self) -> ComposeResult:
        """List above, the slide at the cursor below."""
        yield Input(placeholder="Filter: slide, scanner, verdict, reason …", id="filter")
        yield Words(id="titles")
        yield Words(id="empty")
        yield SlideList(name_of=self.view.names.of)
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
        arranged = view.arranged(self.query_one("#filter", Input).value)
        slides.show(arranged, now=view.now)
        empty = self.query_one("#empty", Words)
        empty.display = not arranged
        empty.say(toned(NO_MATCH if view.slides else NO_SLIDES, "quiet"))
        width = slides.scrollable_content_region.width
        self.query_one("#titles", Words).say(toned_titles(width))
        self._glance(view)
        self.post_message(NamesWanted(slides.visible_slides()))

    def tell(self, story: Story) -> None:
        """Show picture and areas of the slide at the cursor."""
        self._story = story
        self.show_again()

    def find(self) -> None:
        """Open the filter; the names of all slides are needed to filter by them."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()
        self.post_message(NamesWanted(tuple(slide.slide_id for slide in self.view.slides)))

    def action_back(self) -> None:
        """Close the filter and show all slides."""
        field = self.query_one("#filter", Input)
        field.value = ""
        field.display = False
        self.query_one(SlideList).focus()

    @on(Input.Changed, "#filter")
    def _filter(self) -> None:
        self.show_again()

    @on(Input.Submitted, "#filter")
    def _to_list(self) -> None:
        self.query_one(SlideList).focus()

    @on(SlideList.Highlighted)
    def _other_slide(self, message: SlideList.Highlighted) -> None:
        self.show_again()
        self.app.refresh_bindings()
        self.post_message(StoryWanted(message.slide_id))

    def _glance(self, view: View) -> None:
        """Show the slide at the cursor."""
        glance = self.query_one("#glance")
        slide = view.slide(self.slide_id)
        glance.display = slide is not None
        if slide is None or view.snapshot is None:
            return
        name = view.names.of(slide.slide_id)
        glance.border_title = name
        self.query_one("#summary", Words).say(
            panels.summary(
                slide,
                now=view.now,
                superseded=slide.slide_id in view.snapshot.superseded,
                describe=view.names.of,
            )
        )
        story = (
            self._story if self._story and self._story.status.slide_id == slide.slide_id else None
        )
        self.query_one("#thumbnail", PictureView).show(story.picture if story else None)
        found = story.findings if story else None
        limits = view.settings.verdict.rescan
        self.query_one("#areas", Card).show(
            lambda width: panels.areas(found, limits, width=width) if found else Content("")
        )


def toned_titles(width: int) -> Content:
    """Give the column titles for a list of this width."""
    return rows.titles(rows.layout_for(width)).stylize("$text-muted")

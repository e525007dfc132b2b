"""One slide in full: verdict, picture, areas, the time each stage took, what was sent, its past."""

from functools import partial

from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content

from appliance.line import DeliveryStatus
from tui import panels
from tui.policy_panels import sent_under
from tui.screens.base import LineScreen
from tui.story import Story
from tui.view import NamesWanted, StoryWanted, View
from tui.widgets.card import Card
from tui.widgets.picture_view import PictureView


class SlideScreen(LineScreen):
    """Everything about one slide."""

    HEADING = "slide"

    def __init__(self, view: View, slide_id: str) -> None:
        super().__init__(view)
        self._slide_id = slide_id
        self._story: Story | None = None

    @property
    def slide_id(self) -> str | None:
        """The slide that is shown."""
        return self._slide_id

    def body(self) -> ComposeResult:
        """Put what matters most on top; picture left and times right where there is room."""
        with VerticalScroll(id="story"):
            yield Card(id="headline")
            yield Card("What is wrong", id="trouble")
            with Container(id="columns"):
                with Vertical(id="left"):
                    yield PictureView(id="picture")
                    yield Card("Tissue and artifacts", id="areas")
                with Vertical(id="right"):
                    yield Card("Time", id="timeline")
                    yield Card("Deliveries", id="deliveries")
                    yield Card("Models", id="models")
                    yield Card("What happened", id="past")

    def on_mount(self) -> None:
        """Ask for the story."""
        super().on_mount()
        picture = self.query_one(PictureView)
        picture.display = False
        picture.border_title = "Slide picture"
        picture.border_subtitle = "not to diagnose"
        self.query_one("#story").focus()
        self.post_message(StoryWanted(self._slide_id))
        self.post_message(NamesWanted((self._slide_id,)))

    def tell(self, story: Story) -> None:
        """Take the story of this slide."""
        if story.status.slide_id == self._slide_id:
            self._story = story
            self.show_again()

    def render_view(self, view: View) -> None:
        """Bring every card up to date."""
        slide = view.slide(self._slide_id) or (self._story.status if self._story else None)
        if slide is None:
            return
        head = self.query_one("#headline", Card)
        head.border_title = view.names.of(slide.slide_id)
        head.show(lambda _: panels.head(slide, view.now))
        wrong = panels.trouble(slide)
        trouble = self.query_one("#trouble", Card)
        trouble.display = wrong is not None
        trouble.show(lambda _: wrong or Content(""))
        self.query_one("#deliveries", Card).show(
            lambda _: panels.deliveries(slide, view.now, partial(self._sent_under, view))
        )
        if self._story is not None:
            self._render_story(self._story, view)

    def _sent_under(self, view: View, delivery: DeliveryStatus) -> str:
        events = self._story.events if self._story else ()
        return sent_under(delivery, events, view.settings.routes)

    def _render_story(self, story: Story, view: View) -> None:
        picture = self.query_one(PictureView)
        picture.display = story.picture is not None
        picture.show(story.picture)
        found = story.findings
        limits = view.settings.verdict.rescan
        models = self.query_one("#models", Card)
        models.display = found is not None
        models.show(lambda _: panels.models(found) or Content(""))
        self.query_one("#areas", Card).show(lambda width: panels.areas(found, limits, width=width))
        self.query_one("#timeline", Card).show(
            lambda width: panels.timeline(story, now=view.now, width=width)
        )
        self.query_one("#past", Card).show(lambda width: panels.past(story.events, width=width))

"""One slide in full: verdict, picture, areas, times, what was sent, its images, its past."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content

from appliance.line import SlideStatus, State
from tui.panels import findings as findings_panels
from tui.panels import past as past_panels
from tui.panels import sent as sent_panels
from tui.panels import summary as panels
from tui.panels import timeline, trouble
from tui.panels import told as told_panels
from tui.screens.base import LineScreen
from tui.story import Story
from tui.told import Details
from tui.view import DetailsWanted, NamesWanted, StoryWanted, View
from tui.widgets.card import Card
from tui.widgets.picture_view import PictureView


class SlideScreen(LineScreen):
    """Everything about one slide."""

    HEADING = "slide"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "scan(-1)", "Earlier scan", key_display="["),
        Binding("right_square_bracket", "scan(1)", "Later scan", key_display="]"),
    ]

    def __init__(self, view: View, slide_id: str) -> None:
        super().__init__(view)
        self._opened_at = slide_id
        self._slide_id = slide_id
        self._story: Story | None = None
        self._details: Details | None = None
        self._asked_at: object = None

    @property
    def slide_id(self) -> str | None:
        """The slide that is shown."""
        return self._slide_id

    @property
    def story(self) -> Story | None:
        """What is known of the slide."""
        return self._story

    def body(self) -> ComposeResult:
        """Put what matters most on top; picture left and times right where there is room."""
        with VerticalScroll(id="story"):
            yield Card(id="headline")
            yield Card("What is wrong", id="trouble")
            with Container(id="columns"):
                with Vertical(id="left"):
                    with Container(id="seen"):
                        yield PictureView(id="picture", is_sharp=True)
                        yield Card("Tissue and artifacts", id="areas")
                    yield Card("Scans of this container", id="scans")
                    yield Card("Models", id="models")
                    yield Card("Images", id="images")
                with Vertical(id="right"):
                    yield Card("Time", id="timeline")
                    yield Card("Deliveries", id="deliveries")
                    yield Card("De-identification", id="deid")
                    yield Card("What happened", id="past")

    def on_mount(self) -> None:
        """Ask for the story."""
        super().on_mount()
        picture = self.query_one(PictureView)
        picture.display = False
        keys = {one.binding.action: one.binding.key for one in self.active_bindings.values()}
        larger, overlay = keys.get("picture", "p"), keys.get("overlay", "v")
        picture.border_title = f"Picture: {larger} large, {overlay} overlay"
        picture.border_subtitle = "not to diagnose"
        self.query_one("#story").focus()
        self._ask()

    def tell(self, story: Story) -> None:
        """Take the story of this slide."""
        if story.status.slide_id == self._slide_id:
            self._story = story
            self.refresh_bindings()
            self.show_again()

    def detail(self, slide_id: str, details: Details) -> None:
        """Take what daemons told of this slide."""
        if slide_id == self._slide_id:
            self._details = details
            self.show_again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Show the way to other scans of the container only where there are some."""
        if action != "scan":
            return super().check_action(action, parameters)
        return self._scan(int(str(parameters[0]))) is not None

    def action_scan(self, step: int) -> None:
        """Show the scan of the same container before or after this one."""
        other = self._scan(step)
        if other is not None:
            self._slide_id, self._story, self._details = other, None, None
            self._ask()
            self.query_one("#story").scroll_home(animate=False)
            self.show_again()

    def action_back(self) -> None:
        """Go back; the list goes on with the slide that its cursor is at."""
        self.post_message(StoryWanted(self._opened_at))
        super().action_back()

    def render_view(self, view: View) -> None:
        """Bring every card up to date."""
        slide = view.slide(self._slide_id) or (self._story.status if self._story else None)
        if slide is None:
            return
        self._ask_details(slide)
        head = self.query_one("#headline", Card)
        name = view.names.of(slide.slide_id)
        if head.border_title != name:  # setting it draws the card again, each second
            head.border_title = name
        head.show(lambda _: panels.head(slide, view.now))
        is_wrong = panels.trouble(slide) is not None
        self._show("#trouble", lambda width: trouble.trouble(slide, width), is_there=is_wrong)
        self._render_story(self._story, slide, view)
        deid = self._details.deid if self._details else None
        images = self._details.images if self._details else None
        self._show("#deid", lambda width: told_panels.deidentified(deid, width=width))
        self._show("#images", lambda width: told_panels.images(images, width=width))

    def _render_story(self, story: Story | None, slide: SlideStatus, view: View) -> None:
        events = story.events if story else ()
        routes = view.settings.routes
        self._show(
            "#deliveries",
            lambda width: sent_panels.deliveries(
                slide, events=events, routes=routes, now=view.now, width=width
            ),
        )
        picture = self.query_one(PictureView)
        picture.display = story is not None and story.picture is not None
        self.query_one("#seen").set_class(picture.display, "-pictured")
        picture.show(story.picture if story else None, story.bare if story else None)
        found = story.findings if story else None
        rules = view.settings.verdict
        self._show("#areas", lambda width: findings_panels.areas(found, rules, width=width))
        self._show(
            "#models",
            lambda width: findings_panels.models(found, width=width),
            is_there=found is not None,
        )
        if story is not None:
            self._render_past(story, view)

    def _render_past(self, story: Story, view: View) -> None:
        self._show("#timeline", lambda width: timeline.timeline(story, now=view.now, width=width))
        self._show("#past", lambda width: past_panels.past(story.events, now=view.now, width=width))
        self._show(
            "#scans",
            lambda width: past_panels.scans(story.scans, slide_id=self._slide_id, width=width),
            is_there=len(story.scans) > 1,
        )

    def _show(
        self, card: str, draw: Callable[[int], Content | None], *, is_there: bool = True
    ) -> None:
        found = self.query_one(card, Card)
        found.display = is_there
        found.show(lambda width: draw(width) or Content(""))

    def _ask(self) -> None:
        self._asked_at = None
        self.post_message(StoryWanted(self._slide_id))
        self.post_message(NamesWanted((self._slide_id,)))

    def _ask_details(self, slide: SlideStatus) -> None:
        """Ask the daemons anew whenever they may have more to tell."""
        coming = slide.words if slide.state is State.RECEIVING else ""
        at = (slide.slide_id, slide.revision, slide.stage, slide.state, coming)
        if at != self._asked_at:
            self._asked_at = at
            self.post_message(DetailsWanted(slide.slide_id))

    def _scan(self, step: int) -> str | None:
        """Find another scan of the container."""
        ids = [scan.slide_id for scan in self._story.scans] if self._story else []
        if self._slide_id not in ids:
            return None
        place = ids.index(self._slide_id) + step
        return ids[place] if 0 <= place < len(ids) else None

"""The slide picture as large as the terminal is, with what its colours mean."""

from textual.app import ComposeResult

from tui.panels import findings as findings_panels
from tui.screens.base import LineScreen
from tui.story import Story
from tui.view import NamesWanted, StoryWanted, View
from tui.widgets.card import Words
from tui.widgets.picture_view import PictureView

NOTHING = "There is no picture of this slide yet. It is made with the report."


class PictureScreen(LineScreen):
    """One picture, for a look at where an artifact lies."""

    HEADING = "picture"

    def __init__(self, view: View, slide_id: str) -> None:
        super().__init__(view)
        self._slide_id = slide_id
        self._story: Story | None = None

    @property
    def slide_id(self) -> str | None:
        """The slide whose picture is shown."""
        return self._slide_id

    def body(self) -> ComposeResult:
        """Put the colours' names below the picture."""
        yield PictureView(words_without=NOTHING, is_sharp=True, id="large")
        yield Words(id="colours")

    def on_mount(self) -> None:
        """Ask for the picture."""
        super().on_mount()
        self.query_one(PictureView).border_subtitle = "not to diagnose"
        self.post_message(StoryWanted(self._slide_id))
        self.post_message(NamesWanted((self._slide_id,)))

    def tell(self, story: Story) -> None:
        """Take the story with the picture."""
        if story.status.slide_id == self._slide_id:
            self._story = story
            self.show_again()

    def render_view(self, view: View) -> None:
        """Show picture and colours."""
        picture = self.query_one(PictureView)
        name = view.names.of(self._slide_id)
        if picture.border_title != name:
            picture.border_title = name
        story = self._story
        picture.show(story.picture if story else None, story.bare if story else None)
        found = story.findings if story else None
        self.query_one("#colours", Words).say(findings_panels.legend(found))

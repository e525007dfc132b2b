"""What the screens that show the line have in common."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widgets import Footer

from tui.action import Subject
from tui.story import Story
from tui.told import Details
from tui.view import View
from tui.widgets.bars import AlarmBar, StatusBar


class LineScreen(Screen[None]):
    """A full screen between the status line and the footer."""

    HEADING: ClassVar[str] = ""
    HAS_FILTER: ClassVar[bool] = False
    HAS_ORDER: ClassVar[bool] = False
    ACTS_ON: ClassVar[tuple[Subject, ...]] = (Subject.SLIDE,)
    """What the actions in the footer are about; the others are in help and palette."""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Back")]

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view

    @property
    def slide_id(self) -> str | None:
        """The slide that actions are about; None when this screen is about none."""
        return None

    def compose(self) -> ComposeResult:
        """Put the body between status line and footer."""
        yield StatusBar(self.HEADING)
        yield AlarmBar()
        yield from self.body()
        yield Footer(show_command_palette=False, compact=True)

    def body(self) -> ComposeResult:
        """Make what this screen is for."""
        yield from ()

    def on_mount(self) -> None:
        """Show what is known already."""
        self.call_after_refresh(self.show_again)

    def on_resize(self) -> None:
        """Fit to the new size."""
        self.call_after_refresh(self.show_again)

    def on_screen_resume(self) -> None:
        """Show what has changed while another screen was in front."""
        self.call_after_refresh(self.show_again)

    def show(self, view: View) -> None:
        """Show the newest view; behind another screen it is only kept.

        A change behind the screen in front would let Textual write all of that one again.
        """
        self.view = view
        if not (self.is_mounted and self.is_active):
            return
        try:
            self.query_one(StatusBar).show(view)
            self.query_one(AlarmBar).show(view)
            self.render_view(view)
        except NoMatches:
            # The screen is being taken down, children first, while news still comes.
            return

    def show_again(self) -> None:
        """Show the same view once more."""
        self.show(self.view)

    def render_view(self, view: View) -> None:
        """Bring the body up to date."""

    def tell(self, story: Story) -> None:
        """Take the story of a slide that was asked for."""

    def detail(self, slide_id: str, details: Details) -> None:
        """Take what daemons told of a slide."""

    def find(self) -> None:
        """Open the filter, where there is one."""

    def sort(self) -> None:
        """Go to the next order, where there are several."""

    def found(self, name: str, n_slides: int) -> None:
        """Take how many slides have a container identifier that was looked up."""

    def action_back(self) -> None:
        """Go back to the screen before."""
        self.dismiss()

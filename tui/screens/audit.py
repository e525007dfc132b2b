"""The audit trail: who did what to which slide, when; daemons and operators."""

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from appliance.line import Event
from appliance.stores.board import Board
from tui import audit
from tui.screens.live import MOST_KEPT, LiveScreen
from tui.view import View

LATE_NUMBERS = 200
"""On PostgreSQL an event may be committed after others that have higher numbers."""


class AuditScreen(LiveScreen[Event]):
    """The journal's events.

    Parameters
    ----------
    view
        What is known now.
    board
        Gives the journal's reader, raises TransientError while there is none; None reads nothing.
    slide_id
        Only of this slide; None for all.
    """

    HEADING = "audit"
    PLACEHOLDER = "Filter: who, what, a slide, its name …"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "operators", "Operators", tooltip="Only what people did, or everything."),
    ]

    def __init__(
        self, view: View, *, board: Callable[[], Board] | None, slide_id: str | None = None
    ) -> None:
        super().__init__(view)
        self._board = board
        self._of_slide = slide_id
        self._operators_only = False
        self._last = 0
        self._known: set[int] = set()

    def read(self) -> list[Event]:
        """Read what has happened since."""
        if self._board is None:
            return []
        after = max(0, self._last - LATE_NUMBERS)
        events = self._board().events(slide_id=self._of_slide, after=after, newest=MOST_KEPT)
        new = [event for event in events if event.number not in self._known]
        self._last = max((event.number for event in events), default=self._last)
        self._known = {event.number for event in events}
        return new

    def wanted(self, items: Iterable[Event]) -> list[Event]:
        """Keep the events of these words and actors."""
        return audit.wanted(
            items,
            self.sought,
            operators_only=self._operators_only,
            name_of=self.view.names.of,
        )

    def draw(self, item: Event, width: int) -> Content:
        """Draw an event in one line."""
        name = "" if self._of_slide else self.name_of(item)
        return audit.event_line(item, name=name, now=self.view.now, width=width)

    def draw_whole(self, item: Event, width: int) -> Content:
        """Draw an event with all its words."""
        return audit.whole_event(item, name=self.name_of(item), width=width)

    def which(self) -> str:
        """Say whose events are shown."""
        of_slide = f"slide {self.view.names.of(self._of_slide)} · " if self._of_slide else ""
        return f"{of_slide}{audit.OPERATORS_ONLY if self._operators_only else audit.EVERYONE}"

    def about(self, item: Event) -> str | None:
        """Give the slide that an event is about."""
        return item.slide_id

    def action_operators(self) -> None:
        """Show only what people did, or everything."""
        self._operators_only = not self._operators_only
        self.choose()

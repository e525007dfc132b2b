"""A card: text that is drawn for the width it has, and again when that changes."""

from collections.abc import Callable

from textual import events
from textual.content import Content
from textual.widgets import Static

Draw = Callable[[int], Content]
"""Text for so many cells of width."""


class Words(Static):
    """Text that is laid out again only when it says something else."""

    def say(self, content: Content) -> None:
        """Show this, unless it is shown already."""
        shown = self.content
        if not (isinstance(shown, Content) and shown.is_same(content)):
            height = self.styles.height
            # What is as high as ever needs no new place, and neither does all that is around it.
            self.update(content, layout=height is None or height.is_auto)


class Card(Words):
    """Shows what a pure function draws for the width of the card."""

    def __init__(self, title: str = "", *, id: str, classes: str = "card") -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.border_title = title
        self._draw: Draw | None = None
        self._drawn_for = 0

    def show(self, draw: Draw) -> None:
        """Show something else."""
        self._draw = draw
        self._update()

    def on_resize(self, _event: events.Resize) -> None:
        """Draw again for another width."""
        if self._drawn_for != self.content_size.width:
            self._update()

    def _update(self) -> None:
        self._drawn_for = self.content_size.width
        if self._draw is not None and self._drawn_for:
            self.say(self._draw(self._drawn_for))

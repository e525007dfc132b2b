"""A line to type in whose cursor stands still: nothing moves over a slow line."""

from typing import Any

from textual.widgets import Input


class Field(Input):
    """A line to type in; parameters as of `Input`."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.cursor_blink = False

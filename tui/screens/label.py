"""The label beside the header, for a technician to compare."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.label import LabelRead

NOTHING = "nothing that can be read"


class LabelScreen(ModalScreen[bool]):
    """Show a label; gives True when the technician accepts it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "close(True)", "Accept"),
        Binding("escape,enter,b", "close(False)", "Close"),
    ]

    def __init__(self, slide_name: str, label: LabelRead, *, may_accept: bool) -> None:
        super().__init__()
        self._slide_name = slide_name
        self._label = label
        self._may_accept = may_accept

    def compose(self) -> ComposeResult:
        """Put header and label below each other, so that they can be compared by eye."""
        label = self._label
        rows = (
            f"Label of {self._slide_name}",
            "",
            f"Header   {label.container_identifier or 'names no container'}",
            f"Barcode  {', '.join(label.barcodes) or NOTHING}",
            f"Text     {' '.join(label.texts) or NOTHING}",
            "",
            label.verdict,
        )
        keys = "a accepts it, escape leaves it" if self._may_accept else "escape goes back"
        with Vertical(classes="question"):
            yield Static("\n".join(rows), markup=False)
            yield Static(keys, classes="quiet")

    def action_close(self, accepted: bool) -> None:  # noqa: FBT001  Textual calls it by position
        """Go back; the label is accepted only where the slide waits for that."""
        if self._may_accept or not accepted:
            self.dismiss(accepted)

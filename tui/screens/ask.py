"""Two small questions: may it be done, and why."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static


class ConfirmScreen(ModalScreen[bool]):
    """Ask before something that cannot be taken back; gives True for yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self, question: str, yes: str) -> None:
        super().__init__()
        self._question = question
        self._yes = yes

    def compose(self) -> ComposeResult:
        """Ask, with No as the answer that enter gives."""
        with Vertical(classes="question"):
            yield Static(self._question, markup=False)
            with Horizontal():
                yield Button("No  (n)", id="no")
                yield Button(f"{self._yes}  (y)", id="yes", variant="primary")

    @on(Button.Pressed)
    def _pressed(self, message: Button.Pressed) -> None:
        self.dismiss(message.button.id == "yes")

    def action_answer(self, answer: bool) -> None:  # noqa: FBT001  Textual calls it by position
        """Give the answer."""
        self.dismiss(answer)


class ReasonScreen(ModalScreen[str | None]):
    """Ask why; gives None when it is not to be done."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "Cancel")]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Ask for one line."""
        with Vertical(classes="question"):
            yield Static(self._question, markup=False)
            yield Input(placeholder="broken glass, wrong stain …", max_length=200)
            yield Static("enter does it, escape leaves it", classes="quiet")

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        if message.value.strip():
            self.dismiss(message.value.strip())

    def action_give_up(self) -> None:
        """Leave it."""
        self.dismiss(None)

"""Three small questions: may it be done, why, and which one."""

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static

from tui.action import Choice
from tui.widgets.field import Field


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

    def __init__(self, question: str, *, may_be_empty: bool = False) -> None:
        super().__init__()
        self._question = question
        self._may_be_empty = may_be_empty

    def compose(self) -> ComposeResult:
        """Ask for one line."""
        hint = "enter does it, with or without words" if self._may_be_empty else "enter does it"
        example = "maintenance until six …" if self._may_be_empty else "broken glass, wrong stain …"
        with Vertical(classes="question"):
            yield Static(self._question, markup=False)
            yield Field(placeholder=example, max_length=200)
            yield Static(f"{hint}, escape leaves it", classes="quiet")

    def on_key(self, event: events.Key) -> None:
        """Keep what comes before the field has the focus: over a slow line keys come in one go."""
        fields = self.query(Input)
        if fields and event.is_printable and event.character:
            fields.first().insert_text_at_cursor(event.character)

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        reason = message.value.strip()
        if reason or self._may_be_empty:
            self.dismiss(reason)

    def action_give_up(self) -> None:
        """Leave it."""
        self.dismiss(None)


class ChoiceScreen(ModalScreen[str | None]):
    """Ask which one; gives its value, or None when none is chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "Cancel")]

    def __init__(self, question: str, choices: tuple[Choice, ...]) -> None:
        super().__init__()
        self._question = question
        self._choices = choices

    def compose(self) -> ComposeResult:
        """List the choices."""
        with Vertical(classes="question"):
            yield Static(self._question, markup=False)
            yield OptionList(*(one.label for one in self._choices), markup=False, compact=True)
            yield Static("enter takes the one marked, escape leaves it", classes="quiet")

    @on(OptionList.OptionSelected)
    def _selected(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[message.option_index].value)

    def action_give_up(self) -> None:
        """Leave it."""
        self.dismiss(None)

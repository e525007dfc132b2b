"""The PACS: asked for, and proved with a C-ECHO before anything is written."""

from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Button, Static

from tui.wizard import proof
from tui.wizard import questions as ask
from tui.wizard.form import StepScreen
from tui.wizard.proof import Result
from tui.wizard.questions import Answers

NO_HOST = "Enter the host of the PACS first."
ASKING = "Asking the PACS …"


class Echoed(Message):
    """A peer answered, or did not."""

    def __init__(self, result: Result) -> None:
        super().__init__()
        self.result = result


class PacsScreen(StepScreen):
    """Where reports go."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f5", "echo", "C-ECHO now")]

    def buttons(self) -> ComposeResult:
        """Offer a C-ECHO."""
        yield Button("C-ECHO now", id="echo", compact=True)

    @on(Button.Pressed, "#echo")
    def action_echo(self) -> None:
        """Ask the PACS whether it is alive."""
        self.keep()
        if not self.setup.answers[ask.PACS_HOST]:
            self.say(NO_HOST, worked=False)
            return
        self.query_one("#about", Static).update(ASKING)
        work = partial(self._echo, dict(self.setup.answers))
        self.run_worker(work, thread=True, group="echo", exclusive=True)

    def _echo(self, answers: Answers) -> None:
        self.post_message(Echoed(echo_pacs(answers)))

    @on(Echoed)
    def _echoed(self, message: Echoed) -> None:
        result = message.result
        self.query_one("#about", Static).update(self.SAYS)
        self.say(f"{result.title}: {result.sentence}", worked=result.worked)


def echo_pacs(answers: Answers) -> Result:
    """Send the C-ECHO that the answers describe."""
    return proof.echo(
        answers[ask.PACS_HOST],
        answers[ask.PACS_PORT],
        called=answers[ask.PACS_AE],
        calling=answers[ask.AE],
        ca=answers[ask.PACS_CA],
    )

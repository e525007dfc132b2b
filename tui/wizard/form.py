"""One step of the wizard on the screen: its questions, what is wrong with them, what they mean."""

from typing import ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Button, Footer, Input, Static

from tui.panels.summary import hanging, lines
from tui.rows import toned
from tui.screens.ask import ConfirmScreen
from tui.widgets.card import Card
from tui.widgets.field import Field
from tui.wizard import answering
from tui.wizard.interview import Interview
from tui.wizard.questions import Question, Step, scanner
from tui.words import Tone

LEAVE = "Leave without writing anything?"


def field_id(question_id: str) -> str:
    """Give the id of the field of a question; ids of widgets have no dots."""
    return "q-" + question_id.replace(".", "-")


class StepScreen(Screen[None]):
    """A step: a form, and the way on and back.

    Parameters
    ----------
    number
        Which of the steps, from 0.
    """

    NEXT = "Next"
    SAYS = "enter goes on, escape goes back"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        Binding("up", "app.focus_previous", "Up", show=False),
        Binding("down", "app.focus_next", "Down", show=False),
        Binding("f2", "next", "Go on"),
    ]

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    @property
    def setup(self) -> Interview:
        """The application that keeps the answers."""
        return cast("Interview", self.app)

    @property
    def step(self) -> Step:
        """What is asked here."""
        return self.setup.steps[self._number]

    def compose(self) -> ComposeResult:
        """Put the sentence above the questions, and what the one with the cursor means below."""
        n_steps = len(self.setup.steps)
        heading = f"[b]Coverslip setup[/b]  {self._number + 1} of {n_steps}: {self.step.title}"
        yield Static(heading, id="heading")
        yield Static(self.step.sentence, id="sentence", markup=False)
        with VerticalScroll(id="form", can_focus=False):
            yield from self.body()
            yield Card(id="facts", classes="")
            yield Card(id="wrong", classes="")
        yield Static("", id="about", markup=False)
        with Horizontal(id="buttons"):
            yield Button("Back", id="back", compact=True)
            yield from self.buttons()
            yield Button(self.NEXT, id="next", variant="primary", compact=True)
        yield Footer(show_command_palette=False, compact=True)

    def body(self) -> ComposeResult:
        """Make one row a question."""
        for question in self.step.questions:
            yield self.row(question)

    def buttons(self) -> ComposeResult:
        """Make what can be done beside going on and back."""
        yield from ()

    def row(self, question: Question) -> Widget:
        """Make the row of a question."""
        answer = self.setup.answers[question.id]
        return Vertical(
            Horizontal(
                Static(question.label, classes="label", markup=False),
                Field(answer, id=field_id(question.id), compact=True),
                classes="row",
            ),
            Static("", id=f"{field_id(question.id)}-wrong", classes="wrong", markup=False),
            classes="row",
        )

    def on_mount(self) -> None:
        """Begin at the first question."""
        fields, form = self.query(Input), self.query_one("#form")
        form.can_focus = not fields  # what has nothing to fill in is scrolled
        (fields.first() if fields else form).focus()
        self.show_facts()

    def on_screen_resume(self) -> None:
        """Say what is known again, since other answers may have changed it."""
        self.call_after_refresh(self.show_facts)

    def show_facts(self) -> None:
        """Say what this machine knows about the answers."""
        said = answering.facts(self.step, self.setup.answers, self.setup.models, now=self.setup.now)
        card = self.query_one("#facts", Card)
        card.show(lambda width: lines([hanging(toned("· ", "quiet"), one, width) for one in said]))
        # What is drawn while the screen is laid out for the first time may be given too few lines.
        self.call_after_refresh(card.refresh, layout=True)

    @property
    def asked(self) -> tuple[Question, ...]:
        """The questions that have a field."""
        return self.step.questions

    def keep(self) -> None:
        """Keep the answers as they stand in the fields."""
        for question in self.asked:
            self.setup.answers[question.id] = self._field(question).value.strip()

    def _field(self, question: Question) -> Input:
        return self.query_one(f"#{field_id(question.id)}", Input)

    def check(self) -> bool:
        """Show what is wrong with the answers; True when nothing is."""
        self.keep()
        setup = self.setup
        wrong = answering.wrong_at(self.step, setup.answers, setup.models, now=setup.now)
        for question in self.asked:
            sentence = wrong.get(question.id, "")
            note = self.query_one(f"#{field_id(question.id)}-wrong", Static)
            note.update(f"✕ {sentence}")
            note.display = bool(sentence)
        self.say("", worked=False)
        self.show_facts()
        first = next((one for one in self.asked if one.id in wrong), None)
        if first is not None:
            self._field(first).focus()
        return not wrong

    def say(self, sentence: str, *, worked: bool) -> None:
        """Say what came of something, below the questions."""
        card = self.query_one("#wrong", Card)
        mark = toned("✓ ", "good", bold=True) if worked else toned("✕ ", "bad", bold=True)
        tone: Tone = "good" if worked else "bad"
        card.show(lambda width: hanging(mark, sentence, width, tone) if sentence else Content(""))

    def action_next(self) -> None:
        """Go to the next step, when nothing is wrong with this one."""
        if self.check():
            self.setup.go(self._number + 1)

    def action_back(self) -> None:
        """Go to the step before; from the first one, leave."""
        self.keep()
        if self._number:
            self.dismiss()
        else:
            self.app.push_screen(
                ConfirmScreen(LEAVE, "Leave"), lambda yes: self.app.exit() if yes else None
            )

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Say what the question with the cursor is about."""
        about = {field_id(question.id): question.about for question in self.asked}
        self.query_one("#about", Static).update(about.get(event.widget.id or "", self.SAYS))

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        """Take back what was wrong with an answer once it is another one."""
        self.query_one(f"#{message.input.id}-wrong").display = False

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        if message.input is self.query(Input).last():
            self.action_next()
        else:
            self.focus_next()

    def on_key(self, event: events.Key) -> None:
        """Go on with enter where there is nothing to fill in."""
        if event.key == "enter" and self.focused is self.query_one("#form"):
            self.action_next()

    @on(Button.Pressed, "#next")
    def _next(self) -> None:
        self.action_next()

    @on(Button.Pressed, "#back")
    def _back(self) -> None:
        self.action_back()


class ScannersScreen(StepScreen):
    """As many scanners as there are."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f4", "another", "Another scanner")]

    def buttons(self) -> ComposeResult:
        """Offer another one."""
        yield Button("Another scanner", id="another", compact=True)

    @on(Button.Pressed, "#another")
    async def action_another(self) -> None:
        """Ask for one more scanner."""
        self.keep()
        number = self.setup.add_scanner()
        await self.query_one("#form").mount(*map(self.row, scanner(number)), before="#facts")
        self.query_one(f"#{field_id(f'scanners.{number}.name')}").focus()

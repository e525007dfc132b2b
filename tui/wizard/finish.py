"""The end of the wizard: the file as it will be, then what was done and what to do next."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message

from tui.panels import settings as settings_panels
from tui.panels.summary import hanging, lines
from tui.rows import toned
from tui.settings_file import Shown
from tui.widgets.card import Card
from tui.wizard import answering, document, proof
from tui.wizard import questions as ask
from tui.wizard.form import StepScreen
from tui.wizard.peers import echo_pacs
from tui.wizard.proof import Result
from tui.wizard.questions import Answers
from tui.words import Tone

TARGET = "coverslip.target"
WORKING = "Writing, making keys, asking the PACS …"


class Done(Message):
    """One more thing was done; None when it was the last."""

    def __init__(self, result: Result | None) -> None:
        super().__init__()
        self.result = result


class ReviewScreen(StepScreen):
    """The file, before it is written."""

    NEXT = "Write it"
    SAYS = "enter writes it, escape goes back, the arrows scroll"

    def body(self) -> ComposeResult:
        """Show the file."""
        yield Card(id="file", classes="")

    def on_screen_resume(self) -> None:
        """Write the file anew from the answers."""
        setup = self.setup
        text = document.write(setup.answers, setup.models, now=setup.now)
        wrong = answering.mistakes_in(setup.answers, setup.models, now=setup.now)
        shown = Shown(text=text)
        self.query_one("#file", Card).show(
            lambda width: settings_panels.file_lines(shown, width=width)
        )
        self.say(" ".join(map(answering.plain, wrong)), worked=False)

    def check(self) -> bool:
        """Whether the file as a whole is sound."""
        setup = self.setup
        return not answering.mistakes_in(setup.answers, setup.models, now=setup.now)


class ProofScreen(StepScreen):
    """What was done; there is no way back from here, and nothing runs yet."""

    NEXT = "Finish"
    SAYS = "enter ends the wizard, the arrows scroll"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Back", show=False)]

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._results: list[Result] = []
        self._is_done = False

    def body(self) -> ComposeResult:
        """Leave room for what comes of it."""
        yield Card(id="results", classes="")

    def on_mount(self) -> None:
        """Do it."""
        super().on_mount()
        self.query_one("#back").display = False
        self._draw()
        self.run_worker(self._work, thread=True, group="work")

    def _work(self) -> None:
        setup = self.setup
        text = document.write(setup.answers, setup.models, now=setup.now)
        for result in everything(setup.answers, text, now=setup.now):
            self.post_message(Done(result))
        self.post_message(Done(None))

    def on_done(self, message: Done) -> None:
        """Show one more result, and at the end what to do next."""
        if message.result is None:
            self._is_done = True
        else:
            self._results.append(message.result)
        self._draw()

    def _draw(self) -> None:
        results = tuple(self._results)
        later = next_steps(self.setup.answers, results) if self._is_done else None
        self.query_one("#results", Card).show(lambda width: drawn(results, later, width=width))

    def action_next(self) -> None:
        """Leave the wizard, once all is done."""
        if self._is_done:
            results = tuple(self._results)
            self.setup.exit(
                [f"{_mark(one)} {one.title}: {one.sentence}" for one in results]
                + [f"→ {step}" for step in next_steps(self.setup.answers, results)]
            )

    def action_back(self) -> None:
        """Stay: what was written is written."""


def everything(answers: Answers, text: str, *, now: float) -> Iterator[Result]:
    """Write the file, then make the storage and the keys and ask the PACS; stop where it fails."""
    written = proof.write_settings(Path(answers[ask.FILE]), text, now=now)
    yield written
    if not written.worked:
        return
    yield proof.make_folder(Path(answers[ask.ROOT]))
    yield proof.make_keys(Path(answers[ask.KEYS]))
    if answers[ask.PACS_HOST]:
        yield echo_pacs(answers)


def next_steps(answers: Answers, results: tuple[Result, ...]) -> tuple[str, ...]:
    """Say what a person does after the wizard."""
    file, ae, port = answers[ask.FILE], answers[ask.AE], answers[ask.PORT]
    settings = f"--settings {file} " if file != str(ask.STANDARD_FILE) else ""
    steps = [f"Put right what is marked {_mark(one)}: {one.title}." for one in results
             if not one.worked]  # fmt: skip
    missing = proof.missing_groups([answers[f"operators.{role}"] for role in ask.ROLES])
    if missing:
        steps.append(f"Make the operators' groups: groupadd {'; groupadd '.join(missing)}")
    return (
        *steps,
        f"Start the daemons: coverslip {settings}up; on an appliance: systemctl start {TARGET}",
        f"Enter at each scanner: AE title {ae}, port {port}; then press its own C-ECHO.",
        f"Look: coverslip {settings}tui. Send a slide: it appears by itself.",
    )


def drawn(results: tuple[Result, ...], later: tuple[str, ...] | None, *, width: int) -> Content:
    """Draw what was done, and what to do next; None while it is still being done."""
    parts = []
    for result in results:
        tone: Tone = "good" if result.worked else "bad"
        head = toned(f"{_mark(result)} ", tone, bold=True)
        parts.append(hanging(head, f"{result.title}: {result.sentence}", width))
    if later is None:
        return lines([*parts, toned(WORKING, "quiet")])
    parts.append(Content.assemble("\n", ("What to do next", "bold")))
    for number, step in enumerate(later, start=1):
        parts.append(hanging(toned(f"{number}. ", "busy", bold=True), step, width))
    return lines(parts)


def _mark(result: Result) -> str:
    return "✓" if result.worked else "✕"

"""What the wizard's steps share: the answers, which stay while the steps come and go."""

import time
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import ClassVar

from textual.app import App

from tui.themes import DARK, GREY, THEMES
from tui.wizard import disk
from tui.wizard import questions as ask
from tui.wizard.document import PinnedModel
from tui.wizard.questions import Step


class Interview(App[list[str]]):
    """Asks, and gives at the end what was done, line by line; None when nothing was.

    Parameters
    ----------
    file
        Where the settings are to be written, unless something else is answered.
    models
        Those that come with the appliance.
    clock
        Seconds since the epoch.
    """

    TITLE = "Coverslip setup"
    CSS_PATH: ClassVar[list[str | PurePath]] = [
        "../app.tcss",
        "../screens/ask.tcss",
        "setup.tcss",
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        file: Path,
        models: tuple[PinnedModel, ...],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        self.models = models
        self.now = clock()
        self._file = file
        self._n_scanners = 1
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = (GREY if self.no_color else DARK).name
        soft, hard = disk.limits_for(disk.room(Path(self._default(ask.ROOT)))[1])
        self.answers = {question.id: question.default for question in self._questions}
        self.answers |= {ask.SOFT: str(soft), ask.HARD: str(hard)}
        self.answers[ask.KEYS] = str(file.parent / "keys")

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps."""
        return ask.steps(self._file, n_scanners=self._n_scanners)

    @property
    def _questions(self) -> list[ask.Question]:
        return [question for step in self.steps for question in step.questions]

    def _default(self, question_id: str) -> str:
        return next(one.default for one in self._questions if one.id == question_id)

    def on_mount(self) -> None:
        """Begin."""
        self.go(0)

    @abstractmethod
    def go(self, number: int) -> None:
        """Show a step."""

    def add_scanner(self) -> int:
        """Make room for one more scanner; gives its number."""
        number = self._n_scanners
        self._n_scanners += 1
        self.answers |= {question.id: question.default for question in ask.scanner(number)}
        return number

"""The application: it keeps the newest view, hands it to the screens, and asks daemons to act.

Threads read the journal, the release daemon's names and a slide's story; they post frozen values,
and only the handlers here change what is shown.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import PurePath
from typing import ClassVar

from textual import on
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from appliance.line import SlideStatus
from appliance.settings import Settings
from appliance.storage import Root
from tui import label, names, rows
from tui.actions import ACTIONS, MOVES, Action, action_named, perform
from tui.feed import NO_ANSWER, TRY_AGAIN_S, JournalChanged, JournalFeed, JournalLost
from tui.keys import bindings
from tui.names import Names
from tui.screens.ask import ConfirmScreen, ReasonScreen
from tui.screens.base import LineScreen
from tui.screens.help import HelpScreen
from tui.screens.label import LabelScreen
from tui.screens.log import LogScreen
from tui.screens.slide import SlideScreen
from tui.screens.system import SystemScreen
from tui.screens.worklist import WorklistScreen
from tui.snapshot import Snapshot
from tui.story import read_story
from tui.themes import DARK, THEMES, next_theme
from tui.view import (
    ActionAnswered,
    LabelAnswered,
    NamesLearned,
    NamesWanted,
    StoryRead,
    StoryWanted,
    View,
)
from tui.widgets.slide_list import SlideList

STYLES: list[str | PurePath] = [
    "app.tcss",
    *(f"screens/{name}.tcss" for name in ("worklist", "slide", "system", "log", "ask")),
]
TICK_S = 1.0
ERROR_SHOWN_S = 12.0
WIDTH_CLASSES = [(0, "-narrow"), (rows.MEDIUM, "-medium"), (rows.WIDE, "-wide")]
HEIGHT_CLASSES = [(0, "-low"), (36, "-high")]
"""CSS classes of a screen from so many cells on."""


class CoverslipApp(App[None]):
    """The screen of the technician.

    Parameters
    ----------
    settings
        Checked settings: where journal, sockets and logs are.
    clock
        Seconds since the epoch.
    watch
        Whether to follow the journal; a test may show snapshots by itself instead.
    """

    TITLE = "Coverslip"
    CSS_PATH: ClassVar[list[str | PurePath]] = STYLES
    BINDINGS: ClassVar[list[BindingType]] = bindings()
    HORIZONTAL_BREAKPOINTS = WIDTH_CLASSES
    VERTICAL_BREAKPOINTS = HEIGHT_CLASSES

    def __init__(
        self, settings: Settings, *, clock: Callable[[], float] = time.time, watch: bool = True
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        self.settings = settings
        self._clock = clock
        self._watch = watch
        self._root = Root(settings.storage.root)
        self._names = Names()
        self._snapshot: Snapshot | None = None
        self._lost: str | None = None
        self._story_of: str | None = None
        self._feed = JournalFeed(settings, self.post_message, clock)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK.name

    @property
    def view(self) -> View:
        """What is known now."""
        return View(
            settings=self.settings,
            snapshot=self._snapshot,
            now=self._clock(),
            names=self._names,
            lost=self._lost,
        )

    def on_mount(self) -> None:
        """Begin at the worklist and watch the journal."""
        self.push_screen(WorklistScreen(self.view))
        if self._watch:
            self._start_feed()
            self.set_interval(TICK_S, self._show)

    def on_unmount(self) -> None:
        """Let the feed's thread end."""
        self._feed.stop()

    # What threads report.

    def _start_feed(self) -> None:
        self.run_worker(self._feed.run, thread=True, group="feed", exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say it when the feed died of a database error, and start it again after a while."""
        if event.worker.group == "feed" and event.state is WorkerState.ERROR:
            self.post_message(JournalLost(NO_ANSWER))
            self.set_timer(TRY_AGAIN_S, self._start_feed)

    @on(JournalChanged)
    def _changed(self, message: JournalChanged) -> None:
        before = self.view.slide(self._story_of)
        self._snapshot = message.snapshot
        self._lost = None
        self._show()
        after = self.view.slide(self._story_of)
        if _chapter(before) != _chapter(after):
            self._read_story(self._story_of)
            self.refresh_bindings()

    @on(JournalLost)
    def _journal_lost(self, message: JournalLost) -> None:
        self._lost = message.sentence
        self._show()

    @on(StoryRead)
    def _story_read(self, message: StoryRead) -> None:
        for screen in self._line_screens():
            screen.tell(message.story)

    @on(NamesLearned)
    def _names_learned(self, message: NamesLearned) -> None:
        if message.answers is None:
            self._names.not_there(message.wanted)
        else:
            self._names.learn(message.answers)
            self._show()

    @on(ActionAnswered)
    def _answered(self, message: ActionAnswered) -> None:
        answer = message.answer
        self.notify(
            answer.sentence,
            title=answer.title,
            severity="information" if answer.worked else "error",
            timeout=4.0 if answer.worked else ERROR_SHOWN_S,
            markup=False,
        )

    @on(LabelAnswered)
    def _label_answered(self, message: LabelAnswered) -> None:
        slide = self.view.slide(message.slide_id)
        if slide is None or not isinstance(self.screen, LineScreen):
            return
        self.push_screen(
            LabelScreen(
                self._names.of(slide.slide_id),
                message.label,
                may_accept=label.may_accept(slide),
            ),
            lambda yes: self._perform(label.ACCEPT_LABEL, slide, "") if yes else None,
        )

    def _line_screens(self) -> list[LineScreen]:
        return [screen for screen in self.screen_stack if isinstance(screen, LineScreen)]

    def _show(self) -> None:
        view = self.view
        for screen in self._line_screens():
            screen.show(view)

    # What screens ask for.

    @on(StoryWanted)
    def _story_wanted(self, message: StoryWanted) -> None:
        self._story_of = message.slide_id
        self._read_story(message.slide_id)

    def _read_story(self, slide_id: str | None) -> None:
        if slide_id is None or not self._watch or self._snapshot is None:
            return
        self.run_worker(
            partial(self._story_work, slide_id),
            thread=True,
            group="story",
            exclusive=True,
            exit_on_error=False,
        )

    def _story_work(self, slide_id: str) -> None:
        story = read_story(self._feed.board, self._root, slide_id)
        if story is not None:
            self.post_message(StoryRead(story))

    @on(NamesWanted)
    def _names_wanted(self, message: NamesWanted) -> None:
        wanted = self._names.to_ask(message.slide_ids, now=self._clock())
        if wanted and self._watch:
            self.run_worker(
                partial(self._names_work, wanted), thread=True, group="names", exit_on_error=False
            )

    def _names_work(self, wanted: tuple[str, ...]) -> None:
        self.post_message(NamesLearned(wanted, names.ask(self._root, wanted)))

    @on(SlideList.Opened)
    def _opened(self, message: SlideList.Opened) -> None:
        self.push_screen(SlideScreen(self.view, message.slide_id))

    # What the technician does.

    @property
    def slide(self) -> SlideStatus | None:
        """The slide that actions are about."""
        screen = self.screen
        return self.view.slide(screen.slide_id) if isinstance(screen, LineScreen) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out an action that makes no sense for the slide; hide the one for receiving."""
        if action == "find":
            return isinstance(self.screen, LineScreen) and self.screen.HAS_FILTER
        if action == "label":
            return self.slide is not None
        if action != "act":
            return True
        wanted = action_named(str(parameters[0]))
        slide = self.slide
        if slide is None:
            return False
        if slide.state in wanted.states:
            return True
        return False if wanted.asks == "confirm" else None

    def action_act(self, name: str) -> None:
        """Do something to the slide at the cursor, after a question where one is due."""
        slide = self.slide
        if slide is None:
            return
        action = action_named(name)
        question = action.question.format(slide=self._names.of(slide.slide_id))
        match action.asks:
            case "nothing":
                self._perform(action, slide, "")
            case "confirm":
                self.push_screen(
                    ConfirmScreen(question, action.label),
                    lambda yes: self._perform(action, slide, "") if yes else None,
                )
            case "reason":
                self.push_screen(
                    ReasonScreen(question),
                    lambda reason: self._perform(action, slide, reason) if reason else None,
                )

    def _perform(self, action: Action, slide: SlideStatus, reason: str) -> None:
        work = partial(self._action_work, action, slide, reason)
        self.run_worker(work, thread=True, group="action")

    def _action_work(self, action: Action, slide: SlideStatus, reason: str) -> None:
        name = self._names.of(slide.slide_id)
        answer = perform(action, slide, name=name, root=self._root, reason=reason)
        self.post_message(ActionAnswered(answer))

    def action_label(self) -> None:
        """Ask what the slide's label says."""
        if self.slide is not None:
            work = partial(self._label_work, self.slide.slide_id)
            self.run_worker(work, thread=True, group="label", exclusive=True)

    def _label_work(self, slide_id: str) -> None:
        read = label.ask(self._root, slide_id)
        if isinstance(read, label.LabelRead):
            self.post_message(LabelAnswered(slide_id, read))
        else:
            self.post_message(ActionAnswered(read))

    def action_find(self) -> None:
        """Open the filter of this screen."""
        if isinstance(self.screen, LineScreen):
            self.screen.find()

    def action_system(self) -> None:
        """Show the system."""
        self._go(SystemScreen(self.view))

    def action_log(self) -> None:
        """Show the log; from a slide in full, that slide's lines."""
        on_slide = isinstance(self.screen, SlideScreen)
        sought = self.slide.slide_id if on_slide and self.slide else ""
        folder = self.settings.storage.root / "log"
        self._go(LogScreen(self.view, folder=folder, sought=sought))

    def action_explain(self) -> None:
        """Show the help."""
        self._go(HelpScreen(self.view))

    def action_copy(self) -> None:
        """Copy the slide's id; works over SSH where the terminal allows it (OSC 52)."""
        if self.slide is not None:
            self.copy_to_clipboard(self.slide.slide_id)
            self.notify("The slide's id is on the clipboard.", title="Copied")

    def action_theme(self) -> None:
        """Go to the next theme."""
        self.theme = next_theme(self.theme).name

    def _go(self, screen: LineScreen) -> None:
        """Show a screen; one of the same kind on top is replaced."""
        if type(self.screen) is type(screen):
            self.pop_screen()
        else:
            self.push_screen(screen)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Fill the command palette from the same tables as the keys."""
        slide = self.slide
        for action in ACTIONS:
            if slide is not None and slide.state in action.states:
                title = f"{action.label} {self._names.of(slide.slide_id)}"
                yield SystemCommand(title, action.sentence, partial(self.action_act, action.name))
        for move in MOVES:
            yield SystemCommand(
                move.label, move.sentence, partial(screen.run_action, f"app.{move.name}")
            )


def _chapter(slide: SlideStatus | None) -> object:
    """Give what of a slide makes its story worth reading again; progress alone does not."""
    if slide is None:
        return None
    return (slide.revision, slide.stage, slide.state, slide.verdict, slide.deliveries)

"""The half of the application that follows the line: it keeps the newest view and shows it.

Threads read the journal, the release daemon's names and a slide's story (`tui.asking`); they post
frozen values, and only the handlers here change what is shown.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

from textual import on
from textual.app import App
from textual.worker import Worker, WorkerState

from appliance.errors import ApplianceError
from appliance.line import Role, SlideStatus
from appliance.settings import Settings
from appliance.storage import Root
from appliance.stores.board import Board
from tui.action import Answer
from tui.arrangement import Arrangement
from tui.asking import Asking
from tui.feed import NO_ANSWER, TRY_AGAIN_S, JournalChanged, JournalFeed, JournalLost
from tui.health import daemons_of
from tui.names import Names, has_identity
from tui.performing import refusal
from tui.preferences import Preferences
from tui.screens.base import LineScreen
from tui.snapshot import Snapshot
from tui.terminal.alert import Alerts, ring
from tui.terminal.graphics import Terminal
from tui.themes import DARK, GREY, SHORT_NAMES, THEMES
from tui.view import (
    ActionAnswered,
    DetailsTold,
    DetailsWanted,
    NamesLearned,
    NamesWanted,
    RoleLearned,
    SlidesFound,
    SlidesSought,
    StoryRead,
    StoryWanted,
    View,
)

TICK_S = 1.0
ROLE_EVERY_S = 60.0
ROLE_AGAIN_S = 5.0
ERROR_SHOWN_S = 12.0
BROKE_OFF = Answer(
    title="The daemon's answer was not understood.",
    sentence="Look at the slide before you try again; tell the administrator.",
    worked=False,
)


class FollowingApp(App[None]):
    """Follows one line, and shows it on the screens that are open.

    Parameters
    ----------
    settings
        Checked settings: where journal, sockets and logs are.
    clock
        Seconds since the epoch.
    watch
        Whether to follow the journal; a test may show snapshots by itself instead.
    liked
        How the technician likes the screen.
    own_file
        Where that is kept; None keeps nothing.
    settings_file
        Where the settings came from, to show it.
    terminal
        Which graphics it has; None draws pictures in half cells.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        watch: bool = True,
        liked: Preferences | None = None,
        own_file: Path | None = None,
        settings_file: Path | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        self.settings = settings
        self.preferences = liked or Preferences()
        self._own_file = own_file
        self.settings_file = settings_file
        self.terminal = terminal or Terminal()
        self._clock = clock
        self._watch = watch
        self._names = Names()
        self._arrangement = Arrangement()
        self._alerts = Alerts()
        self._snapshot: Snapshot | None = None
        self._lost: str | None = None
        self._shown_at = -math.inf
        self._role: Role | None = None
        self._story_of: str | None = None
        self._feed = JournalFeed(settings, self.post_message, clock)
        self.asking = Asking(self, Root(settings.storage.root), self._feed)
        for theme in THEMES:
            self.register_theme(theme)
        chosen = GREY if self.no_color else SHORT_NAMES.get(self.preferences.theme, DARK)
        self.theme = chosen.name
        self.set_keymap(dict(self.preferences.keys))

    @property
    def view(self) -> View:
        """What is known now."""
        return View(
            settings=self.settings,
            snapshot=self._snapshot,
            now=self._clock(),
            names=self._names,
            arrangement=self._arrangement,
            lost=self._lost,
            role=self._role,
        )

    @property
    def board(self) -> Callable[[], Board] | None:
        """Gives the journal's reader; None where nothing is followed."""
        return (lambda: self._feed.board) if self._watch else None

    def on_mount(self) -> None:
        """Begin to watch the journal."""
        for mistake in self.preferences.mistakes:
            self.notify(
                mistake,
                title="Your own file",
                severity="warning",
                timeout=ERROR_SHOWN_S,
                markup=False,
            )
        if self._watch:
            self._start_feed()
            self._ask_role()
            self.set_interval(TICK_S, self._tick)

    def on_unmount(self) -> None:
        """Let the feed's thread end."""
        self._feed.stop()

    # What threads report.

    def _start_feed(self) -> None:
        self.run_worker(self._feed.run, thread=True, group="feed", exit_on_error=False)

    def _ask_role(self) -> None:
        self.asking.role(daemons_of(self.settings))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say it when a thread died, and start the feed again after a while."""
        group, state = event.worker.group, event.state
        if group == "feed" and state is WorkerState.ERROR:
            self.post_message(JournalLost(NO_ANSWER))
            self.set_timer(TRY_AGAIN_S, self._start_feed)
        if group == "role" and state in (WorkerState.SUCCESS, WorkerState.ERROR):
            wait_s = ROLE_AGAIN_S if self._role is None else ROLE_EVERY_S
            self.set_timer(wait_s, self._ask_role)
        if group in ("action", "label") and state is WorkerState.ERROR:
            self.post_message(ActionAnswered(BROKE_OFF))

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

    @on(DetailsTold)
    def _details_told(self, message: DetailsTold) -> None:
        for screen in self._line_screens():
            screen.detail(message.slide_id, message.details)

    @on(NamesLearned)
    def _names_learned(self, message: NamesLearned) -> None:
        if message.answers is None:
            self._names.not_there(message.wanted)
        else:
            self._names.learn(message.answers)
            self._show()

    @on(SlidesFound)
    def _slides_found(self, message: SlidesFound) -> None:
        found = message.found
        if isinstance(found, ApplianceError):
            self.post_message(ActionAnswered(refusal(found, "node")))
            return
        self._names.learn(found)
        for screen in self._line_screens():
            screen.found(message.name, len(found))
        self._show()

    @on(RoleLearned)
    def _role_learned(self, message: RoleLearned) -> None:
        if message.role != self._role:
            self._role = message.role
            self._show()
            self.refresh_bindings()

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

    def _line_screens(self) -> list[LineScreen]:
        return [screen for screen in self.screen_stack if isinstance(screen, LineScreen)]

    def _tick(self) -> None:
        """Let time pass on the screen, unless news have just brought it up to date."""
        if time.monotonic() - self._shown_at >= TICK_S / 2:
            self._show()

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        view = self.view
        for screen in self._line_screens():
            screen.show(view)
        if view.snapshot is not None:
            self._alert(self._alerts.look(view.followed))

    def _alert(self, sentence: str) -> None:
        """Let the terminal ring when something is new."""
        if sentence and self._driver is not None and not self.is_headless:
            liked = self.preferences
            self._driver.write(ring(sentence, bell=liked.bell, desktop=liked.desktop))

    # What screens ask for.

    @on(StoryWanted)
    def _story_wanted(self, message: StoryWanted) -> None:
        self._story_of = message.slide_id
        self._read_story(message.slide_id)

    def _read_story(self, slide_id: str | None) -> None:
        if slide_id is not None and self._watch and self._snapshot is not None:
            self.asking.story(slide_id)

    @on(DetailsWanted)
    def _details_wanted(self, message: DetailsWanted) -> None:
        if self._watch:
            self.asking.details(message.slide_id)

    @on(NamesWanted)
    def _names_wanted(self, message: NamesWanted) -> None:
        view = self.view
        sealed = [one for one in message.slide_ids if has_identity(view.slide(one))]
        wanted = self._names.to_ask(sealed, now=view.now)
        if wanted and self._watch:
            self.asking.names(wanted)

    @on(SlidesSought)
    def _slides_sought(self, message: SlidesSought) -> None:
        if self._watch:
            self.asking.find(message.name)


def _chapter(slide: SlideStatus | None) -> object:
    """Give what of a slide makes its story worth reading again; progress alone does not."""
    if slide is None:
        return None
    return (slide.revision, slide.stage, slide.state, slide.verdict, slide.mark, slide.deliveries)

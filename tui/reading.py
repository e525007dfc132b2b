"""Follows the line without a screen: each view of it in turn, for what prints or waits."""

import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from appliance.settings import Settings
from appliance.storage import Root
from tui import names
from tui.arrangement import Arrangement
from tui.feed import NO_ANSWER, JournalChanged, JournalFeed, JournalLost
from tui.names import Names
from tui.view import View

LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Follows the journal and gives each view of it."""

    settings: Settings
    wants_names: bool = False
    clock: Callable[[], float] = time.time
    _names: Names = field(default_factory=Names)
    _arrangement: Arrangement = field(default_factory=Arrangement)

    @contextmanager
    def views(self) -> Iterator[Iterator[View]]:
        """Follow the journal for as long as the context is open."""
        posted: queue.Queue[object] = queue.Queue()
        feed = JournalFeed(self.settings, posted.put, self.clock)
        with ThreadPoolExecutor(1, "feed") as pool:
            try:
                yield self._each(posted, pool, feed)
            finally:
                feed.stop()

    def _each(
        self, posted: queue.Queue[object], pool: ThreadPoolExecutor, feed: JournalFeed
    ) -> Iterator[View]:
        view = View(
            settings=self.settings,
            snapshot=None,
            now=self.clock(),
            names=self._names,
            arrangement=self._arrangement,
        )
        following = pool.submit(feed.run)
        while True:
            try:
                message = posted.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                message = JournalLost(NO_ANSWER) if following.done() else None
                following = pool.submit(feed.run) if following.done() else following
            now = self.clock()
            if isinstance(message, JournalChanged):
                view = replace(view, snapshot=message.snapshot, now=now, lost=None)
            elif isinstance(message, JournalLost):
                view = replace(view, lost=message.sentence, now=now)
            else:
                continue
            self._learn_names(view)
            yield view

    def _learn_names(self, view: View) -> None:
        """Ask the release daemon for container identifiers; each question is audited there."""
        root = Root(self.settings.storage.root)
        every = [slide.slide_id for slide in view.slides] if self.wants_names else []
        while wanted := self._names.to_ask(every, now=view.now):
            answers = names.ask(root, wanted)
            if answers is None:
                self._names.not_there(wanted)
                return
            self._names.learn(answers)

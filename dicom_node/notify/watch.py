"""Looks at the line every few seconds and writes into the notebook what is to be told."""

import time
from collections.abc import Callable

from appliance.errors import TransientError
from appliance.settings import Notices, Settings
from appliance.stores.journal import Journal
from dicom_node.notify.hours import LocalTime, QuietHours
from dicom_node.notify.looking import look, notices_of
from dicom_node.notify.memory import Memory
from dicom_node.notify.notebook import Notebook
from dicom_node.notify.notice import Notice, of_journal

LOOK_EVERY_S = 5.0
REST_A_LOOK = 10.0
"""Rest at least so many times as long as a look took: thousands of slides make it longer."""
LONGEST_REST_S = 60.0


class Watch:
    """Finds what is new.

    Parameters
    ----------
    journal
        Only read.
    settings
        Checked settings.
    terms
        Their table of notices.
    notebook
        Where it is written.
    clock
        Seconds since the epoch.
    local
        Gives the local time of a moment.
    """

    def __init__(
        self,
        journal: Journal,
        settings: Settings,
        terms: Notices,
        notebook: Notebook,
        *,
        clock: Callable[[], float] = time.time,
        local: LocalTime = time.localtime,
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._terms = terms
        self._notebook = notebook
        self._clock = clock
        self._local = local
        self._hours = QuietHours.of(terms.quiet_hours)
        self._began_at = self._answered_at = clock()
        self._seen: tuple[Notice, ...] = ()
        self._looked_at = float("-inf")
        self._rest_s = LOOK_EVERY_S

    @property
    def is_quiet(self) -> bool:
        """Whether these are quiet hours."""
        return self._hours.cover(self._clock(), self._local)

    def step(self) -> bool:
        """Look, when it is time to; there is never more to do at once."""
        now = self._clock()
        if not 0 <= now - self._looked_at < self._rest_s:
            self._looked_at = now
            self._look(now)
            took_s = self._clock() - now
            self._rest_s = min(max(LOOK_EVERY_S, REST_A_LOOK * took_s), LONGEST_REST_S)
        return False

    def words(self) -> str:
        """Say it for the screen when nothing is sent now."""
        return f"quiet until {self._hours.end}" if self.is_quiet else ""

    def _look(self, now: float) -> None:
        try:
            seen = look(self._journal, self._settings, began_at=self._began_at, clock=self._clock)
        except TransientError:
            self._blind(now)
            return
        self._answered_at = now
        self._seen = notices_of(seen, self._settings)
        self._write(self._seen, now)

    def _blind(self, now: float) -> None:
        """Without the journal nothing can be seen to end; that it is silent is news of its own."""
        is_news = "daemon" in self._terms.tell and now - self._answered_at > self._terms.silent_s
        if is_news:
            self._write((*self._seen, of_journal()), now)

    def _write(self, notices: tuple[Notice, ...], now: float) -> None:
        terms, is_quiet = self._terms, self.is_quiet

        def change(memory: Memory) -> Memory:
            return memory.observed(notices, now=now).packed(
                now=now,
                gather_s=terms.gather_s,
                is_quiet=is_quiet,
                through=terms.through_quiet_hours,
            )

        self._notebook.change(change)

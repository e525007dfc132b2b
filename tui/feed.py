"""The feed: a thread that watches the journal and tells the screen what changed.

It polls `Board.data_version` twice a second (5 µs), reads only when another process has written,
and then only the slides that changed. It never touches a widget: it posts frozen snapshots, of
which only the newest survives.
"""

import math
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from appliance.daemon import open_journal
from appliance.errors import ApplianceError, TransientError
from appliance.line import DiskSample
from appliance.settings import Settings
from appliance.stores.shown_board import ShownBoard
from tui.register import Register
from tui.snapshot import Disk, Snapshot

POLL_EVERY_S = 0.5
AT_LEAST_EVERY_S = 10.0
"""Disk space changes without a word in the journal."""
TRY_AGAIN_S = 2.0
DISK_DAYS_S = 7 * 86_400.0
SQLITE = "sqlite:///"

NOT_YET = "There is no journal yet: no daemon has been started on this machine."
NO_ANSWER = "The journal does not answer; what is shown may be old."


class JournalChanged(Message):
    """The line has changed; an older message of this kind that still waits is dropped."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        """Only the newest snapshot is worth showing."""
        return isinstance(message, JournalChanged)


class JournalLost(Message):
    """The journal cannot be read now; the feed goes on trying."""

    def __init__(self, sentence: str) -> None:
        super().__init__()
        self.sentence = sentence

    def can_replace(self, message: Message) -> bool:
        """Only the newest reason is worth showing."""
        return isinstance(message, JournalLost)


class JournalFeed:
    """Watches one journal.

    Parameters
    ----------
    settings
        Where the journal and the zones are.
    post
        Takes a message from any thread, such as `App.post_message`.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        post: Callable[[Message], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._post = post
        self._clock = clock
        self._stop = threading.Event()
        self._board: ShownBoard | None = None

    @property
    def board(self) -> ShownBoard:
        """The journal's reader; raises TransientError while there is none."""
        if self._board is None:
            raise TransientError(NO_ANSWER)
        return self._board

    def stop(self) -> None:
        """Let `run` end soon."""
        self._stop.set()

    def run(self) -> None:
        """Watch until stopped. A database error ends it: the screen says so and starts it again."""
        while not self._stop.is_set():
            if not self._exists():
                self._post(JournalLost(NOT_YET))
                self._stop.wait(TRY_AGAIN_S)
                continue
            try:
                self._board = open_journal(self._settings, self._clock).shown
                self._watch(self._board)
            except ApplianceError as error:
                self._post(JournalLost(str(error)))
                self._stop.wait(TRY_AGAIN_S)

    def _watch(self, board: ShownBoard) -> None:
        """Post a snapshot whenever there is news, until the file is another or we are stopped."""
        file = self._file_number()
        register = Register(board)
        samples: tuple[DiskSample, ...] = ()
        seen: int | None = None
        shown_at = sampled_at = -math.inf
        while not self._stop.is_set() and self._file_number() == file:
            version = board.data_version()
            moment = time.monotonic()
            if moment - sampled_at > AT_LEAST_EVERY_S:
                samples = board.disk_samples(since=self._clock() - DISK_DAYS_S)
                sampled_at = moment
            due = moment - shown_at > AT_LEAST_EVERY_S
            if version != seen or due or not board.tells_every_write:
                seen, shown_at = version, moment
                self._post(JournalChanged(self._snapshot(board, register, samples)))
            self._stop.wait(POLL_EVERY_S)

    def _snapshot(
        self, board: ShownBoard, register: Register, samples: tuple[DiskSample, ...]
    ) -> Snapshot:
        now = self._clock()
        register.read(now)
        heartbeats, pauses = board.heartbeats(), board.pauses()
        return Snapshot(
            at=now,
            slides=register.slides,
            heartbeats=heartbeats,
            shards=register.shards,
            disk=disk_of(self._settings.storage.root),
            disk_samples=samples,
            pauses=pauses,
            unreadable=board.unreadable,
            counted=register.tally,
        )

    def _path(self) -> Path | None:
        url = self._settings.journal_url
        return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None

    def _exists(self) -> bool:
        """Whether there is a journal; opening one that is missing would make it."""
        path = self._path()
        return path is None or path.is_file()

    def _file_number(self) -> int:
        """Inode of the journal: another one means that it was replaced under us."""
        path = self._path()
        if path is None:
            return 0
        try:
            return path.stat().st_ino
        except OSError:
            return -1


def disk_of(folder: Path) -> Disk | None:
    """Measure the file system of a folder; None when it is not there."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(free_bytes=usage.free, total_bytes=usage.total)

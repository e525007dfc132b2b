"""What the system screen knows beyond the journal: asked of every daemon while it is shown.

A thread asks the control sockets all at once, so that one that hangs holds up no other, and posts
frozen values of which only the newest survives.
"""

import platform
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import textual
from textual.message import Message

from appliance import __version__, control, facts
from appliance.errors import ApplianceError
from appliance.facts import Facts, OpenAssociation, Told
from appliance.settings import Settings
from appliance.storage import Root
from appliance.stores.board import Board
from appliance.stores.figures import Throughput
from tui.health import daemons_of
from tui.machine import Machine, Ticks, read_machine, read_ticks

ASK_EVERY_S: Final = 2.0
ANSWER_LIMIT_S: Final = 2.0
COUNT_EVERY_S: Final = 10.0
BIN_S: Final = 600.0
N_BINS: Final = 144
"""A day."""
_ASKED_AT_ONCE: Final = 8
_NOT_ALLOWED: Final = "Your user may not ask the {} daemon: it is in none of the operators' groups."


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What this screen is made of."""

    coverslip: str
    python: str
    textual: str


_VERSIONS: Final = Versions(
    coverslip=__version__, python=platform.python_version(), textual=textual.__version__
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFacts:
    """What is known of the daemons and of the machine at one moment."""

    at: float
    told: Mapping[str, Told] = field(default_factory=dict)
    """What daemons told, by their name."""
    silent: Mapping[str, str] = field(default_factory=dict)
    """Why a daemon told nothing, by its name."""
    machine: Machine | None = None
    throughput: Throughput | None = None
    speeds: Mapping[str, float] = field(default_factory=dict)
    """Bytes a second of each open association, by its name."""
    versions: Versions | None = None

    def of(self, daemon: str) -> Facts:
        """Give what a daemon told; nothing when it did not."""
        told = self.told.get(daemon)
        return told.facts if told else Facts()


class FactsRead(Message):
    """The daemons were asked; an older message of this kind that still waits is dropped."""

    def __init__(self, found: SystemFacts) -> None:
        super().__init__()
        self.facts = found

    def can_replace(self, message: Message) -> bool:
        """Only the newest answers are worth showing."""
        return isinstance(message, FactsRead)


class FactsFeed:
    """Asks every daemon again and again until it is stopped.

    Parameters
    ----------
    settings
        Which daemons there are, and where their sockets.
    board
        Gives the journal's reader; may raise ApplianceError while there is none.
    post
        Takes a message from any thread.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        board: Callable[[], Board],
        post: Callable[[Message], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._root = Root(settings.storage.root)
        self._board = board
        self._post = post
        self._clock = clock
        self._stop = threading.Event()
        self._ticks: Ticks | None = None
        self._counted: Throughput | None = None
        self._counted_at = float("-inf")
        self._before: SystemFacts | None = None

    def stop(self) -> None:
        """Let `run` end soon."""
        self._stop.set()

    def run(self) -> None:
        """Ask until stopped."""
        with ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="facts") as pool:
            while not self._stop.is_set():
                self._post(FactsRead(self.read(pool)))
                self._stop.wait(ASK_EVERY_S)

    def read(self, pool: ThreadPoolExecutor) -> SystemFacts:
        """Ask everyone once."""
        daemons = daemons_of(self._settings)
        answers = dict(zip(daemons, pool.map(partial(ask, self._root), daemons), strict=True))
        told = {name: answer for name, answer in answers.items() if isinstance(answer, Told)}
        ticks = read_ticks()
        found = SystemFacts(
            at=self._clock(),
            told=told,
            silent={name: answer for name, answer in answers.items() if isinstance(answer, str)},
            machine=read_machine(ticks, self._ticks),
            throughput=self._throughput(),
            speeds=self._speeds(told),
            versions=_VERSIONS,
        )
        self._ticks, self._before = ticks, found
        return found

    def _throughput(self) -> Throughput | None:
        if time.monotonic() - self._counted_at >= COUNT_EVERY_S:
            since = (self._clock() // BIN_S - (N_BINS - 1)) * BIN_S
            try:
                self._counted = self._board().throughput(since=since, bin_s=BIN_S, n_bins=N_BINS)
                self._counted_at = time.monotonic()
            except ApplianceError:
                return self._counted  # the screen says by itself that the journal is away
        return self._counted

    def _speeds(self, told: Mapping[str, Told]) -> dict[str, float]:
        if self._before is None:
            return {}
        before = {one.name: one for one in _associations(self._before.told)}
        passed_s = self._clock() - self._before.at
        return {
            one.name: max(0, one.n_bytes - before[one.name].n_bytes) / passed_s
            for one in _associations(told)
            if one.name in before and passed_s > 0
        }


def ask(root: Root, daemon: str) -> Told | str:
    """Ask a daemon for its status; the sentence why not when there is no answer."""
    try:
        answer = control.ask(root.socket(daemon), "status", {}, limit_s=ANSWER_LIMIT_S)
    except ApplianceError as error:
        if isinstance(error.__cause__, PermissionError):
            return _NOT_ALLOWED.format(daemon)
        return str(error)
    return facts.read(answer)


def _associations(told: Mapping[str, Told]) -> list[OpenAssociation]:
    return [one for answer in told.values() for one in answer.facts.associations]

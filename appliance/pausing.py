"""Pauses: an operator tells a daemon to begin nothing new, until it is told to go on.

A pause is a row of the journal, so that it outlives a restart and every process of a daemon sees
it. What is under way ends as it would.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from appliance.control import Command, Operator
from appliance.errors import TransientError
from appliance.line import DAEMONS, Role, Stage
from appliance.stores.journal import Journal

LOOK_EVERY_S = 0.5
DELIVER = "deliver@"
NODE = DAEMONS[Stage.ASSEMBLE]


class Pausing:
    """Whether a daemon is paused; asked as often as one likes, looked up now and then.

    Parameters
    ----------
    journal
        Where the pause is written.
    daemon
        Its name.
    clock
        Monotonic seconds.
    look_every_s
        How old an answer may be.
    """

    def __init__(
        self,
        journal: Journal,
        daemon: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._board = journal.board
        self._daemon = daemon
        self._clock = clock
        self._look_every_s = look_every_s
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._paused = False

    def __call__(self) -> bool:
        """Give the last answer while the journal does not give a new one."""
        with self._lock:
            now = self._clock()
            if now - self._looked_at >= self._look_every_s:
                self._looked_at = now
                self._look()
            return self._paused

    def _look(self) -> None:
        try:
            self._paused = any(one.daemon == self._daemon for one in self._board.pauses())
        except TransientError:
            return


def can_pause(daemon: str) -> bool:
    """Whether a daemon has something to pause: slides to work, to take or to send."""
    return daemon in DAEMONS.values() or daemon.startswith(DELIVER)


def pause_actions(journal: Journal, daemon: str) -> dict[str, Command]:
    """Give the actions by which a daemon is paused and goes on; none for one that cannot."""
    if not can_pause(daemon):
        return {}
    who, stops, goes = _words(daemon)

    def pause(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        reason = str(arguments.get("reason", ""))
        words = f"{who} {stops}."
        journal.pause(daemon, operator=operator.name, reason=reason, words=words)
        return {"done": "pause", "words": words}

    def go_on(operator: Operator, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        words = f"{who} {goes}."
        journal.go_on(daemon, operator=operator.name, words=words)
        return {"done": "go_on", "words": words}

    return {
        "pause": Command(role=Role.TECHNICIAN, run=pause),
        "go_on": Command(role=Role.TECHNICIAN, run=go_on),
    }


def _words(daemon: str) -> tuple[str, str, str]:
    """Say who pauses, what that means, and what it means to go on."""
    if daemon == NODE:
        return "The node", "takes no new slides; what is under way goes on", "takes slides again"
    if daemon.startswith(DELIVER):
        route = daemon.removeprefix(DELIVER)
        return f"Route {route}", "sends nothing more until it goes on", "sends again"
    return f"The {daemon} daemon", "begins no new slide until it goes on", "works again"

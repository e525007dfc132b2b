"""Further processes that receive: on the node's port, as one core is not the limit, and by web.

The node starts them, starts again whatever dies, and they end when the node does, however it ends.
What one of them was receiving when it died is swept; the others notice nothing.
"""

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Final

from appliance import logs
from appliance.daemon import open_journal
from appliance.ending import ends_on
from appliance.settings import Settings
from appliance.storage import Root
from dicom_node.receiving import build_receiving

log = logging.getLogger(__name__)

_STOP_LIMIT_S: Final = 5.0
_RESTART_AFTER_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process beside the node: what it runs, on which bound socket."""

    name: str
    run: Callable[[Settings, socket.socket], None]
    listening: socket.socket

    @property
    def port(self) -> int:
        """The bound port."""
        return int(self.listening.getsockname()[1])


class Listeners:
    """The processes beside the node itself.

    Parameters
    ----------
    settings
        `node.listeners` counts the node too.
    listening
        The bound socket; the listeners share it.
    others
        What else receives.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        listening: socket.socket,
        others: Sequence[Child] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        listener = Child(name="listener", run=run_listener, listening=listening)
        self._settings = settings
        self._children = [*[listener] * (settings.node.listeners - 1), *others]
        self._clock = clock
        self._processes: dict[int, SpawnProcess] = {}
        self._started_at: dict[int, float] = {}

    def tend(self) -> bool:
        """Start what is missing; False, so that the daemon waits before the next look."""
        for number, child in enumerate(self._children):
            process = self._processes.get(number)
            if process is not None and process.is_alive():
                continue
            if self._clock() - self._started_at.get(number, float("-inf")) < _RESTART_AFTER_S:
                continue  # one that dies at its start must not keep a core busy
            if process is not None:
                log.error("a %s died and is started again", child.name)
            self._processes[number] = multiprocessing.get_context("spawn").Process(
                target=child.run, args=(self._settings, child.listening), name=child.name
            )
            self._processes[number].start()
            self._started_at[number] = self._clock()
        return False

    def stop(self) -> None:
        """End them all, politely first."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.join(_STOP_LIMIT_S)
            if process.is_alive():
                process.kill()
                process.join()
        self._processes.clear()


def run_listener(settings: Settings, listening: socket.socket) -> None:
    """Receive until told to stop, or until the node is gone."""
    stop = become_child(settings)
    listening.settimeout(0)
    receiving = build_receiving(settings, open_journal(settings), listening)
    receiving.scp.start()
    stop.wait()
    receiving.scp.stop()


def become_child(settings: Settings) -> threading.Event:
    """Log as the node does, end when it is gone, and give the event that says to stop."""
    stop = threading.Event()
    ends_on(signal.SIGTERM, event=stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the node ends us when it was interrupted
    logs.set_up("node", file=Root(settings.storage.root).zone("log") / "node.log")
    node = multiprocessing.parent_process()
    assert node is not None  # noqa: S101  this is a process of its own
    threading.Thread(target=_end_with, args=(node,), name="node watch", daemon=True).start()
    return stop


def _end_with(node: BaseProcess) -> None:
    """End at once when the node is gone: nobody sweeps, assembles or answers for us then."""
    node.join()
    os._exit(1)

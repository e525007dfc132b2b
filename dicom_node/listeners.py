"""Further processes that receive on the node's port, so that one core is not the limit.

The node starts them, starts again whatever dies, and they end when the node does, however it ends.
What one of them was receiving when it died is swept; the others notice nothing.
"""

import logging
import multiprocessing
import os
import signal
import socket
import threading
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Final

from appliance import logs
from appliance.daemon import open_journal
from appliance.settings import Settings
from appliance.storage import Root
from dicom_node.receiving import build_receiving

log = logging.getLogger(__name__)

_STOP_LIMIT_S: Final = 5.0


class Listeners:
    """The processes beside the node itself.

    Parameters
    ----------
    settings
        `node.listeners` counts the node too.
    listening
        The bound socket; the processes share it.
    """

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._settings = settings
        self._listening = listening
        self._processes: list[SpawnProcess] = []

    def tend(self) -> bool:
        """Start what is missing; False, so that the daemon waits before the next look."""
        for process in self._processes:
            if not process.is_alive():
                log.error("a listener died and is started again")
        self._processes = [one for one in self._processes if one.is_alive()]
        for _ in range(self._settings.node.listeners - 1 - len(self._processes)):
            process = multiprocessing.get_context("spawn").Process(
                target=run_listener, args=(self._settings, self._listening), name="listener"
            )
            process.start()
            self._processes.append(process)
        return False

    def stop(self) -> None:
        """End them all, politely first."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(_STOP_LIMIT_S)
            if process.is_alive():
                process.kill()
                process.join()
        self._processes.clear()


def run_listener(settings: Settings, listening: socket.socket) -> None:
    """Receive until told to stop, or until the node is gone."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the node ends us when it was interrupted
    logs.set_up("node", file=Root(settings.storage.root).zone("log") / "node.log")
    listening.settimeout(0)
    receiving = build_receiving(settings, open_journal(settings), listening)
    receiving.scp.start()
    node = multiprocessing.parent_process()
    assert node is not None  # noqa: S101  this is a process of its own
    threading.Thread(target=_end_with, args=(node,), name="node watch", daemon=True).start()
    stop.wait()
    receiving.scp.stop()


def _end_with(node: BaseProcess) -> None:
    """End at once when the node is gone: nobody sweeps, assembles or answers for us then."""
    node.join()
    os._exit(1)

"""What every daemon does: log, heartbeat, control socket, steps in threads, an orderly end.

A step is a function that does one piece of work and says whether there was any. A step that
raises is a bug (or a ConfigError): the daemon dies at once and systemd, or `coverslip up`, starts
it again.
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from appliance import __version__, facts, logs
from appliance.control import Command, ControlServer, Operator
from appliance.ending import ends_on
from appliance.errors import EXIT_CONFIG, ApplianceError, ConfigError, TransientError
from appliance.facts import Facts, StoreVersion
from appliance.line import Role
from appliance.pausing import pause_actions
from appliance.settings import Settings
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.stores.operations import OPERATIONS

log = logging.getLogger(__name__)

IDLE_WAIT_S = 0.2
HEARTBEAT_EVERY_S = 2.0
TRANSIENT_WAIT_S = 2.0
EXIT_BUG = 1
PARENT = "COVERSLIP_PARENT"
"""Environment: the process whose end ends this daemon; not set under systemd."""

Step = Callable[[], bool]


def open_journal(settings: Settings, clock: Callable[[], float] = time.time) -> Journal:
    """Open the journal that the settings name."""
    engine = open_engine(settings.journal_url, store="journal")
    return Journal(engine, clock, lease_s=settings.journal.lease_s)


class Daemon:
    """One process of the line.

    Parameters
    ----------
    name
        node, anonymize, infer, release or deliver@ROUTE.
    settings
        Checked settings.
    journal
        For the heartbeat and the operators' actions.
    steps
        Each runs in a thread of its own until the daemon ends.
    commands
        Further actions at the control socket, beside those on a slide, pause, go_on and status.
    words
        What the daemon is, for the screen ("listening on 11112", "cpu, 2 workers"); what changes
        is given as a function.
    facts
        What only this daemon knows, for the screen; asked by whoever asks for the status.
    """

    def __init__(
        self,
        *,
        name: str,
        settings: Settings,
        journal: Journal,
        steps: Sequence[Step],
        commands: Mapping[str, Command] | None = None,
        words: str | Callable[[], str] = "",
        facts: Callable[[], Facts] = Facts,
    ) -> None:
        self.name = name
        self._settings = settings
        self._journal = journal
        self._steps = steps
        self._commands = slide_actions(journal) | pause_actions(journal, name)
        self._commands |= dict(commands or {})
        self._commands["status"] = Command(role=Role.VIEWER, run=self._status)
        self._words: Callable[[], str] = words if callable(words) else lambda: words
        self._facts = facts
        self._started_at = time.time()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._parent = os.environ.pop(PARENT, None)  # not for processes that we start

    def run(self) -> int:
        """Run until SIGTERM, SIGINT or a failure; give the exit code."""
        root = Root(self._settings.storage.root)
        logs.set_up(self.name, file=root.zone("log") / f"{self.name}.log")
        ends_on(signal.SIGTERM, signal.SIGINT, event=self._stop)
        control = ControlServer(root.socket(self.name), self._commands, self._settings.operators)
        control.start()
        threads = [
            threading.Thread(target=self._loop, args=(step,), name=f"step-{number}", daemon=True)
            for number, step in enumerate(self._steps)
        ]
        for thread in threads:
            thread.start()
        log.info("started%s", f": {words}" if (words := self._words()) else "")
        notify("READY=1")
        self._wait()
        notify("STOPPING=1")
        control.close()
        return self._end(threads)

    def _wait(self) -> None:
        while not self._stop.is_set() and not self._orphaned():
            self._patiently(self._beat)
            self._stop.wait(HEARTBEAT_EVERY_S)
        self._stop.set()

    def _orphaned(self) -> bool:
        """Whether the process that started us as its own is gone, so that nobody would end us."""
        return self._parent not in (None, str(os.getppid()))

    def _loop(self, step: Step) -> None:
        try:
            while not self._stop.is_set():
                if not self._patiently(step):
                    self._stop.wait(IDLE_WAIT_S)
        except BaseException as error:  # noqa: BLE001  the one place where a bug ends the daemon
            self._failure = error
            self._stop.set()

    def _patiently(self, step: Step) -> bool:
        """Take a step; what passes by itself (a locked database, a full disk) is waited for."""
        try:
            return step()
        except TransientError as error:
            log.warning("%s Tried again in %.0f s.", error, TRANSIENT_WAIT_S)
            self._stop.wait(TRANSIENT_WAIT_S)
            return False

    def _beat(self) -> bool:
        self._journal.heartbeat(self.name, pid=os.getpid(), words=self._words())
        notify("WATCHDOG=1")
        return True

    def _end(self, threads: list[threading.Thread]) -> int:
        if self._failure is None:
            for thread in threads:
                thread.join(timeout=5.0)
            log.info("stopped")
            return 0
        log.critical("stopped by %s", describe(self._failure))
        return EXIT_CONFIG if isinstance(self._failure, ConfigError) else EXIT_BUG

    def _status(self, operator: Operator, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "daemon": self.name,
            "pid": os.getpid(),
            "words": self._words(),
            "operator": operator.name,
            "role": operator.role,
            "version": __version__,
            "started_at": self._started_at,
            "memory_bytes": facts.memory_bytes(),
            "settings": self._settings.digests,
            **self._known(),
        }

    def _known(self) -> dict[str, Any]:
        """Give the facts, or the sentence why they cannot be given now."""
        try:
            known = self._facts()
            journal = StoreVersion(store="journal", schema=self._journal.board.schema())
            return {"facts": facts.written(replace(known, stores=(journal, *known.stores)))}
        except ApplianceError as error:
            return {"lacks": str(error)}


def describe(error: BaseException) -> str:
    """Describe a failure for the log: our own sentence, or where a bug was met, never its text.

    A foreign exception's text may carry a patient's name, so only its kind and place are written.
    """
    if isinstance(error, ApplianceError):
        return str(error)
    places = []
    frame = error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition('/')[2]}:{frame.tb_lineno} {code.co_name}")
        frame = frame.tb_next
    return f"{type(error).__name__} at " + " < ".join(reversed(places))


def slide_actions(journal: Journal) -> dict[str, Command]:
    """Give the actions on a slide that every daemon answers."""

    def act(action: str) -> Command:
        def run(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
            journal.operate(
                action,
                str(arguments.get("slide_id", "")),
                operator=operator.name,
                reason=str(arguments.get("reason", "")),
            )
            return {"done": action}

        return Command(role=Role.TECHNICIAN, run=run)

    return {action: act(action) for action in OPERATIONS}


def notify(message: str) -> None:
    """Tell systemd how we are (sd_notify(3)); nothing happens elsewhere."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.connect(address)
        connection.sendall(message.encode())

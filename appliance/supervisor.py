"""Runs the daemons as child processes of one user: for a laptop, the demo and the tests.

There are no trust zones then. On an appliance systemd does this, each daemon as its own user.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.daemon import PARENT
from appliance.errors import EXIT_CONFIG, ConfigError
from appliance.settings import Settings

RESTART_AFTER_S = 0.5
STOP_TIMEOUT_S = 10.0
NO_ZONES = "All daemons run as one user: there are no trust zones between them here."


def daemon_commands(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Give the command line of every daemon that the settings ask for, by its name."""
    commands: dict[str, tuple[str, ...]] = {
        name: (name,) for name in ("node", "anonymize", "infer", "release")
    }
    for route in settings.routes:
        commands[f"deliver@{route.name}"] = ("deliver", route.name)
    if settings.notices is not None:
        commands["notify"] = ("notify",)
    return commands


@dataclass(slots=True)
class _Child:
    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes]
    died_at: float | None = None


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """Starts the daemons, starts again whatever dies, and stops them all.

    Attributes
    ----------
    settings_file
        Handed to every daemon.
    quiet
        Whether the daemons' standard error is thrown away (they also log to a file each).
    """

    settings_file: Path
    quiet: bool = False
    clock: Callable[[], float] = time.monotonic
    _children: dict[str, _Child] = field(default_factory=dict)

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Start one daemon."""
        self._children[name] = _Child(tuple(arguments), self._spawn(arguments))

    def start_all(self, settings: Settings) -> None:
        """Start every daemon that the settings ask for."""
        for name, arguments in daemon_commands(settings).items():
            self.start(name, arguments)

    def tend(self) -> None:
        """Start again what died; raises ConfigError when a daemon refuses its settings."""
        for name, child in self._children.items():
            code = child.process.poll()
            if code is None:
                continue
            if code == EXIT_CONFIG:
                raise ConfigError(f"The {name} daemon refuses its settings; see its message above.")
            if child.died_at is None:
                child.died_at = self.clock()
            elif self.clock() - child.died_at >= RESTART_AFTER_S:
                child.process = self._spawn(child.arguments)
                child.died_at = None

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """Give the process of a daemon, for tests that kill it."""
        return self._children[name].process

    def retire(self, name: str) -> None:
        """Stop one daemon for good."""
        child = self._children.pop(name)
        child.process.terminate()
        child.process.wait(timeout=STOP_TIMEOUT_S)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the daemons that were started."""
        return tuple(self._children)

    def stop(self) -> None:
        """Stop every daemon, politely first."""
        for child in self._children.values():
            child.process.terminate()
        deadline = self.clock() + STOP_TIMEOUT_S
        for child in self._children.values():
            try:
                child.process.wait(timeout=max(0.1, deadline - self.clock()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self._children.clear()

    def _spawn(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "appliance", "--settings", str(self.settings_file)]
        errors = subprocess.DEVNULL if self.quiet else None
        ours = {**os.environ, PARENT: str(os.getpid())}
        return subprocess.Popen([*command, *arguments], stderr=errors, env=ours)  # noqa: S603  our own command

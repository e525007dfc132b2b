"""What an appliance for the moment needs: its commands as processes, ports, daemons that answer.

The demo and the offline batch both stand on it: they set up an appliance in a folder, and the line
in it is the real one, with sockets, daemons and a journal.
"""

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.control import call
from appliance.errors import ApplianceError, ConfigError, PeerUnavailable
from appliance.storage import Root
from appliance.supervisor import Supervisor

START_LIMIT_S = 60.0
LOOK_EVERY_S = 0.1
_LOWEST_PORT, _PORTS = 16_000, 16_000

BLIND = 'text_in_pixels = "off"\nlabel = "ignore"'
"""Settings of a machine without tesseract: nobody reads pixels and labels."""


class NotStarted(PeerUnavailable):
    """A daemon of a temporary appliance does not come up."""

    code = "not-started"


def reads_pixels() -> bool:
    """Whether tesseract is there, which reads text in pixels and on labels."""
    return shutil.which("tesseract") is not None


def bundled_models() -> Mapping[str, str]:
    """Ask for the digests of the bundled models, as an administrator would before pinning them.

    Those alone that every slide meets: a tile classifier runs where the settings name it.
    """
    listed = json.loads(run_command(["models", "list", "--json"]))
    return {model["name"]: model["digest"] for model in listed if model["task"] != "tiles"}


def run_command(arguments: Sequence[str]) -> str:
    """Run one of our own commands and give what it prints."""
    done = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "appliance", *arguments],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise ConfigError(f"coverslip {arguments[0]} ended with code {done.returncode}.")
    return done.stdout


def start_command(
    arguments: Sequence[str], *, errors: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start one of our own commands in a process of its own.

    Parameters
    ----------
    arguments
        After `coverslip`.
    errors
        File for its standard error; None shows it.
    """
    command = [sys.executable, "-m", "appliance", *arguments]
    if errors is None:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  our own command
    with errors.open("wb") as file:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)  # noqa: S603


def stop_command(process: subprocess.Popen[bytes]) -> None:
    """End a process that `start_command` started."""
    process.terminate()
    process.wait()


def await_daemons(root: Root, supervisor: Supervisor) -> None:
    """Wait until every daemon answers at its control socket.

    Raises
    ------
    ConfigError
        A daemon refuses its settings.
    NotStarted
        One does not answer in time.
    """
    waiting = set(supervisor.names)
    deadline = time.monotonic() + START_LIMIT_S
    while waiting:
        supervisor.tend()
        waiting -= {name for name in waiting if _answers(root, name)}
        if time.monotonic() > deadline:
            raise NotStarted(f"The {', '.join(sorted(waiting))} daemon did not start.")
        time.sleep(LOOK_EVERY_S)


def _answers(root: Root, daemon: str) -> bool:
    try:
        call(root.socket(daemon), "status")
    except ApplianceError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Find TCP ports of this machine that nothing listens on now.

    They lie below those that Linux gives to outgoing connections (`ip_local_port_range`), so that
    no connection takes one before its daemon listens.
    """
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = _LOWEST_PORT + secrets.randbelow(_PORTS)
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                ports.append(port)
        return ports

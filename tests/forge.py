"""Starts our own commands quickly: a process that has imported everything forks one when asked.

To import what a daemon needs takes a second of a core, and a site of the tests has seven daemons.
What is forked is the same command in a process of its own, with arguments, environment and
standard streams of its own; only the imports are shared. Tests that are about starting, and
`coverslip analyze`, start real ones.

The forge reads one JSON object a line and answers so. Its children die with it, and it ends when
its input does.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn

from appliance.daemon import PARENT
from appliance.supervisor import Supervisor

REPOSITORY: Final = Path(__file__).parents[1]
COMMANDS: Final = (
    "anonymizer.deidentify.daemon",
    "anonymizer.release.daemon",
    "dicom_node.deliver.archive",
    "dicom_node.deliver.daemon",
    "dicom_node.node",
    "dicom_node.peer",
    "dicom_node.send.sender",
    "inference.running.predict",
    "inference.stage",
)
_PR_SET_PDEATHSIG: Final = 1
_LOOK_EVERY_S: Final = 0.01


class Forged:
    """A command that was forked, as its starter sees it: what we use of `subprocess.Popen`."""

    def __init__(self, forge: "Forge", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forge = forge

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._forge.ask({"poll": self.pid})["code"]
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"forged process {self.pid}", timeout or 0.0)
            time.sleep(_LOOK_EVERY_S)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forge:
    """The forging process, seen from the test."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forge"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        self._asking = threading.Lock()

    def start(
        self, arguments: Sequence[str], *, code: str | None = None, output: Path | None = None
    ) -> Forged:
        """Start `coverslip` (or some code); its output goes to a file, or nowhere."""
        order = {
            "code": code,
            "arguments": [str(one) for one in arguments],
            "environment": dict(os.environ),
            "output": str(output or os.devnull),
        }
        return Forged(self, self.ask(order)["pid"])

    def run(self, arguments: Sequence[str], *, code: str | None = None) -> int:
        """Run a command (or some code) to its end; give its exit code."""
        return self.start(arguments, code=code).wait()

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._asking:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it, and with it everything that it forked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


class ForgedSupervisor(Supervisor):
    """A supervisor whose daemons are forked; what they say lies beside the settings."""

    def _spawn(self, arguments: Sequence[str]) -> Any:
        said = self.settings_file.with_suffix(".said")
        return forge().start(["--settings", str(self.settings_file), *arguments], output=said)


@cache
def forge() -> Forge:
    """Give the one forge of this test process."""
    one = Forge()
    atexit.register(one.close)
    return one


def main() -> None:
    """Serve until the input ends."""
    for name in COMMANDS:
        importlib.import_module(name)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork takes no other thread with it"
    gc.freeze()  # what the forge made is looked at no more by its children, and so not copied
    for line in sys.stdin:
        order = json.loads(line)
        answer = _polled(order["poll"]) if "poll" in order else {"pid": _forked(order)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _polled(pid: int) -> dict[str, int | None]:
    found, status = os.waitpid(pid, os.WNOHANG)
    return {"code": os.waitstatus_to_exitcode(status) if found else None}


def _forked(order: Mapping[str, Any]) -> int:
    forge_pid = os.getpid()
    child = os.fork()
    if child == 0:
        _be(order, forge_pid)
    return child


def _be(order: Mapping[str, Any], forge_pid: int) -> NoReturn:
    """Be the command, until the process ends as an interpreter does."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.environ[PARENT] = str(forge_pid)
    sys.argv = ["coverslip", *order["arguments"]]
    if order["code"] is not None:
        exec(order["code"], {"__name__": "__main__"})  # noqa: S102  the test's own code
        sys.exit()
    from appliance.command import main as command

    sys.exit(command(order["arguments"]))


if __name__ == "__main__":
    main()

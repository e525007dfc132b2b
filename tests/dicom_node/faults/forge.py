"""Starts node daemons quickly: a process that has imported everything forks one when asked.

It reads one JSON object a line and answers so. Its children die with it, and it ends when its
input does.
"""

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).parents[3]
EFFECTS: Final = "COVERSLIP_TEST_EFFECTS"
"""Environment variable: how the effects of a node, and of what it starts, are watched."""
_PR_SET_PDEATHSIG: Final = 1


class Forge:
    """The forging process, seen from the test."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.dicom_node.faults.forge"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )

    def start(self, order: Mapping[str, Any]) -> int:
        """Start a node; give its process id."""
        return self._ask(order)["pid"]

    def reap(self, pid: int) -> int:
        """Wait until a node has ended; give its exit code, or minus the signal that killed it."""
        return self._ask({"reap": pid})["code"]

    def close(self) -> None:
        """End it, and with it every node it has forked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _ask(self, order: Mapping[str, Any]) -> dict[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer


def main() -> None:
    """Serve until the input ends."""
    for name in ("dicom_node.node", "tests.dicom_node.faults.effects"):
        importlib.import_module(name)  # what a daemon imports, so that its start is quick
    for line in sys.stdin:
        order = json.loads(line)
        answer = _reap(order["reap"]) if "reap" in order else _start(order)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _start(order: Mapping[str, Any]) -> dict[str, int]:
    child = os.fork()
    if child:
        return {"pid": child}
    code = 70
    try:
        code = _be_a_node(order)
    except BaseException:  # noqa: BLE001  whatever it was, the child must not go on as a forge
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _be_a_node(order: Mapping[str, Any]) -> int:
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    from appliance.settings import load
    from dicom_node import node

    settings = load(Path(order["settings"]))
    if "effects" in order:
        os.environ[EFFECTS] = json.dumps(order["effects"])
        if not order["effects"]["listeners_only"]:
            watch_effects()
    return node.run(settings)


def watch_effects() -> None:
    """Watch the effects of this process as the environment says."""
    from tests.dicom_node.faults import effects

    words = json.loads(os.environ.get(EFFECTS, "null"))
    if words is None:
        return
    death = effects.Death(**words["death"]) if words["death"] else None
    recorder = effects.Recorder(
        armed=Path(words["armed"]), record=Path(words["record"]), death=death
    )
    effects.install(Path(words["root"]), recorder)


def _reap(pid: int) -> dict[str, int]:
    _, status = os.waitpid(pid, 0)
    return {"code": os.waitstatus_to_exitcode(status)}


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":  # a process that a node has started
    watch_effects()

"""Starts node daemons quickly: a process that has imported everything forks one when asked.

Run as `python -m tests.dicom_node.faults.forge`; it reads one JSON object a line and answers so.
Its children die with it, and it ends when its input does.
"""

import ctypes
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until the input ends."""
    _import_everything()
    for line in sys.stdin:
        order = json.loads(line)
        answer = _start(order) if "settings" in order else _await(order["wait"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _import_everything() -> None:
    """Import what a daemon would: `dicom_node.node` and what it loads only when it runs."""
    from dicom_node import node
    from tests.dicom_node.faults import effects

    assert node
    assert effects


def _start(order: dict[str, Any]) -> dict[str, int]:
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


def _be_a_node(order: dict[str, Any]) -> int:
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    from appliance.settings import load
    from dicom_node import node
    from tests.dicom_node.faults import effects

    settings = load(Path(order["settings"]))
    if "record" in order:
        death = effects.Death(**order["death"]) if order.get("death") else None
        recorder = effects.Recorder(
            armed=Path(order["armed"]), record=Path(order["record"]), death=death
        )
        effects.install(settings.storage.root, recorder)
    return node.run(settings)


def _await(pid: int) -> dict[str, int]:
    _, status = os.waitpid(pid, 0)
    return {"code": os.waitstatus_to_exitcode(status)}


if __name__ == "__main__":
    main()

"""A child process with little memory and time, in which input may be as bad as it likes."""

import gc
import logging
import os
import pickle
import resource
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from appliance.errors import RejectedError

MEMORY_BYTES = 512 << 20
CPU_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a piece of work ended, and all that was said on the way: logs, warnings, both streams."""

    kind: Literal["done", "refused", "died"]
    words: str
    said: bytes


def bounded(
    work: Callable[[], object], *, memory_bytes: int = MEMORY_BYTES, cpu_s: int = CPU_S
) -> End:
    """Do a piece of work in a child that dies when it takes more than it may.

    Memory counts from what the parent has in its address space, which the child inherits.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            _live(work, said.fileno(), answer.fileno(), memory_bytes, cpu_s)
        _, status = os.waitpid(child, 0)
        said.seek(0)
        answer.seek(0)
        written = answer.read()
        kind, words = pickle.loads(written) if written else ("died", f"status {status}")  # noqa: S301  our own child wrote it
        return End(kind=kind, words=words, said=said.read())


def _live(
    work: Callable[[], object], said: int, answer: int, memory_bytes: int, cpu_s: int
) -> None:
    """Do the work, write down how it ended, and never return."""
    try:
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1)
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
        warnings.simplefilter("always")
        gc.freeze()  # what the parent made is looked at no more, and so not copied
        limit = _address_space_bytes() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
        resource.setrlimit(resource.RLIMIT_CPU, (used + cpu_s, used + cpu_s))
        os.write(answer, pickle.dumps(_end(work)))
        sys.stdout.flush()
    finally:
        os._exit(0)


def _end(work: Callable[[], object]) -> tuple[str, str]:
    try:
        return "done", str(work())
    except RejectedError as error:
        return "refused", f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001  whatever it is, the parent must hear of it
        return "died", traceback.format_exc()


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()

"""Work in processes of its own, one a slide: a slide that kills its process stops no other.

A process is told nothing but its work and tells how far it is by a pipe. Ctrl-C ends them all.
"""

import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Task = Callable[[Item, Callable[[float], None]], Outcome]
"""Does one item, telling the share that is done."""

_LEAST_SHARE = 0.01
_NOTICE_S = 0.2
_PRELOADED = ("anonymizer.deidentify.many",)


@dataclass(frozen=True, slots=True)
class Died:
    """A process ended without an outcome."""

    how: str


@dataclass(slots=True)
class _Running:
    number: int
    process: ForkServerProcess
    connection: Connection
    outcome: Any = None


def run_apart(
    items: Sequence[Item],
    task: Task[Item, Outcome],
    told: Callable[[int, float], None],
    jobs: int,
) -> list[Outcome | Died]:
    """Do every item, at most `jobs` at a time; outcomes in the order of the items.

    With one job, or one item, it is done in this process. `told` gets number and share; the share
    is 1 once, at the end of an item.
    """
    if jobs <= 1 or len(items) <= 1:
        return [_here(task, item, partial(told, number)) for number, item in enumerate(items)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    waiting = deque(enumerate(items))
    running: dict[Connection, _Running] = {}
    outcomes: dict[int, Outcome | Died] = {}
    with _noted() as pressed:
        try:
            while (waiting or running) and not pressed:
                while waiting and len(running) < jobs:
                    one = _start(context, task, *waiting.popleft())
                    running[one.connection] = one
                for connection in wait(list(running), timeout=_NOTICE_S):
                    one = running[connection]  # type: ignore[index]  # wait gives back what it got
                    if not _heard(one, told):
                        outcomes[one.number] = _ended(running.pop(one.connection))
                        told(one.number, 1.0)
        finally:
            for one in running.values():
                one.process.kill()
                one.process.join()
    if pressed:
        raise KeyboardInterrupt
    return [outcomes[number] for number in range(len(items))]


def _here(task: Task[Item, Outcome], item: Item, told: Callable[[float], None]) -> Outcome | Died:
    outcome = _guarded(task, item, told)
    told(1.0)
    return outcome


def _start(
    context: ForkServerContext, task: Task[Item, Outcome], number: int, item: Item
) -> _Running:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, task, item), daemon=True)
    process.start()
    theirs.close()
    return _Running(number=number, process=process, connection=ours)


@contextmanager
def _noted() -> Iterator[list[int]]:
    """Only note Ctrl-C: in the midst of a start it would leave a process that nobody knows."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _heard(one: _Running, told: Callable[[int, float], None]) -> bool:
    """Take one message; False when the process has said all."""
    try:
        message = one.connection.recv()
    except (EOFError, OSError):
        return False
    if isinstance(message, float):
        told(one.number, message)
        return True
    one.outcome = message
    return False


def _ended(one: _Running) -> Any:
    one.connection.close()
    one.process.join()
    if one.outcome is None:
        return Died(f"its process ended with {one.process.exitcode}")
    return one.outcome


def _child(connection: Connection, task: Task[Any, Any], item: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    last = 0.0

    def told(share: float) -> None:
        nonlocal last
        if share - last >= _LEAST_SHARE:
            last = share
            connection.send(float(share))

    with suppress(BrokenPipeError):
        connection.send(_guarded(task, item, told))


def _guarded(
    task: Task[Item, Outcome], item: Item, told: Callable[[float], None]
) -> Outcome | Died:
    """Do it; of a bug only its kind and place are told, since its message may hold a value."""
    try:
        return task(item, told)
    except Exception as error:  # noqa: BLE001  any bug is one slide's, and its text must not show
        place = _place_of(error)
        print(f"bug: {type(error).__name__} at {place}", file=sys.stderr)  # noqa: T201
        return Died(f"{type(error).__name__} at {place}")


def _place_of(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"

"""Scanners send without a pause while the node is killed at random moments, again and again."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from appliance.line import State
from tests.dicom_node.faults.checks import Checks
from tests.dicom_node.faults.clinic import Clinic, wait_until
from tests.dicom_node.faults.ledger import Sent
from tests.dicom_node.faults.scanner import push
from tests.dicom_node.faults.slides import slide_of

Kill = Callable[[Clinic, Checks, random.Random], None]

ACTIVITY_LIMIT_S = 30.0
LINE_LIMIT_S = 60.0
SHORTEST_S, LONGEST_S = 1e-6, 0.03
"""The moment of a kill after some activity, spread evenly over the orders of magnitude."""
FRAME_BYTES = (100,) * 16 + (100_000,) * 3 + (2_000_000,)
"""What a level's four frames are drawn from: mostly small, some large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a run of chaos came to."""

    kills: int
    objects: int
    """Objects that scanners have, some sent more than once."""
    promised: int
    """Objects that were answered with success in the end: all of them."""
    promised_early: int
    """Those that were answered with success while nodes were being killed."""
    transfers_cut: int
    """Associations that a kill cut off."""
    retried: int
    """Slides that had killed three workers, and that an operator put back on the line."""
    seconds: float

    @property
    def lost(self) -> int:
        """Objects that scanners have and that never were kept; a lost promise fails a check."""
        return self.objects - self.promised


class Scanners:
    """Threads that send slides until they are told to stop; nothing unanswered is forgotten."""

    def __init__(self, clinic: Clinic, *, n_scanners: int, seed: int) -> None:
        self._clinic = clinic
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._n_slides = 0
        self.n_objects = 0
        self.n_cut = 0
        self._left: list[Sent] = []
        self._threads = [
            threading.Thread(target=self._send, args=(random.Random(seed + number),))  # noqa: S311  no secret
            for number in range(n_scanners)
        ]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> list[Sent]:
        """Stop after the association at hand; give what is still to be sent."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self._left

    def _send(self, dice: random.Random) -> None:
        left: list[Sent] = []
        while not self._stop.is_set():
            if len(left) < 20:  # a scanner that cannot send makes no new slides
                left += self._new_slide(dice)
            still_left = push(self._clinic, left)
            self.n_cut += bool(still_left) and len(still_left) < len(left)
            if still_left == left:
                self._stop.wait(0.002)  # the node is being started
            left = still_left
        with self._lock:
            self._left += left

    def _new_slide(self, dice: random.Random) -> list[Sent]:
        with self._lock:
            self._n_slides += 1
            number = self._n_slides
        made = list(
            slide_of(number, levels=dice.randint(1, 6), frame_bytes=dice.choice(FRAME_BYTES))
        )
        self.n_objects += len(made)
        return made


def run(
    clinic: Clinic,
    *,
    kills: int,
    seed: int,
    n_scanners: int = 4,
    kill: Kill | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Tally:
    """Kill a node so many times under load, check after each kill, and count.

    Parameters
    ----------
    clinic
        One whose node runs.
    kills, seed
        How often, and from which dice.
    n_scanners
        How many send at the same time.
    kill
        Kills and starts again; by default the node itself.
    say
        Told in one line how it goes, now and then.
    """
    dice = random.Random(seed)  # noqa: S311  no secret
    checks = Checks(clinic)
    began = time.monotonic()
    scanners = Scanners(clinic, n_scanners=n_scanners, seed=seed)
    scanners.start()
    try:
        for number in range(1, kills + 1):
            _await_activity(clinic, dice)
            (kill or kill_node)(clinic, checks, dice)
            if number % 25 == 0:
                checks.promises()
                say(f"{number} kills, {len(clinic.ledger.promised)} objects promised, none lost")
    finally:
        left = scanners.stop()
    promised_early = len(clinic.ledger.promised)
    checks.promises()
    for _ in range(3):
        left = push(clinic, left)
    assert left == []
    retried = _finish(clinic, checks)
    return Tally(
        kills=kills,
        objects=scanners.n_objects,
        promised=len(clinic.ledger.promised),
        promised_early=promised_early,
        transfers_cut=scanners.n_cut,
        retried=retried,
        seconds=time.monotonic() - began,
    )


def _await_activity(clinic: Clinic, dice: random.Random) -> None:
    """Wait until some more objects were answered, and then a random moment more."""
    target = len(clinic.ledger.promised) + dice.randint(1, 12)
    wait_until(lambda: len(clinic.ledger.promised) >= target, ACTIVITY_LIMIT_S, every_s=0.0005)
    moment_s = SHORTEST_S * (LONGEST_S / SHORTEST_S) ** dice.random()
    until = time.perf_counter() + moment_s
    while time.perf_counter() < until:
        pass


def kill_node(clinic: Clinic, checks: Checks, _dice: random.Random) -> None:
    """Kill the node, look at what it left, and start it again."""
    clinic.kill()
    checks.nothing_partial()
    clinic.start()


def kill_any(clinic: Clinic, checks: Checks, dice: random.Random) -> None:
    """Kill the node or one of its further listeners, once all of them are up."""
    n_listeners = clinic.settings.node.listeners - 1
    wait_until(lambda: len(clinic.listeners()) == n_listeners)
    listeners = clinic.listeners()
    victim = dice.choice([clinic.pid, *listeners])
    if victim == clinic.pid:
        kill_node(clinic, checks, dice)
        return
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in clinic.listeners())
    checks.nothing_partial()


def _finish(clinic: Clinic, checks: Checks) -> int:
    """Let everything get on the line; an operator retries what killed too many workers."""
    retried = 0
    deadline = time.monotonic() + LINE_LIMIT_S
    while not checks.is_on_line():
        assert time.monotonic() < deadline, f"not everything got on the line: {checks.waiting()}"
        for slide in checks.slides():
            if slide.state is State.ASIDE:
                assert "stopped" in (slide.error or ""), slide.error
                clinic.operate("retry", slide.slide_id)
                retried += 1
        time.sleep(0.1)
    checks.nothing_partial()
    checks.promises()
    checks.line()
    return retried

"""The node dies just before and just after every step from the socket to the line."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pytest

from tests.dicom_node.faults.checks import Checks
from tests.dicom_node.faults.clinic import Clinic, wait_until
from tests.dicom_node.faults.effects import AFTER, BEFORE, Death
from tests.dicom_node.faults.ledger import Sent
from tests.dicom_node.faults.scanner import push
from tests.dicom_node.faults.slides import label, slide_of, volume

pytestmark = pytest.mark.slow

DURABLE = (
    "write spool/incoming/*",
    "fsync spool/incoming/*",
    "name spool/incoming/* spool/instances/*",
    "fsync spool/instances",
    "commit receipts",
    "send",
)
"""What DESIGN 4 promises of every object that is answered with success, in this order."""
LONG = bool(os.environ.get("COVERSLIP_LONG"))
"""Dies of the second effect of each name, too, and at moments that are nearly the same."""
LARGE_FRAME_BYTES = 17 << 20
"""Four of them are more than the node lets lie unsynced."""


@pytest.fixture
def clinic(make_clinic: Callable[..., Clinic]) -> Clinic:
    """A clinic whose scanner always sends a label last, and no node that runs."""
    return make_clinic(expects=("VOLUME", "LABEL"), quiet_s=60.0)


def test_an_object_is_answered_after_every_step_that_makes_it_durable(
    clinic: Clinic, tmp_path: Path
) -> None:
    record = tmp_path / "effects"
    clinic.start(record=record)
    assert push(clinic, [volume(1, slide=1)]) == []
    clinic.arm()
    assert push(clinic, [volume(2, slide=1), label(3, slide=1)]) == []
    told = record.read_text().splitlines()
    answers = [at for at, line in enumerate(told) if line == f"{BEFORE} send"][1:]
    begins = told.index(f"{AFTER} send")
    for answer in answers[:2]:  # the first send accepts the association, the last its release
        steps = told[begins : answer + 1]
        at = [_last(steps, f"{AFTER} {effect}") for effect in DURABLE[:-1]]
        assert at == sorted(at), steps
        assert at[-1] < len(steps) - 1
        begins = answer + 1


def test_a_large_object_is_forced_to_disk_while_it_comes(clinic: Clinic, tmp_path: Path) -> None:
    record = tmp_path / "effects"
    clinic.start(record=record)
    clinic.arm()
    # Twice as much as brings a sync about: on a busy machine its thread begins late.
    assert push(clinic, [volume(1, slide=1, frame_bytes=2 * LARGE_FRAME_BYTES)]) == []
    told = record.read_text().splitlines()
    synced = told.index(f"{BEFORE} fdatasync spool/incoming/*")
    assert synced < _last(told, f"{AFTER} write spool/incoming/*")


@pytest.mark.parametrize("when", [BEFORE, AFTER])
def test_a_node_killed_at_the_sync_of_a_large_object_leaves_nothing_of_it(
    clinic: Clinic, tmp_path: Path, when: str
) -> None:
    large = volume(1, slide=1, frame_bytes=LARGE_FRAME_BYTES)
    death = Death(effect="fdatasync spool/incoming/*", n=1, when=when)
    clinic.start(record=tmp_path / "effects", death=death)
    clinic.arm()
    assert push(clinic, [large]) == [large]
    assert clinic.await_death() == -9
    checks = Checks(clinic)
    checks.nothing_partial()
    clinic.start()
    checks.swept()
    assert push(clinic, [large, label(2, slide=1)]) == []
    checks.await_line()
    checks.line()


def test_a_node_killed_at_any_step_of_receiving_keeps_what_it_promised(
    clinic: Clinic, tmp_path: Path
) -> None:
    receiving, _ = _rehearse(clinic, tmp_path)
    deaths = _deaths(receiving)
    assert {one.effect for one in deaths} >= set(DURABLE)
    short = [one for one in deaths if one.n == 1 and _is_telling(one)]
    _die_of_each(clinic, tmp_path, deaths if LONG else short)


def test_a_node_killed_at_any_step_of_assembling_puts_the_slide_on_the_line_once(
    clinic: Clinic, tmp_path: Path
) -> None:
    _, assembling = _rehearse(clinic, tmp_path)
    deaths = [one for one in _deaths(assembling) if one.n == 1 and _is_telling(one)]
    assert {one.effect for one in deaths} >= {"name spool/instances/* original/*", "fsync original"}
    _die_of_each(clinic, tmp_path, deaths)


def test_a_listener_killed_at_any_step_leaves_the_node_and_its_promises_alone(
    make_clinic: Callable[..., Clinic], tmp_path: Path
) -> None:
    clinic = make_clinic(expects=("VOLUME", "LABEL"), quiet_s=60.0, node="listeners = 2")
    checks = Checks(clinic)
    deaths = [Death(effect=effect, n=2, when=BEFORE) for effect in DURABLE]
    deaths.append(Death(effect="commit receipts", n=2, when=AFTER))
    for number, death in enumerate(deaths, start=1):
        clinic.start(record=tmp_path / "effects", death=death, listeners_only=True)
        left = _push_until_the_listener_dies(clinic, number)
        checks.nothing_partial()
        checks.promises()
        assert push(clinic, left) == []
        clinic.kill()
    clinic.start()
    checks.swept()
    checks.await_line()
    checks.promises()
    checks.line()


def _push_until_the_listener_dies(clinic: Clinic, number: int) -> list[Sent]:
    """Push slides, which either process takes; give what was not answered for."""
    wait_until(lambda: len(clinic.listeners()) == 1)
    victim = clinic.listeners()
    clinic.arm()
    left: list[Sent] = []
    slides = count(number * 10_000)
    while clinic.listeners() == victim:
        left += push(clinic, slide_of(next(slides), levels=2))
    clinic.disarm()
    return left


def _rehearse(clinic: Clinic, folder: Path) -> tuple[list[str], list[str]]:
    """Let a slide through, and give the effects of receiving it and of assembling it."""
    record = folder / "rehearsal"
    clinic.start(record=record)
    clinic.arm()
    assert push(clinic, slide_of(1, levels=1)) == []
    n_received = len(record.read_text().splitlines())
    Checks(clinic).await_line()
    clinic.stop()
    told = [line.split(" ", 1) for line in record.read_text().splitlines()]
    effects = [(when, name) for when, name in told]
    # A folder of the assemble stage may be made meanwhile, whenever its worker first looks.
    received = [
        name
        for when, name in effects[:n_received]
        if when == AFTER and not name.startswith("mkdir")
    ]
    return received, [name for when, name in effects[n_received:] if when == AFTER]


def _deaths(effects: Sequence[str]) -> list[Death]:
    """Die before and after the first and the second effect of every name."""
    return [
        Death(effect=name, n=n, when=when)
        for name, count in Counter(effects).items()
        for n in range(1, min(count, 2) + 1)
        for when in (BEFORE, AFTER)
    ]


def _is_telling(death: Death) -> bool:
    """Leave out what is the same moment as before the next effect, but where it may matter."""
    return death.when == BEFORE or death.effect.startswith(("commit", "name"))


def _die_of_each(clinic: Clinic, folder: Path, deaths: Sequence[Death]) -> None:
    """Die of each, and check after each."""
    checks = Checks(clinic)
    left: list[Sent] = []
    for number, death in enumerate(deaths, start=2):
        clinic.start(record=folder / "effects", death=death)
        _recover(clinic, checks, left)
        clinic.arm()
        left = push(clinic, slide_of(number, levels=1))
        wait_until(lambda: not clinic.is_alive() or checks.is_on_line())
        assert not clinic.is_alive(), f"nothing came {death.when} effect {death.n}: {death.effect}"
        assert clinic.await_death() == -9
        checks.nothing_partial()
    clinic.start()
    _recover(clinic, checks, left)


def _recover(clinic: Clinic, checks: Checks, left: Sequence[Sent]) -> None:
    """Check what a new node finds, let the scanner send again, and let all get on the line."""
    checks.swept()
    checks.promises()
    assert push(clinic, left) == []
    checks.await_line()
    checks.promises()
    checks.nothing_partial()
    checks.line()


def _last(lines: Sequence[str], line: str) -> int:
    """Where a line comes last."""
    return len(lines) - 1 - list(reversed(lines)).index(line)

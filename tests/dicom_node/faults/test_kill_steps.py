"""The node dies just before and just after every step from the socket to the line."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.dicom_node.conftest import wait_until
from tests.dicom_node.faults.clinic import LIMIT_S, Clinic, Sent
from tests.dicom_node.faults.effects import AFTER, BEFORE, Death
from tests.dicom_node.faults.scanner import push
from tests.dicom_node.faults.slides import label, slide_of, volume

DURABLE = (
    "write spool/incoming/*",
    "fsync spool/incoming/*",
    "rename spool/incoming/* spool/instances/*",
    "fsync spool/instances",
    "commit receipts",
    "send",
)
"""What DESIGN 4 promises of every object that is answered with success, in this order."""
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
    assert push(clinic, [volume(1, slide=1, frame_bytes=LARGE_FRAME_BYTES)]) == []
    told = record.read_text().splitlines()
    synced = told.index(f"{AFTER} fdatasync spool/incoming/*")
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
    clinic.check_files()
    clinic.start()
    clinic.check_swept()
    assert push(clinic, [large, label(2, slide=1)]) == []
    clinic.await_line()
    clinic.check_line()


def test_a_node_killed_at_any_step_of_receiving_keeps_what_it_promised(
    clinic: Clinic, tmp_path: Path
) -> None:
    receiving, _ = _rehearse(clinic, tmp_path)
    assert {one.effect for one in _deaths(receiving)} >= set(DURABLE)
    assert _die_of_each(clinic, tmp_path, _deaths(receiving)) >= 30


def test_a_node_killed_at_any_step_of_assembling_puts_the_slide_on_the_line_once(
    clinic: Clinic, tmp_path: Path
) -> None:
    _, assembling = _rehearse(clinic, tmp_path)
    deaths = [one for one in _deaths(assembling) if one.n == 1]
    assert {one.effect for one in deaths} >= {"link spool/instances/* original/*", "fsync original"}
    assert _die_of_each(clinic, tmp_path, deaths) >= 20


def _rehearse(clinic: Clinic, folder: Path) -> tuple[list[str], list[str]]:
    """Let a slide through, and give the effects of receiving it and of assembling it."""
    record = folder / "rehearsal"
    clinic.start(record=record)
    clinic.arm()
    assert push(clinic, slide_of(1, levels=1)) == []
    n_received = len(record.read_text().splitlines())
    clinic.await_line()
    clinic.stop()
    told = [line.split(" ", 1) for line in record.read_text().splitlines()]
    effects = [(when, name) for when, name in told]
    received = [name for when, name in effects[:n_received] if when == AFTER]
    return received, [name for when, name in effects[n_received:] if when == AFTER]


def _deaths(effects: Sequence[str]) -> list[Death]:
    """Die before and after the first and the second effect of every name."""
    return [
        Death(effect=name, n=n, when=when)
        for name, count in Counter(effects).items()
        for n in range(1, min(count, 2) + 1)
        for when in (BEFORE, AFTER)
    ]


def _die_of_each(clinic: Clinic, folder: Path, deaths: Sequence[Death]) -> int:
    """Die of each, check after each, and give how many deaths there were."""
    n_died = 0
    left: list[Sent] = []
    for number, death in enumerate(deaths, start=2):
        clinic.start(record=folder / "effects", death=death)
        _recover(clinic, left)
        clinic.arm()
        left = push(clinic, slide_of(number, levels=1))
        wait_until(lambda: not clinic.is_alive() or clinic.is_on_line(), LIMIT_S)
        if clinic.is_alive():
            clinic.stop()
            continue
        assert clinic.await_death() == -9, death
        n_died += 1
        clinic.check_files()
    clinic.start()
    _recover(clinic, left)
    return n_died


def _recover(clinic: Clinic, left: Sequence[Sent]) -> None:
    """Check what a new node finds, let the scanner send again, and let all get on the line."""
    clinic.check_swept()
    clinic.check_promises()
    assert push(clinic, left) == []
    clinic.await_line()
    clinic.check_promises()
    clinic.check_files()
    clinic.check_line()


def _last(lines: Sequence[str], line: str) -> int:
    """Where a line comes last."""
    return len(lines) - 1 - list(reversed(lines)).index(line)



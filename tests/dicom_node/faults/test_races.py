"""Several meet at one slide, or at one object."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from appliance.line import Stage
from dicom_node.send.sender import dicom_files, send
from tests.dicom_node.conftest import Hospital
from tests.dicom_node.faults.checks import Checks
from tests.dicom_node.faults.clinic import Clinic, wait_until
from tests.dicom_node.faults.neighbours import all_is_well, new_object, partial_files
from tests.dicom_node.faults.scanner import push
from tests.dicom_node.faults.speaker import (
    COMMAND,
    IMPLICIT,
    LAST,
    VERIFICATION,
    Context,
    Speaker,
    echo_request,
    p_data,
)
from tests.dicom_node.objects import Image, write


class AssembledMeanwhile:
    """Receipts that are assembled just after the watcher has read them."""

    def __init__(self, hospital: Hospital) -> None:
        self._receipts = hospital.node.receipts
        self._hospital = hospital

    def of_study(self, study_instance_uid: str) -> Any:
        read = self._receipts.of_study(study_instance_uid)
        self._hospital.work()
        return read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._receipts, name)


def test_a_slide_that_is_assembled_while_the_watcher_looks_is_not_taken_back(
    hospital: Hospital, tmp_path: Path
) -> None:
    image = Image()
    send(dicom_files(write(image, tmp_path / "scanner")), hospital.endpoint)
    hospital.settle()
    hospital.node.arrivals.receipts = AssembledMeanwhile(hospital)  # type: ignore[assignment]
    hospital.look()
    slide = hospital.slide()
    assert (slide.stage, slide.revision) == (Stage.DEIDENTIFY, 1)


@pytest.mark.parametrize("listeners", [1, 2])
def test_an_object_that_comes_many_times_at_once_is_kept_once(
    make_clinic: Callable[..., Clinic], listeners: int
) -> None:
    clinic = make_clinic(quiet_s=3600.0, node=f"listeners = {listeners}")
    clinic.start()
    wait_until(lambda: len(clinic.listeners()) == listeners - 1)
    for _ in range(10):
        one = new_object(frame_bytes=20_000)
        with ThreadPoolExecutor(6) as scanners:
            left = list(scanners.map(lambda _, one=one: push(clinic, [one]), range(6)))
        assert left == [[]] * 6
    checks = Checks(clinic)
    checks.promises()
    checks.nothing_partial()
    wait_until(lambda: partial_files(clinic) == [])


def test_a_peer_that_does_not_read_its_answers_keeps_nobody_waiting(
    make_clinic: Callable[..., Clinic],
) -> None:
    clinic = make_clinic(quiet_s=3600.0)
    clinic.start()
    echo = Context(number=1, abstract=VERIFICATION, syntaxes=(IMPLICIT,))
    with Speaker(clinic.port).accepted(echo) as deaf:
        deaf.wire.setblocking(False)  # noqa: FBT003
        asked = p_data((1, COMMAND | LAST, echo_request())) * 50
        with suppress(BlockingIOError):
            while True:
                deaf.wire.send(asked)
        assert push(clinic, [new_object() for _ in range(5)]) == []
        all_is_well(clinic)

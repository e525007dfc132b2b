"""Every step of receiving fails once, with a full disk and with a broken one."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dicom_node.faults.clinic import Clinic, wait_until
from tests.dicom_node.faults.effects import BEFORE, Death
from tests.dicom_node.faults.neighbours import all_is_well, new_object, partial_files
from tests.dicom_node.faults.speaker import Speaker

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
STEPS = (
    ("open spool/incoming/*", 1),
    ("write spool/incoming/*", 1),
    ("fsync spool/incoming/*", 1),
    ("name spool/incoming/* spool/instances/*", 1),
    ("fsync spool/instances", 1),
    ("commit receipts", 1),
)


@pytest.mark.parametrize(("effect", "n"), STEPS)
def test_a_full_disk_at_any_step_is_answered_out_of_resources_and_the_association_goes_on(
    make_clinic: Callable[..., Clinic], tmp_path: Path, effect: str, n: int
) -> None:
    clinic = _failing(make_clinic, tmp_path, effect, n, errno.ENOSPC)
    one, other = new_object(), new_object()
    with Speaker(clinic.port).accepted() as speaker:
        clinic.arm()
        assert speaker.store(one.uid, one.data_set) == OUT_OF_RESOURCES
        assert partial_files(clinic) == []
        assert list(clinic.instances.iterdir()) == []
        for again in (one, other):
            clinic.ledger.sends(again)
            assert speaker.store(again.uid, again.data_set) == SUCCESS
            clinic.ledger.hears_success(again)
        assert speaker.release()
    all_is_well(clinic)
    assert any("full" in text for text in clinic.texts())


@pytest.mark.parametrize(("effect", "n"), STEPS)
def test_a_broken_disk_at_any_step_is_never_answered_with_success(
    make_clinic: Callable[..., Clinic], tmp_path: Path, effect: str, n: int
) -> None:
    clinic = _failing(make_clinic, tmp_path, effect, n, errno.EIO)
    one = new_object()
    with Speaker(clinic.port).accepted() as speaker:
        clinic.arm()
        assert speaker.store(one.uid, one.data_set) != SUCCESS
    wait_until(lambda: partial_files(clinic) == [])
    assert list(clinic.instances.iterdir()) == []
    with Speaker(clinic.port).accepted() as speaker:
        clinic.ledger.sends(one)
        assert speaker.store(one.uid, one.data_set) == SUCCESS
        clinic.ledger.hears_success(one)
    all_is_well(clinic)


def _failing(
    make_clinic: Callable[..., Clinic], folder: Path, effect: str, n: int, error: int
) -> Clinic:
    """Start a node whose effect of a name fails once that it is armed."""
    clinic = make_clinic(quiet_s=3600.0)
    death = Death(effect=effect, n=n, when=BEFORE, error=error)
    clinic.start(record=folder / "effects", death=death)
    return clinic

"""The disk fills up, really: what is refused, what goes on, and that no restart is needed."""

from collections.abc import Callable, Iterator

import pytest

from tests.dicom_node.faults import giants
from tests.dicom_node.faults.checks import Checks
from tests.dicom_node.faults.clinic import Clinic, wait_until
from tests.dicom_node.faults.ledger import Sent
from tests.dicom_node.faults.scanner import push
from tests.dicom_node.faults.slides import label, slide_of, volume
from tests.dicom_node.faults.small_disk import MIB, SmallDisk, small_disk
from tests.dicom_node.faults.speaker import VERIFICATION, VL_WSI, Context, Speaker
from tests.dicom_node.objects import Image

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
PAGE_BYTES = 4096
SIZE_MIB = 48
SOFT_MIB, HARD_MIB = 24, 12
STORE = Context(number=1, abstract=VL_WSI)
ECHO = Context(number=3, abstract=VERIFICATION, syntaxes=("1.2.840.10008.1.2",))


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    """A disk of 48 MiB."""
    with small_disk(SIZE_MIB, request.node.nodeid) as disk:
        yield disk


@pytest.fixture
def clinic(disk: SmallDisk, make_clinic: Callable[..., Clinic]) -> Iterator[Clinic]:
    """A node on the small disk, with limits."""
    yield from _running(disk, make_clinic, SOFT_MIB, HARD_MIB)


@pytest.fixture
def unlimited(disk: SmallDisk, make_clinic: Callable[..., Clinic]) -> Iterator[Clinic]:
    """A node on the small disk without limits, so that it meets the end of the disk itself."""
    yield from _running(disk, make_clinic, 0, 0)


def _running(
    disk: SmallDisk, make_clinic: Callable[..., Clinic], soft_mib: int, hard_mib: int
) -> Iterator[Clinic]:
    clinic = make_clinic(
        root=disk.folder / "root",
        soft_free_mib=soft_mib,
        hard_free_mib=hard_mib,
        expects=("VOLUME", "LABEL"),
        quiet_s=60.0,
    )
    clinic.start()
    yield clinic
    clinic.kill()


def test_over_the_soft_limit_new_storage_is_rejected_for_now_and_all_else_goes_on(
    clinic: Clinic, disk: SmallDisk
) -> None:
    first, second = slide_of(1, levels=1)
    with Speaker(clinic.port).accepted(STORE) as open_before:
        disk.fill(leave_bytes=(SOFT_MIB + HARD_MIB) * MIB // 2)
        with Speaker(clinic.port) as later:
            assert later.associate([STORE, ECHO]).rejection == (2, 3, 2)
        with Speaker(clinic.port).accepted(ECHO) as asking:
            assert asking.echo(3) == SUCCESS
        assert _store(clinic, open_before, first) == SUCCESS
        disk.empty()
        with Speaker(clinic.port).accepted(STORE) as later:
            assert _store(clinic, later, second) == SUCCESS
    _all_is_well(clinic)
    assert any("free disk space is below the limit" in text for text in clinic.texts())


def test_over_the_hard_limit_an_object_is_refused_and_the_next_is_kept_when_there_is_room(
    clinic: Clinic, disk: SmallDisk
) -> None:
    first, second = slide_of(1, levels=1)
    with Speaker(clinic.port).accepted(STORE) as speaker:
        disk.fill(leave_bytes=HARD_MIB * MIB // 2)
        assert _store(clinic, speaker, first) == OUT_OF_RESOURCES
        assert _spool_files(clinic) == []
        disk.empty()
        assert _store(clinic, speaker, first) == SUCCESS
        assert _store(clinic, speaker, second) == SUCCESS
    _all_is_well(clinic)


@pytest.mark.parametrize("limits", ["clinic", "unlimited"])
def test_a_disk_that_fills_in_a_transfer_is_told_and_the_association_goes_on(
    request: pytest.FixtureRequest, disk: SmallDisk, limits: str
) -> None:
    clinic: Clinic = request.getfixturevalue(limits)
    too_large = giants.encapsulated(Image(), frames=2, frame_bytes=40 * MIB)
    free_bytes = disk.free_bytes()
    with Speaker(clinic.port).accepted(STORE) as speaker:
        assert giants.send(too_large, speaker) == OUT_OF_RESOURCES
        assert _spool_files(clinic) == []
        assert disk.free_bytes() > free_bytes - MIB
        for one in slide_of(1, levels=1):
            assert _store(clinic, speaker, one) == SUCCESS
    _all_is_well(clinic)


def test_an_object_that_fits_goes_on_while_another_finds_the_disk_full(
    unlimited: Clinic, disk: SmallDisk
) -> None:
    too_large = giants.encapsulated(Image(), frames=2, frame_bytes=40 * MIB)
    small, last = slide_of(1, levels=1, frame_bytes=MIB)
    half = len(small.data_set) // 2
    with Speaker(unlimited.port).accepted(STORE) as patient:
        unlimited.ledger.sends(small)
        patient.start_store(small.uid)
        patient.say_data(small.data_set[:half], last=False)
        with Speaker(unlimited.port).accepted(STORE) as greedy:
            assert giants.send(too_large, greedy) == OUT_OF_RESOURCES
        patient.say_data(small.data_set[half:])
        assert patient.status() == SUCCESS
        unlimited.ledger.hears_success(small)
        assert _store(unlimited, patient, last) == SUCCESS
    _all_is_well(unlimited)


def test_an_object_whose_receipt_finds_no_room_is_refused_and_takes_none(
    unlimited: Clinic, disk: SmallDisk
) -> None:
    first, last = slide_of(1, levels=1, frame_bytes=MIB)
    refused = volume(7, slide=2, frame_bytes=MIB)
    with Speaker(unlimited.port).accepted(STORE) as speaker:
        assert _store(unlimited, speaker, first) == SUCCESS
        unlimited.ledger.sends(refused)
        left = _send_to_the_start_of_a_page(unlimited, speaker, refused)
        disk.fill(leave_bytes=0)
        speaker.say_data(left)
        assert speaker.status() == OUT_OF_RESOURCES
        assert [path.stem for path in unlimited.instances.iterdir()] == [first.sha256]
        disk.empty()
        assert _store(unlimited, speaker, refused) == SUCCESS
        assert _store(unlimited, speaker, label(8, slide=2)) == SUCCESS
        assert _store(unlimited, speaker, last) == SUCCESS
    _all_is_well(unlimited)


def test_a_slide_that_cannot_be_assembled_on_a_full_disk_is_assembled_later(
    unlimited: Clinic, disk: SmallDisk
) -> None:
    slide = list(slide_of(1, levels=2))
    with Speaker(unlimited.port).accepted(STORE) as speaker:
        for one in slide:
            assert _store(unlimited, speaker, one) == SUCCESS
        disk.fill(leave_bytes=0)
        assert speaker.release()
    wait_until(lambda: "The disk of the appliance is full." in _log(unlimited))
    assert all(str(one.state) != "aside" for one in Checks(unlimited).slides())
    disk.empty()
    _all_is_well(unlimited)


def test_a_node_started_over_the_hard_limit_receives_when_there_is_room(
    clinic: Clinic, disk: SmallDisk
) -> None:
    assert push(clinic, slide_of(1, levels=1)) == []
    Checks(clinic).await_line()
    clinic.kill()
    disk.fill(leave_bytes=HARD_MIB * MIB // 2)
    clinic.start()
    with Speaker(clinic.port).accepted(ECHO) as asking:
        assert asking.echo(3) == SUCCESS
    with Speaker(clinic.port) as later:
        assert later.associate([STORE]).rejection == (2, 3, 2)
    disk.empty()
    assert push(clinic, slide_of(2, levels=1)) == []
    _all_is_well(clinic)


def _store(clinic: Clinic, speaker: Speaker, one: Sent) -> int | None:
    clinic.ledger.sends(one)
    status = speaker.store(one.uid, one.data_set)
    if status == SUCCESS:
        clinic.ledger.hears_success(one)
    return status


def _send_to_the_start_of_a_page(clinic: Clinic, speaker: Speaker, one: Sent) -> bytes:
    """Send an object but for its last page, so that a full disk has room for that; give the rest.

    Then the next thing to find no room is the receipt.
    """
    at = len(one.data_set) - 2 * PAGE_BYTES
    speaker.start_store(one.uid)
    speaker.say_data(one.data_set[:at], last=False)
    wait_until(lambda: _bytes_of(clinic, ".part") > at)
    until = at + 2 * PAGE_BYTES - (_bytes_of(clinic, ".part") - 1) % PAGE_BYTES
    speaker.say_data(one.data_set[at:until], last=False)
    wait_until(lambda: _bytes_of(clinic, ".part") > until)
    return one.data_set[until:]


def _all_is_well(clinic: Clinic) -> None:
    checks = Checks(clinic)
    checks.await_line()
    checks.nothing_partial()
    checks.promises()
    checks.line()
    assert clinic.is_alive()


def _spool_files(clinic: Clinic) -> list[str]:
    spool = clinic.root.path / "spool"
    return [path.name for path in spool.rglob("*") if path.suffix in (".dcm", ".part")]


def _bytes_of(clinic: Clinic, suffix: str) -> int:
    return sum(path.stat().st_size for path in clinic.incoming.rglob(f"*{suffix}"))


def _log(clinic: Clinic) -> str:
    return (clinic.folder / "node.out").read_text()

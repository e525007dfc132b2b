"""What node and deliver tell of themselves: real transfers in, numbers without identity out."""

import json
from pathlib import Path

import pytest

from appliance import facts
from appliance.errors import DeliveryRefused
from appliance.facts import ArchiveQueue, Facts, OpenCommitments, ScannerContact
from appliance.stores.commitments import Reference
from appliance.stores.database import open_engine
from appliance.stores.deposits import DepositState
from appliance.stores.intake import Intake
from dicom_node.deliver import archive
from dicom_node.receive.chores import Sampling
from dicom_node.receive.places import receipts_url
from dicom_node.receive.telling import node_facts
from dicom_node.status import PeerFailed
from tests.dicom_node.conftest import Hospital, wait_until
from tests.dicom_node.objects import Image
from tests.dicom_node.raw import RawScanner
from tests.dicom_node.test_archive import store, write

DAY_S = 86_400.0


class Telling:
    """The facts of a hospital's node, asked again and again."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital = hospital
        engine = open_engine(receipts_url(hospital.node.root), store="receipts")
        self._intake = Intake(engine, hospital.now)

    def __call__(self) -> Facts:
        scanners = self._hospital.settings.scanners
        return node_facts(scanners, self._intake, self._hospital.node.spool)


@pytest.fixture
def telling(hospital: Hospital) -> Telling:
    return Telling(hospital)


def test_scanners_are_told_by_name_with_their_last_object_and_what_came_in_a_day(
    hospital: Hospital, telling: Telling, tmp_path: Path, slide_images: list[Image]
) -> None:
    nobody, elsewhere = telling().scanners
    assert nobody == ScannerContact(scanner="scanner-1", last_at=None, n_objects=0, n_bytes=0)
    store(hospital, tmp_path / "slide", *slide_images)
    here, elsewhere = telling().scanners
    assert (here.scanner, here.n_objects) == ("scanner-1", len(slide_images))
    assert here.n_bytes == sum(one.stat().st_size for one in hospital.stored_files())
    assert here.last_at is not None
    assert abs(here.last_at - hospital.now()) < 60
    assert elsewhere.last_at is None
    store(hospital, tmp_path / "late", Image())
    assert telling().scanners[0].n_objects == len(slide_images) + 1
    assert Telling(hospital)().scanners == telling().scanners  # one that was just started


def test_what_came_long_ago_is_not_counted_but_the_last_contact_is_known(
    hospital: Hospital, telling: Telling, tmp_path: Path
) -> None:
    store(hospital, tmp_path / "first", Image())
    last_at = telling().scanners[0].last_at
    hospital.pass_time(3 * DAY_S)
    assert telling().scanners[0].last_at == last_at


def test_an_open_transfer_is_told_with_its_bytes_and_is_gone_afterwards(
    hospital: Hospital, telling: Telling, tmp_path: Path
) -> None:
    wire = RawScanner(hospital.port)
    wire.start_store(write(Image(frame_bytes=200_000), tmp_path), share=0.5)
    wait_until(lambda: any(one.n_bytes > 100_000 for one in telling().associations))
    (one,) = telling().associations
    assert one.scanner == "scanner-1"
    assert abs(one.since - hospital.now()) < 60
    assert {one.name} == hospital.node.scp.open_associations()
    wire.close()
    wait_until(lambda: telling().associations == ())


def test_commitments_that_nobody_has_an_answer_to_are_counted(
    hospital: Hospital, telling: Telling
) -> None:
    nothing = OpenCommitments(undecided=0, unanswered=0, oldest_at=None, next_try_at=None)
    assert telling().commitments == nothing
    commitments = hospital.node.receiving.commitments
    asked_at = hospital.now()
    for number in range(3):
        commitments.ask(
            [Reference(sop_class_uid="1.2", sop_instance_uid=f"1.2.{number}")],
            transaction_uid=f"2.25.{number}",
            calling_ae_title="SCANNER",
            association=f"association-{number}",
        )
    first, second, _ = commitments.asked()
    for one in (first, second):
        commitments.decide(one, dict.fromkeys(one.reasons, 0x0112))
    commitments.answered(first.number)
    found = telling().commitments
    assert found is not None
    assert (found.undecided, found.unanswered) == (1, 1)
    assert found.oldest_at is not None
    assert found.oldest_at >= asked_at


def test_an_archive_tells_what_waits_what_is_unconfirmed_and_what_was_refused(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    store(hospital, tmp_path / "slide", *slide_images)
    deposits = archive.open_deposits(hospital.settings, hospital.now)
    deposits.enqueue("archive")
    sent = deposits.claim("archive", DepositState.WAITING, limit=1)
    refused = deposits.claim("archive", DepositState.WAITING, limit=1)
    away = deposits.claim("archive", DepositState.WAITING, limit=1)
    assert sent is not None
    assert refused is not None
    assert away is not None
    deposits.sent(sent, sent.numbers)
    deposits.set_aside(refused, refused.numbers, DeliveryRefused("It does not keep the object."))
    deposits.put_back(
        away, away.numbers, PeerFailed("It failed."), state=DepositState.WAITING, after_s=40.0
    )
    found = deposits.queue("archive")
    waiting = [row for row in deposits.rows() if row.state is DepositState.WAITING]
    assert found == ArchiveQueue(
        waiting=2,
        waiting_bytes=sum(row.size_bytes for row in waiting),
        unconfirmed=1,
        refused=1,
        next_try_at=found.next_try_at,
        error="It failed.",
        refusal="It does not keep the object.",
    )
    assert found.next_try_at is not None
    assert 35.0 < found.next_try_at - hospital.now() < 41.0


def test_nothing_that_is_told_names_a_patient_or_an_object(
    hospital: Hospital, telling: Telling, tmp_path: Path, slide_images: list[Image]
) -> None:
    store(hospital, tmp_path / "slide", *slide_images)
    wire = RawScanner(hospital.port)
    coming = Image(frame_bytes=200_000)
    wire.start_store(write(coming, tmp_path), share=0.5)
    wait_until(lambda: any(one.n_bytes > 100_000 for one in telling().associations))
    said = json.dumps(facts.written(telling()))
    wire.close()
    for image in (*slide_images, coming):
        for canary in _identity(image):
            assert canary not in said


def test_the_node_samples_the_disk_at_once_and_then_every_few_minutes(hospital: Hospital) -> None:
    sampling = Sampling(hospital.node.root.path, hospital.journal)
    assert not sampling()
    assert not sampling()
    (one,) = hospital.journal.board.disk_samples(since=0.0)
    assert 0 < one.free_bytes < one.total_bytes


def test_a_disk_that_cannot_be_measured_stops_nobody(hospital: Hospital) -> None:
    assert not Sampling(hospital.folder / "gone", hospital.journal)()
    assert hospital.journal.board.disk_samples(since=0.0) == ()


def _identity(image: Image) -> list[str]:
    return [image.uid, image.study, image.series, image.patient, str(image.container)]

"""Asking archives and fetching from them: dcmqrscp and Orthanc, and one that answers oddly."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from appliance.errors import ApplianceError, PeerUnavailable, StorageFull
from appliance.settings import ClientTls
from appliance.temporary import free_ports
from dicom_node.fetch import query, retrieve
from dicom_node.fetch.fetching import DamagedInstance, FetchingDimse
from dicom_node.fetch.query import (
    NothingFound,
    QueryRefused,
    Question,
    Series,
    UnclearQuestion,
    find_slides,
)
from dicom_node.fetch.retrieve import MoveRefused, RetrieveIncomplete, SubOperations, get, move
from dicom_node.receive.spool import Spool
from dicom_node.send.association import Endpoint
from tests.dicom_node.conftest import PLENTY_BYTES, Hospital, wait_until
from tests.dicom_node.objects import CT_IMAGE, Image, dataset_of
from tests.dicom_node.pacs import (
    ACCESSION,
    ARCHIVES,
    PATIENT_ID,
    content_hashes,
    endpoint_at,
    file_in,
    issue_certificates,
    odd_archive,
    running_archive_orthanc,
    write_filed,
)

PENDING = 0xFF00


@dataclass(frozen=True, kw_only=True)
class Filed:
    """An archive, and what is filed in it."""

    archive: Endpoint
    slide: Image
    other: Image
    paths: list[Path]
    """Of the slide's objects."""

    def series(self) -> tuple[Series, ...]:
        return find_slides(self.archive, Question(accession_number=ACCESSION))


@pytest.fixture(scope="module", params=ARCHIVES)
def filed(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    require_tool: Callable[[str], str],
) -> Iterator[Filed]:
    """One slide of two objects with a report beside it, and another slide of the same patient."""
    folder = tmp_path_factory.mktemp(request.param)
    slide, other = Image(), Image()
    label = replace(slide, uid=generate_uid(), flavour="LABEL", rows=8, columns=8)
    paths = [write_filed(image, folder / "slides") for image in (slide, label)]
    report = Image(study=slide.study, sop_class=CT_IMAGE)
    write_filed(report, folder / "slides", modality="CT")
    write_filed(other, folder / "slides", accession="ACC-OTHER")
    run = ARCHIVES[request.param]
    with run(require_tool(request.param), folder / "pacs", node_port=free_ports(1)[0]) as archive:
        file_in(archive, folder / "slides")
        yield Filed(archive=archive, slide=slide, other=other, paths=paths)


def a_spool(folder: Path, *, free_bytes: int = PLENTY_BYTES) -> Spool:
    spool = Spool(folder, soft_free_bytes=0, hard_free_bytes=1, free_bytes=lambda _: free_bytes)
    spool.join()
    return spool


def nothing(_done: SubOperations) -> None:
    return None


def test_slides_are_found_by_accession_number_study_and_series(filed: Filed) -> None:
    expected = Series(
        study_instance_uid=filed.slide.study,
        series_instance_uid=filed.slide.series,
        n_instances=2,
    )
    for question in (
        Question(accession_number=ACCESSION),
        Question(study_instance_uid=filed.slide.study),
        Question(accession_number=ACCESSION, series_instance_uid=filed.slide.series),
    ):
        assert find_slides(filed.archive, question) == (expected,)


def test_all_slides_of_a_patient_are_found(filed: Filed) -> None:
    found = find_slides(filed.archive, Question(patient_id=PATIENT_ID))
    assert {one.study_instance_uid: one.n_instances for one in found} == {
        filed.slide.study: 2,
        filed.other.study: 1,
    }


@pytest.mark.parametrize(
    "question",
    [
        Question(accession_number="ACC-UNKNOWN"),
        Question(patient_id="NOBODY"),
        Question(study_instance_uid="1.2.3"),
        Question(accession_number=ACCESSION, series_instance_uid="1.2.3"),
        Question(patient_id="Ärztin"),
    ],
)
def test_what_an_archive_does_not_hold_is_said_so(filed: Filed, question: Question) -> None:
    with pytest.raises(NothingFound, match="knows no slides"):
        find_slides(filed.archive, question)


def test_objects_come_over_our_own_association_as_they_were_filed(
    filed: Filed, tmp_path: Path
) -> None:
    spool = a_spool(tmp_path)
    seen: list[SubOperations] = []
    files = get(filed.archive, filed.series(), spool=spool, progress=seen.append)
    assert content_hashes(list(files)) == content_hashes(filed.paths)
    assert seen[-1] == SubOperations(completed=2)
    spool.leave()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_full_disk_ends_the_fetching_with_a_sentence(filed: Filed, tmp_path: Path) -> None:
    spool = a_spool(tmp_path, free_bytes=0)
    big = Image(frame_bytes=3_000_000)
    file_in(filed.archive, write_filed(big, tmp_path / "big", accession="ACC-BIG"))
    series = find_slides(filed.archive, Question(accession_number="ACC-BIG"))
    with pytest.raises(StorageFull):
        get(filed.archive, series, spool=spool, progress=nothing)
    spool.leave()


def test_a_series_that_is_gone_is_an_incomplete_retrieve(filed: Filed, tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    gone = Series(study_instance_uid=filed.slide.study, series_instance_uid="1.2.3", n_instances=2)
    with pytest.raises(QueryRefused):
        get(filed.archive, [gone], spool=spool, progress=nothing)
    spool.leave()


def test_an_unknown_destination_is_said_with_what_to_enter(filed: Filed) -> None:
    with pytest.raises(MoveRefused, match="NOBODY") as refused:
        move(filed.archive, filed.series(), destination="NOBODY", progress=nothing)
    assert "enter our node" in refused.value.next_step


def test_a_destination_that_does_not_answer_is_said_with_what_to_enter(filed: Filed) -> None:
    with pytest.raises(MoveRefused, match="send nothing to COVERSLIP") as refused:
        move(filed.archive, filed.series(), destination="COVERSLIP", progress=nothing)
    assert "[[scanners]]" in refused.value.next_step


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_is_no_scanner_of_ours_can_send_nothing(
    name: str, hospital: Hospital, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    write_filed(Image(), tmp_path / "slides")
    with ARCHIVES[name](require_tool(name), tmp_path / "pacs", node_port=hospital.port) as archive:
        file_in(archive, tmp_path / "slides")
        series = find_slides(archive, Question(accession_number=ACCESSION))
        with pytest.raises(MoveRefused, match="send nothing to COVERSLIP"):
            move(archive, series, destination="COVERSLIP", progress=nothing)
    assert hospital.stored_files() == []
    assert any("not that of a known scanner" in text for text in hospital.texts())


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"series_instance_uid": "1.2.3"},
        {"accession_number": "A", "patient_id": "B"},
        {"accession_number": "*"},
        {"accession_number": "A?"},
        {"accession_number": "A\\B"},
        {"accession_number": "A" * 17},
        {"patient_id": "*"},
        {"patient_id": "B\n"},
        {"study_instance_uid": "1.2.3\\1.2.4"},
        {"study_instance_uid": "1.2.*"},
        {"study_instance_uid": "1.2.3", "series_instance_uid": "none"},
    ],
)
def test_a_question_that_could_match_other_slides_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(UnclearQuestion):
        Question(**given)


def test_an_archive_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(PeerUnavailable, match="does not answer"):
        find_slides(endpoint_at(free_ports(1)[0]), Question(accession_number=ACCESSION))


def test_a_peer_without_query_retrieve_is_said_so(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    series = [Series(study_instance_uid="1.2", series_instance_uid="1.3", n_instances=1)]
    with odd_archive() as peer:
        for ask in (
            lambda: find_slides(peer, Question(accession_number=ACCESSION)),
            lambda: move(peer, series, destination="COVERSLIP", progress=nothing),
            lambda: get(peer, series, spool=spool, progress=nothing),
        ):
            with pytest.raises(QueryRefused, match="does not offer"):
                ask()
    spool.leave()


def test_answers_about_something_else_are_left_out() -> None:
    def find(event):
        for accession, patient in ((ACCESSION, "A"), ("ACC-OTHER", "B"), (None, "C")):
            answer = Dataset()
            answer.StudyInstanceUID = generate_uid()
            if accession is not None:
                answer.AccessionNumber = accession
            answer.PatientID = patient
            if event.identifier.QueryRetrieveLevel == "SERIES":
                answer.StudyInstanceUID = event.identifier.StudyInstanceUID
                answer.SeriesInstanceUID = generate_uid()
                answer.Modality = "SM" if patient == "A" else "SR"
                answer.NumberOfSeriesRelatedInstances = "3"
            yield PENDING, answer

    with odd_archive(find=find) as archive:
        found = find_slides(archive, Question(accession_number=ACCESSION))
    assert [one.n_instances for one in found] == [3]


def test_objects_are_counted_where_the_archive_does_not_say_how_many() -> None:
    def find(event):
        level = event.identifier.QueryRetrieveLevel
        for _ in range(4 if level == "IMAGE" else 1):
            answer = Dataset()
            if level == "SERIES":
                answer.SeriesInstanceUID, answer.Modality = "1.2.3", "SM"
            else:
                answer.SOPInstanceUID = generate_uid()
            yield PENDING, answer

    with odd_archive(find=find) as archive:
        (series,) = find_slides(archive, Question(study_instance_uid="1.2"))
    assert series.n_instances == 4


def a_series_answer() -> tuple[int, Dataset]:
    answer = Dataset()
    answer.SeriesInstanceUID, answer.Modality = generate_uid(), "SM"
    return PENDING, answer


def test_more_answers_than_anyone_can_want_are_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "MAXIMUM_SERIES", 10)
    ended = threading.Event()

    def find(event):
        for _ in range(11):
            yield a_series_answer()
        wait_until(lambda: event.is_cancelled)
        ended.set()
        yield 0xFE00, None

    with (
        odd_archive(find=find) as archive,
        pytest.raises(QueryRefused, match="more than 10 answers"),
    ):
        find_slides(archive, Question(study_instance_uid="1.2"))
    assert ended.is_set()


def test_an_archive_that_goes_on_although_it_was_cancelled_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(query, "MAXIMUM_SERIES", 10)
    ended = threading.Event()

    def find(event):
        try:
            while event.assoc.is_established:
                yield a_series_answer()
        finally:
            ended.set()

    with (
        odd_archive(find=find) as archive,
        pytest.raises(QueryRefused, match="more than 10 answers"),
    ):
        find_slides(archive, Question(study_instance_uid="1.2"))
    assert ended.wait(10)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (0xA700, PeerUnavailable, "out of resources"),
        (0x0213, PeerUnavailable, "out of resources"),
        (0xFE00, PeerUnavailable, "cancelled"),
        (0xA900, QueryRefused, "does not understand a key"),
        (0x0122, QueryRefused, "does not offer"),
        (0x0124, QueryRefused, "does not allow"),
        (0xC123, QueryRefused, "could not process"),
    ],
)
def test_every_failure_status_of_a_query_has_its_sentence(
    status: int, kind: type[ApplianceError], words: str
) -> None:
    def find(_event):
        yield status, None

    with odd_archive(find=find) as archive, pytest.raises(kind, match=words):
        find_slides(archive, Question(accession_number=ACCESSION))


def test_an_archive_that_aborts_is_unavailable() -> None:
    def find(event):
        event.assoc.abort()
        yield 0xFE00, None

    with odd_archive(find=find) as archive, pytest.raises(PeerUnavailable):
        find_slides(archive, Question(accession_number=ACCESSION))


def test_an_answer_that_cannot_be_read_is_said_without_its_value() -> None:
    def find(_event):
        answer = Dataset()
        answer.StudyInstanceUID = "not a uid, CANARY"
        answer.AccessionNumber = ACCESSION
        yield PENDING, answer

    with odd_archive(find=find) as archive, pytest.raises(NothingFound) as refused:
        find_slides(archive, Question(accession_number=ACCESSION))
    assert "CANARY" not in str(refused.value)


def test_a_part_that_our_node_refuses_makes_the_move_incomplete(
    tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    hospital = Hospital(tmp_path)
    hospital.node.stop()
    pacs = hospital.settings.scanners[0].model_copy(update={"name": "pacs", "ae_title": "PACS"})
    hospital.settings = hospital.settings.model_copy(update={"scanners": (pacs,)})
    hospital.start()
    good = Image()
    wrong = replace(good, uid=generate_uid(), sop_class=CT_IMAGE)
    path = write_filed(good, tmp_path / "slides")
    write_filed(wrong, tmp_path / "slides")
    run = ARCHIVES["dcmqrscp"]
    try:
        with run(require_tool("dcmqrscp"), tmp_path / "pacs", node_port=hospital.port) as archive:
            file_in(archive, tmp_path / "slides")
            series = find_slides(archive, Question(accession_number=ACCESSION))
            with pytest.raises(RetrieveIncomplete, match="1 of 2 objects"):
                move(archive, series, destination="COVERSLIP", progress=nothing)
        assert {one.stem for one in hospital.stored_files()} == content_hashes([path])
    finally:
        hospital.node.stop()


ANY_SERIES = (Series(study_instance_uid="1.2", series_instance_uid="1.3", n_instances=2),)


def test_a_damaged_object_is_refused_and_the_sound_one_is_not_imported_alone(
    tmp_path: Path,
) -> None:
    damaged = dataset_of(Image())
    damaged.NumberOfFrames = 1000
    answered = []

    def fetch(_event):
        yield 2
        for one in (damaged, dataset_of(Image())):
            yield PENDING, one

    def note(done: SubOperations) -> None:
        answered.append((done.failed, done.completed))

    spool = a_spool(tmp_path)
    with odd_archive(get=fetch) as archive, pytest.raises(DamagedInstance, match="is damaged"):
        get(archive, ANY_SERIES, spool=spool, progress=note)
    assert answered[-1] == (1, 1)
    assert len(list(tmp_path.rglob("*.part"))) == 1
    spool.leave()


def test_an_archive_that_says_all_is_done_and_sends_nothing_is_not_believed(
    tmp_path: Path,
) -> None:
    def fetch(_event):
        yield 0

    spool = a_spool(tmp_path)
    with (
        odd_archive(get=fetch) as archive,
        pytest.raises(RetrieveIncomplete, match="sent nothing"),
    ):
        get(archive, ANY_SERIES, spool=spool, progress=nothing)
    spool.leave()


def test_an_archive_that_falls_silent_while_it_sends_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieve, "SILENCE_LIMIT_S", 0.2)
    told_to_end = threading.Event()

    def fetch(_event):
        yield 1
        told_to_end.wait(30)

    spool = a_spool(tmp_path)
    with odd_archive(get=fetch) as archive:
        with pytest.raises(PeerUnavailable, match="before it answered"):
            get(archive, ANY_SERIES, spool=spool, progress=nothing)
        told_to_end.set()
    spool.leave()


class Dripping(queue.Queue):
    """No message comes, but at the first few looks some bytes of an object."""

    def __init__(self, spool: Spool, n_drips: int) -> None:
        super().__init__()
        self.transfer = spool.open(association="a", scanner="")
        self.n_drips = n_drips
        self.n_looks = 0

    def get(self, block: bool = True, timeout: float | None = None):  # noqa: FBT001, FBT002
        self.n_looks += 1
        if self.n_looks <= self.n_drips:
            self.transfer.write(b"some bytes")
        raise queue.Empty


def test_a_slow_object_is_waited_for_as_long_as_it_grows(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    established = SimpleNamespace(state_machine=SimpleNamespace(current_state="Sta6"))
    association = SimpleNamespace(is_established=True, dimse_timeout=0.0, dul=established)
    taking = FetchingDimse(association, spool)
    taking.msg_queue = Dripping(spool, n_drips=5)
    assert taking.get_msg(block=True) == (None, None)
    assert taking.msg_queue.n_looks == 6
    association.is_established = False
    assert taking.get_msg(block=True) == (None, None)
    assert taking.msg_queue.n_looks == 7
    spool.leave()


def test_an_archive_is_asked_and_fetched_from_by_tls(
    tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    made = issue_certificates(tmp_path / "tls")
    path = write_filed(Image(), tmp_path / "slides")
    more = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(made.certificate),
        "DicomTlsPrivateKey": str(made.key),
        "DicomTlsTrustedCertificates": str(made.ca),
        "DicomTlsRemoteCertificateRequired": True,
    }
    tls = ClientTls(ca=made.ca, certificate=made.certificate, key=made.key)
    with running_archive_orthanc(
        require_tool("Orthanc"), tmp_path / "pacs", node_port=1, more=more
    ) as clear:
        with pytest.raises(ApplianceError):
            find_slides(clear, Question(accession_number=ACCESSION))
        archive = replace(clear, tls=tls)
        file_in(archive, tmp_path / "slides")
        series = find_slides(archive, Question(accession_number=ACCESSION))
        spool = a_spool(tmp_path / "spool")
        files = get(archive, series, spool=spool, progress=nothing)
        assert content_hashes(list(files)) == content_hashes([path])
        spool.leave()

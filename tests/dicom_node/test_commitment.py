"""Storage commitment as a scanner meets it: asked, persisted, decided, told until it is heard."""

import json
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import DataElement, Dataset, config
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from sqlalchemy import text

from appliance.errors import TransientError
from appliance.settings import Commitment
from appliance.stores.deposits import Deposits, DepositState
from dicom_node.commitment.request import MAXIMUM_REFERENCES, RefusedRequest, read_request
from dicom_node.contexts import VL_WHOLE_SLIDE_MICROSCOPY
from tests.dicom_node.commitment_peers import (
    CommittingHospital,
    Desk,
    action,
    ask,
    asking,
    committing,
)
from tests.dicom_node.committing import Pacs, running_pacs
from tests.dicom_node.conftest import Hospital, wait_until
from tests.dicom_node.objects import CT_IMAGE, Image
from tests.dicom_node.real_peers import certificates
from tests.dicom_node.test_archive import confirmed_by
from tests.line.orthanc import running_orthanc


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def hospital(tmp_path: Path, desk: Desk) -> Iterator[CommittingHospital]:
    with committing(tmp_path, desk.terms(verify="hash")) as one:
        yield one


def archive(hospital: CommittingHospital, *uids: str) -> None:
    """Let an archive confirm everything that was received, or only some of it."""
    engine = hospital.node.receipts._engine
    deposits = Deposits(engine, hospital.now, lease_s=30.0)
    deposits.enqueue("archive")
    claim = deposits.claim("archive", DepositState.WAITING, limit=100)
    assert claim is not None
    wanted = [
        one.number
        for one in claim.deposits
        if not uids or one.stored.receipt.sop_instance_uid in uids
    ]
    deposits.confirmed(claim, wanted)
    deposits.give_back(claim, claim.numbers)


def states(hospital: Hospital) -> list[str]:
    with hospital.node.receipts._engine.connect() as connection:
        return list(connection.scalars(text("select state from commitment order by number")))


def promised(hospital: Hospital) -> int:
    with hospital.node.receipts._engine.connect() as connection:
        statement = text("select count(*) from instance where promised_at is not null")
        return int(connection.scalar(statement) or 0)


# Asking.


def test_a_request_is_persisted_before_it_is_answered_and_told_on_a_new_association(
    hospital: CommittingHospital, desk: Desk, tmp_path: Path, slide_images: list[Image]
) -> None:
    hospital.store(tmp_path, *slide_images)
    content = action(*[one.uid for one in slide_images])
    with asking(hospital) as association:
        assert ask(association, content) == 0x0000
        assert states(hospital) == ["asked"]
    with desk.opened():
        hospital.answer()
    (report,) = desk.reports
    assert report.event_type == 1
    assert report.transaction_uid == content.TransactionUID
    assert report.committed == {one.uid for one in slide_images}
    assert report.failed == {}
    assert report.calling_ae_title == "COVERSLIP"
    assert states(hospital) == ["answered"]
    assert promised(hospital) == 4


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_both_encodings_are_spoken_both_ways(
    hospital: CommittingHospital, desk: Desk, tmp_path: Path, syntax: str
) -> None:
    image = Image()
    hospital.store(tmp_path, image)
    desk.syntaxes = [syntax]
    with asking(hospital, syntax=syntax) as association:
        assert ask(association, action(image.uid)) == 0x0000
    with desk.opened():
        hospital.answer()
    (report,) = desk.reports
    assert report.committed == {image.uid}
    assert report.transfer_syntax == syntax


def _without(keyword: str, *, in_item: bool = False) -> Dataset:
    content = action("1.2.3")
    target = content.ReferencedSOPSequence[0] if in_item else content
    delattr(target, keyword)
    return content


def _with_uid(value: str) -> Dataset:
    content = action("1.2.3")
    item = content.ReferencedSOPSequence[0]
    del item.ReferencedSOPInstanceUID
    item.add(DataElement(0x00081155, "UI", value, validation_mode=config.IGNORE))
    return content


def _with_element(tag: int, vr: str, value: object) -> Dataset:
    content = action("1.2.3")
    del content[tag]
    content.add(DataElement(tag, vr, value))
    return content


@pytest.mark.parametrize(
    "content",
    [
        None,
        _without("TransactionUID"),
        _without("ReferencedSOPSequence"),
        _without("ReferencedSOPClassUID", in_item=True),
        _without("ReferencedSOPInstanceUID", in_item=True),
        _with_uid("no uid"),
        _with_uid("1." + "2" * 70),
        _with_element(0x00081199, "LO", "no sequence"),
        _with_element(0x00081195, "LO", ["1.2", "1.3"]),
    ],
    ids=["nothing", "transaction", "sequence", "class", "instance", "word", "long", "text", "two"],
)
def test_a_malformed_request_is_refused_and_leaves_nothing(
    hospital: CommittingHospital, content: Dataset | None
) -> None:
    with asking(hospital) as association:
        assert ask(association, content) == 0x0115
        assert ask(association, action("1.2.3")) == 0x0000
    assert states(hospital) == ["asked"]


def test_a_request_for_more_than_we_keep_track_of_is_refused_for_want_of_resources() -> None:
    content = action(*[f"1.{n}" for n in range(MAXIMUM_REFERENCES)])
    assert len(read_request(content).references) == MAXIMUM_REFERENCES
    content.ReferencedSOPSequence += action("2.1").ReferencedSOPSequence
    with pytest.raises(RefusedRequest) as refused:
        read_request(content)
    assert refused.value.status == 0x0213


def test_what_is_not_a_commitment_request_is_refused(hospital: CommittingHospital) -> None:
    with asking(hospital) as association:
        assert ask(association, action("1.2.3"), action_type=2) == 0x0123
        assert ask(association, action("1.2.3"), instance="1.2.3") == 0x0112
    assert states(hospital) == []


def test_a_scanner_without_an_agreement_is_refused(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path)
    try:
        with asking(hospital) as association:
            assert ask(association, action("1.2.3")) == 0x0124
        assert any("SCANNER was refused" in one for one in hospital.texts())
    finally:
        hospital.node.stop()


def test_a_request_that_cannot_be_recorded_is_refused_for_now(
    hospital: CommittingHospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_named: object) -> bool:
        raise TransientError("The receipts database does not answer.")

    monkeypatch.setattr(hospital.node.receiving.commitments.__class__, "ask", fail)
    with asking(hospital) as association:
        assert ask(association, action("1.2.3")) == 0x0213


def test_the_same_transaction_is_one_transaction_and_is_answered_again(
    hospital: CommittingHospital, desk: Desk, tmp_path: Path
) -> None:
    image = Image()
    content = action(image.uid)
    with desk.opened():
        with asking(hospital) as association:
            assert ask(association, content) == 0x0000
            assert ask(association, content) == 0x0000
        hospital.answer()
        hospital.answer()
        assert [one.failed for one in desk.reports] == [{image.uid: 0x0112}]
        hospital.store(tmp_path, image)
        with asking(hospital) as association:
            assert ask(association, content) == 0x0000
        hospital.answer()
    assert [one.committed for one in desk.reports] == [set(), {image.uid}]
    assert states(hospital) == ["answered"]


def test_other_objects_under_a_known_transaction_are_refused(
    hospital: CommittingHospital,
) -> None:
    transaction = generate_uid()
    with asking(hospital) as association:
        assert ask(association, action("1.2.3", transaction=transaction)) == 0x0000
        assert ask(association, action("1.2.4", transaction=transaction)) == 0x0115
    assert states(hospital) == ["asked"]


# Deciding.


def test_each_failure_has_its_reason(
    hospital: CommittingHospital, desk: Desk, tmp_path: Path, slide_images: list[Image]
) -> None:
    hospital.store(tmp_path, *slide_images)
    sound, missing, damaged, other_class = (one.uid for one in slide_images)
    hospital.file_of(missing).unlink()
    path = hospital.file_of(damaged)
    content = bytearray(path.read_bytes())
    content[-20] ^= 0x01
    path.write_bytes(content)
    request = action(sound, missing, damaged, "1.2.3")
    request.ReferencedSOPSequence += action(other_class, sop_class=CT_IMAGE).ReferencedSOPSequence
    request.ReferencedSOPSequence += action("1.2.4", sop_class=CT_IMAGE).ReferencedSOPSequence
    with desk.opened(), asking(hospital) as association:
        assert ask(association, request) == 0x0000
        hospital.answer()
    (report,) = desk.reports
    assert report.event_type == 2
    assert report.committed == {sound}
    assert report.failed == {
        missing: 0x0110,
        damaged: 0x0110,
        other_class: 0x0119,
        "1.2.3": 0x0112,
        "1.2.4": 0x0122,
    }
    assert promised(hospital) == 1
    assert any("1 of 6 objects are committed" in one for one in hospital.texts())


@pytest.mark.parametrize(
    ("verify", "tells_length", "tells_content"),
    [("row", False, False), ("file", True, False), ("hash", True, True)],
)
def test_the_depth_says_which_damage_is_seen(
    tmp_path: Path, desk: Desk, verify: str, *, tells_length: bool, tells_content: bool
) -> None:
    shorter, changed = Image(), Image()
    with committing(tmp_path, desk.terms(verify=verify)) as hospital:
        hospital.store(tmp_path, shorter, changed)
        path = hospital.file_of(shorter.uid)
        path.write_bytes(path.read_bytes()[:-2])
        path = hospital.file_of(changed.uid)
        path.write_bytes(path.read_bytes()[:-12] + b"\0" * 12)
        with desk.opened(), asking(hospital) as association:
            ask(association, action(shorter.uid, changed.uid))
            hospital.answer()
    (report,) = desk.reports
    assert (shorter.uid in report.failed) == tells_length
    assert (changed.uid in report.failed) == tells_content


def test_what_cannot_be_looked_at_now_is_a_want_of_resources(
    hospital: CommittingHospital, desk: Desk, tmp_path: Path
) -> None:
    image = Image()
    hospital.store(tmp_path, image)
    file = tmp_path / "file"
    file.write_text("no folder")
    hospital.node.answerer.path_of = lambda sha256: file / sha256
    with desk.opened(), asking(hospital) as association:
        ask(association, action(image.uid))
        hospital.answer()
    assert [one.failed for one in desk.reports] == [{image.uid: 0x0213}]


def test_after_archive_is_answered_when_an_archive_has_confirmed_everything(
    tmp_path: Path, desk: Desk
) -> None:
    images = [Image(), Image()]
    terms = desk.terms(means="after_archive")
    with committing(tmp_path, terms) as hospital, desk.opened():
        hospital.store(tmp_path, *images)
        with asking(hospital) as association:
            ask(association, action(*[one.uid for one in images]))
        hospital.answer()
        archive(hospital, images[0].uid)
        hospital.pass_time(3)
        hospital.answer()
        assert desk.reports == []
        archive(hospital)
        hospital.pass_time(3)
        hospital.answer()
    assert [one.committed for one in desk.reports] == [{one.uid for one in images}]


def test_a_scanner_is_told_once_its_slide_is_in_the_archive(tmp_path: Path, desk: Desk) -> None:
    images = [Image(), Image(flavour="LABEL")]
    terms = desk.terms(means="after_archive")
    with (
        committing(tmp_path, terms) as hospital,
        running_pacs(Pacs()) as pacs,
        desk.opened(),
        confirmed_by(pacs, hospital) as archiving,
    ):
        hospital.store(tmp_path, *images)
        with asking(hospital) as association:
            ask(association, action(*[one.uid for one in images]))
        archiving.forward_all()
        hospital.answer()
        assert desk.reports == []
        archiving.archiver.confirm()
        hospital.pass_time(3)
        hospital.answer()
    assert pacs.stored == [one.uid for one in images]
    assert [one.committed for one in desk.reports] == [{one.uid for one in images}]


def test_after_archive_fails_what_no_archive_confirmed_in_time(tmp_path: Path, desk: Desk) -> None:
    images = [Image(), Image()]
    terms = desk.terms(means="after_archive", give_up_s=3600.0)
    with committing(tmp_path, terms) as hospital, desk.opened():
        hospital.store(tmp_path, *images)
        archive(hospital, images[0].uid)
        with asking(hospital) as association:
            ask(association, action(*[one.uid for one in images]))
        hospital.pass_time(3601)
        hospital.answer()
        (report,) = desk.reports
        assert report.committed == {images[0].uid}
        assert report.failed == {images[1].uid: 0x0110}
        assert promised(hospital) == 1


# Answering.


def test_a_scanner_that_is_away_is_told_when_it_is_back(
    hospital: CommittingHospital, desk: Desk, tmp_path: Path
) -> None:
    image = Image()
    hospital.store(tmp_path, image)
    with asking(hospital) as association:
        ask(association, action(image.uid))
    for _ in range(3):
        hospital.answer()
        hospital.pass_time(100)
    assert states(hospital) == ["decided"]
    said = [one for one in hospital.texts() if "cannot be told" in one]
    assert len(said) == 1
    with desk.opened():
        hospital.answer()
    assert [one.committed for one in desk.reports] == [{image.uid}]
    assert states(hospital) == ["answered"]


def test_waits_grow_between_two_tries(
    hospital: CommittingHospital, desk: Desk, tmp_path: Path
) -> None:
    with asking(hospital) as association:
        ask(association, action("1.2.3"))
    hospital.answer()
    hospital.answer()
    (waiting,) = hospital.node.receiving.commitments._commitments(text("1 = 1"))
    assert waiting.attempts == 1
    hospital.pass_time(13)
    hospital.answer()
    (waiting,) = hospital.node.receiving.commitments._commitments(text("1 = 1"))
    assert waiting.attempts == 2


def test_an_answer_that_the_scanner_refuses_is_told_again(
    hospital: CommittingHospital, desk: Desk
) -> None:
    desk.status = 0x0110
    with asking(hospital) as association:
        ask(association, action("1.2.3"))
    with desk.opened():
        hospital.answer()
        assert states(hospital) == ["decided"]
        desk.status = 0x0000
        hospital.pass_time(100)
        hospital.answer()
    assert len(desk.reports) == 2
    assert states(hospital) == ["answered"]


@pytest.mark.parametrize("decided", [False, True])
def test_a_restart_between_request_and_answer_loses_nothing(
    hospital: CommittingHospital, desk: Desk, tmp_path: Path, *, decided: bool
) -> None:
    image = Image()
    hospital.store(tmp_path, image)
    with asking(hospital) as association:
        ask(association, action(image.uid))
    if decided:
        hospital.answer()
    hospital.node.stop()
    hospital.start()
    with desk.opened():
        hospital.answer()
    assert [one.committed for one in desk.reports] == [{image.uid}]


def test_two_answerers_give_one_answer(
    hospital: CommittingHospital, desk: Desk, tmp_path: Path
) -> None:
    with asking(hospital) as association:
        ask(association, action("1.2.3"))
    hospital.node.answerer.decide()
    commitments = hospital.node.receiving.commitments
    (due,) = commitments.due()
    assert len(commitments.claim([due.number], lease_s=60.0)) == 1
    assert commitments.claim([due.number], lease_s=60.0) == ()
    with desk.opened():
        hospital.node.answerer.answer()
        assert desk.reports == []
        hospital.pass_time(61)
        hospital.node.answerer.answer()
    assert len(desk.reports) == 1


def test_an_answer_goes_over_tls_where_that_is_agreed(tmp_path: Path, desk: Desk) -> None:
    made = certificates(tmp_path / "tls", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server, made.server_key)
    context.load_verify_locations(made.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    tls = {"ca": made.ca, "certificate": made.client, "key": made.client_key}
    image = Image()
    with committing(tmp_path, desk.terms(tls=tls)) as hospital, desk.opened(context):
        hospital.store(tmp_path, image)
        with asking(hospital) as association:
            ask(association, action(image.uid))
        hospital.answer()
    assert [one.committed for one in desk.reports] == [{image.uid}]


SAME = Commitment(means="own", answer="same")


def test_the_same_association_brings_the_answer(tmp_path: Path, desk: Desk) -> None:
    image = Image()
    with committing(tmp_path, SAME) as hospital:
        hospital.store(tmp_path, image)
        with asking(hospital, desk=desk) as association:
            assert ask(association, action(image.uid)) == 0x0000
            hospital.answer()
            wait_until(lambda: bool(desk.reports))
            assert ask(association, action("1.2.3")) == 0x0000
            hospital.answer()
            wait_until(lambda: len(desk.reports) == 2)
        wait_until(lambda: states(hospital) == ["answered", "answered"])
    assert [one.committed for one in desk.reports] == [{image.uid}, set()]


def test_the_scanners_next_association_brings_an_answer_that_came_late(
    tmp_path: Path, desk: Desk
) -> None:
    image = Image()
    with committing(tmp_path, SAME) as hospital:
        hospital.store(tmp_path, image)
        with asking(hospital) as association:
            ask(association, action(image.uid))
        wait_until(lambda: not hospital.node.scp.open_associations())
        hospital.answer()
        assert states(hospital) == ["decided"]
        with asking(hospital, desk=desk):
            wait_until(lambda: bool(desk.reports))
        wait_until(lambda: states(hospital) == ["answered"])


def test_a_scanner_that_left_is_told_at_its_desk_if_it_has_one(tmp_path: Path, desk: Desk) -> None:
    image = Image()
    with committing(tmp_path, desk.terms(answer="same")) as hospital, desk.opened():
        hospital.store(tmp_path, image)
        with asking(hospital) as association:
            ask(association, action(image.uid))
        wait_until(lambda: not hospital.node.scp.open_associations())
        hospital.answer()
    assert [one.committed for one in desk.reports] == [{image.uid}]


# A slide that is committed is complete, and one that was purged is still answered for.


def test_a_request_for_all_that_came_completes_the_slide_at_once(
    hospital: CommittingHospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    hospital.store(tmp_path, *slide_images)
    with asking(hospital) as association:
        ask(association, action(*[one.uid for one in slide_images[:3]]))
        hospital.look()
        assert hospital.slide().state == "receiving"
        ask(association, action(*[one.uid for one in slide_images]))
        hospital.look()
    assert hospital.slide().state == "waiting"
    assert hospital.slide().words == "The scanner asked us to commit to all that it sent."


def test_a_request_never_completes_a_slide_with_a_part_missing(
    hospital: CommittingHospital, tmp_path: Path
) -> None:
    part = Image(concatenation="1.2.3", part=1, parts=2, n_frames=8)
    hospital.store(tmp_path, part)
    with asking(hospital) as association:
        ask(association, action(part.uid))
    hospital.look()
    assert hospital.slide().state == "receiving"


# Real requesters.


def test_orthanc_asks_for_commitment_and_gets_its_answer(
    tmp_path: Path, require_tool: Callable[[str], str], desk: Desk, slide_images: list[Image]
) -> None:
    program = require_tool("Orthanc")
    with committing(tmp_path, desk.terms()) as hospital:
        hospital.store(tmp_path / "slide", *slide_images)
        more = {
            "DicomPort": desk.port,
            "DicomModalities": {"node": ["COVERSLIP", "127.0.0.1", hospital.port]},
        }
        with running_orthanc(program, tmp_path / "orthanc", "SCANNER", more) as orthanc:
            pairs = [[VL_WHOLE_SLIDE_MICROSCOPY, one.uid] for one in slide_images]
            asked = _post(
                f"{orthanc._base}/modalities/node/storage-commitment",
                {"DicomInstances": [*pairs, [VL_WHOLE_SLIDE_MICROSCOPY, "1.2.3"]], "Timeout": 10},
            )
            hospital.answer()
            found = orthanc.get(f"/storage-commitment/{asked['ID']}")
    assert found["Status"] == "Failure"
    assert {one["SOPInstanceUID"] for one in found["Success"]} == {one.uid for one in slide_images}
    (failed,) = found["Failures"]
    assert failed["SOPInstanceUID"] == "1.2.3"
    assert failed["FailureReason"] == 0x0112
    assert states(hospital) == ["answered"]


def _post(url: str, content: object) -> dict[str, str]:
    request = urllib.request.Request(url, json.dumps(content).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: dict[str, str] = json.loads(answer.read())
    return found


def test_no_original_uid_reaches_journal_or_log(
    hospital: CommittingHospital, desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = Image()
    hospital.store(tmp_path, image)
    content = action(image.uid, replace(image, uid=generate_uid()).uid)
    with asking(hospital) as association:
        ask(association, content)
        hospital.answer()
    said = "\n".join([*hospital.texts(), caplog.text])
    for uid in (image.uid, str(content.TransactionUID)):
        assert uid not in said

"""From objects to slides on the line: complete, late, doubtful, forced, scanned again."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import generate_uid

from appliance.control import Operator
from appliance.errors import ForbiddenAction
from appliance.line import Role, Stage
from appliance.sealing import open_sealed
from appliance.slides.identity import SealedIdentity
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.stores.receipts import Receipt, Receipts
from dicom_node import node as node_module
from dicom_node.headers import Instance
from dicom_node.send.sender import outgoing, send
from dicom_node.slides.arrivals import Arrivals, Scanner
from dicom_node.slides.completeness import Profile
from tests.dicom_node.conftest import Hospital, wait_until
from tests.dicom_node.objects import Image, write
from tests.dicom_node.raw import RawScanner
from tests.dicom_node.test_grouping import instance

OPERATOR = Operator(name="technician", role=Role.TECHNICIAN)


def _send(hospital: Hospital, folder: Path, *images: Image) -> None:
    send([outgoing(write(one, folder)) for one in images], hospital.endpoint)


def _folder(hospital: Hospital, zone: str) -> Path:
    name = hospital.journal.board.folder(hospital.slide().slide_id, Stage.ASSEMBLE)
    assert name is not None
    return Root(hospital.settings.storage.root).zone(zone) / name


def _ask(hospital: Hospital, command: str, **arguments: str) -> dict[str, object]:
    slide_id = hospital.slide().slide_id
    run = node_module.commands(hospital.node)[command].run
    return run(OPERATOR, {"slide_id": slide_id, **arguments})


def test_a_slide_is_assembled_after_the_quiet_time(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path, *slide_images)
    wait_until(lambda: not hospital.node.scp.open_associations())
    hospital.look()
    assert hospital.slide().state == "receiving"
    assert hospital.slide().words == "4 objects, 0 MB"
    hospital.pass_time(59)
    hospital.look()
    assert hospital.slide().state == "receiving"
    hospital.pass_time(2)
    hospital.look()
    assert hospital.slide().state == "waiting"
    hospital.work()
    assert hospital.slide().stage == "deidentify"
    assert hospital.slide().scanner == "scanner-1"


def test_the_published_folder_links_the_objects_finest_level_first(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path, *reversed(slide_images))
    hospital.settle()
    hospital.work()
    folder = _folder(hospital, "original")
    table = json.loads((folder / "slide.json").read_text())
    assert [one["flavour"] for one in table["instances"]] == [
        "VOLUME", "VOLUME", "LABEL", "OVERVIEW",
    ]  # fmt: skip
    assert dcmread(folder / "0000.dcm").SOPInstanceUID == slide_images[0].uid
    assert (folder / "0000.dcm").stat().st_nlink == 2


def test_the_identity_is_sealed_for_release_only(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path, *slide_images)
    hospital.settle()
    hospital.work()
    (sealed,) = _folder(hospital, "sealed").iterdir()
    content = sealed.read_bytes()
    assert b"Canary" not in content
    opened = open_sealed(hospital.seal_key, content, hospital.slide().slide_id)
    identity = SealedIdentity.from_bytes(opened)
    assert identity.dataset().PatientName == "Canary^Patient"
    assert {one.sop_instance_uid for one in identity.instances} == {one.uid for one in slide_images}


def test_the_expected_images_make_it_complete_when_the_association_ends(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path, expects=("VOLUME", "VOLUME", "LABEL"))
    try:
        base = Image()
        _send(hospital, tmp_path / "a", base, replace(base, uid=generate_uid(), flavour="LABEL"))
        wait_until(lambda: not hospital.node.scp.open_associations())
        hospital.look()
        assert hospital.slide().state == "receiving"
        _send(hospital, tmp_path / "a", replace(base, uid=generate_uid(), rows=16))
        wait_until(lambda: not hospital.node.scp.open_associations())
        hospital.look()
        assert hospital.slide().state == "waiting"
    finally:
        hospital.node.stop()


def test_a_transfer_in_flight_holds_its_slide(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path, *slide_images)
    late = replace(slide_images[0], uid=generate_uid(), frame_bytes=200_000)
    wire = RawScanner(hospital.port)
    wire.start_store(write(late, tmp_path / "late"), share=0.5)
    wait_until(lambda: any(one.instance for one in hospital.node.spool.in_flight()))
    hospital.pass_time(1000)
    hospital.look()
    assert hospital.slide().state == "receiving"
    wire.close()
    wait_until(lambda: not hospital.node.scp.open_associations())
    hospital.look()
    assert hospital.slide().state == "waiting"


def test_another_slide_in_flight_holds_nobody_else(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path, *slide_images)
    wire = RawScanner(hospital.port)
    wire.start_store(write(Image(frame_bytes=200_000), tmp_path / "other"), share=0.5)
    wait_until(lambda: any(one.instance for one in hospital.node.spool.in_flight()))
    hospital.pass_time(61)
    hospital.look()
    assert hospital.slide().state == "waiting"
    wire.close()


def test_a_late_level_makes_a_new_revision(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path, *slide_images)
    hospital.settle()
    hospital.work()
    first = _folder(hospital, "original")
    _send(hospital, tmp_path / "late", replace(slide_images[0], uid=generate_uid(), rows=8))
    hospital.settle()
    hospital.work()
    assert hospital.slide().revision == 2
    assert hospital.slide().stage == "deidentify"
    assert len(list(_folder(hospital, "original").glob("*.dcm"))) == 5
    assert len(list(first.glob("*.dcm"))) == 4


def test_a_rescan_of_the_container_is_a_slide_that_supersedes(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path / "first", *slide_images)
    hospital.settle()
    hospital.work()
    space = {"series": generate_uid(), "frame_of_reference": generate_uid()}
    again = [
        replace(one, uid=generate_uid(), acquired="20260102120000", **space) for one in slide_images
    ]
    _send(hospital, tmp_path / "second", *reversed(again))
    hospital.settle()
    hospital.work()
    first, second = hospital.slides()
    assert second.supersedes == first.slide_id
    assert (first.revision, second.revision) == (1, 1)
    assert first.stage == second.stage == "deidentify"


def test_an_open_concatenation_waits_and_is_set_aside_in_the_end(
    hospital: Hospital, tmp_path: Path
) -> None:
    parts = [Image(concatenation="1.2.3", part=number, parts=3, n_frames=8) for number in (1, 2, 3)]
    parts = [replace(parts[0], uid=generate_uid(), part=one.part) for one in parts]
    _send(hospital, tmp_path, parts[0], parts[2])
    hospital.settle(61)
    assert hospital.slide().state == "receiving"
    hospital.settle(200)
    hospital.work()
    assert hospital.slide().state == "aside"
    assert hospital.slide().error == "2 of 3 parts of a level came."
    _send(hospital, tmp_path, parts[1])
    hospital.settle()
    hospital.work()
    assert hospital.slide().stage == "deidentify"


def test_missing_frames_wait_until_an_operator_forces(hospital: Hospital, tmp_path: Path) -> None:
    _send(hospital, tmp_path, Image(n_frames=5))
    hospital.settle()
    assert hospital.slide().state == "receiving"
    _ask(hospital, "force_complete")
    hospital.look()
    hospital.work()
    assert hospital.slide().stage == "deidentify"


def test_an_incomplete_slide_that_was_set_aside_goes_on_when_forced(
    hospital: Hospital, tmp_path: Path
) -> None:
    _send(hospital, tmp_path, Image(n_frames=5))
    hospital.settle(1000)
    hospital.work()
    assert hospital.slide().error_code == "incomplete-slide"
    _ask(hospital, "force_complete")
    hospital.work()
    assert hospital.slide().stage == "deidentify"


def test_a_label_alone_is_no_slide(hospital: Hospital, tmp_path: Path) -> None:
    _send(hospital, tmp_path, Image(flavour="LABEL"))
    hospital.settle(1000)
    hospital.work()
    assert hospital.slide().error == "No VOLUME image came."


@pytest.mark.parametrize(("keep", "marker"), [("first", 0), ("newest", 9)])
def test_an_operator_settles_a_conflict(
    hospital: Hospital, tmp_path: Path, keep: str, marker: int
) -> None:
    image = Image()
    _send(hospital, tmp_path, image)
    _send(hospital, tmp_path, replace(image, marker=9))
    hospital.settle()
    hospital.work()
    assert hospital.slide().state == "aside"
    with pytest.raises(ForbiddenAction, match="first or newest"):
        _ask(hospital, "settle_conflict")
    _ask(hospital, "settle_conflict", keep=keep)
    hospital.work()
    assert hospital.slide().stage == "deidentify"
    (kept,) = _folder(hospital, "original").glob("*.dcm")
    assert bytes([0xFF, 0xD8]) + bytes([marker]) * 4 in kept.read_bytes()
    assert len(hospital.stored_files()) == 2


def test_a_conflict_that_comes_late_sets_the_slide_aside(
    hospital: Hospital, tmp_path: Path
) -> None:
    image = Image()
    _send(hospital, tmp_path, image)
    hospital.settle()
    hospital.work()
    _send(hospital, tmp_path, replace(image, marker=3))
    hospital.settle()
    hospital.work()
    assert hospital.slide().state == "aside"
    assert hospital.slide().revision == 2


def test_a_restart_between_receipt_and_journal_loses_nothing(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path, *slide_images)
    hospital.node.stop()
    hospital.start()
    hospital.settle()
    hospital.node.stop()
    hospital.start()
    hospital.look()
    hospital.work()
    assert hospital.slide().stage == "deidentify"
    assert hospital.slide().revision == 1


def test_a_restart_sweeps_what_was_never_answered_for(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path, *slide_images)
    hospital.node.stop()
    (hospital.node.spool.instances / ("0" * 64 + ".dcm")).write_bytes(b"no receipt")
    (hospital.node.spool.incoming / "half.part").write_bytes(b"half")
    hospital.start()
    assert len(hospital.stored_files()) == 4
    assert hospital.partial_files() == []


def test_objects_that_come_again_change_nothing(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path, *slide_images)
    hospital.settle()
    hospital.work()
    n_events = len(hospital.journal.board.events())
    _send(hospital, tmp_path, *reversed(slide_images))
    hospital.settle()
    hospital.work()
    assert (hospital.slide().revision, hospital.slide().stage) == (1, "deidentify")
    assert len(hospital.journal.board.events()) == n_events


def test_slides_that_come_mixed_over_one_association_are_told_apart(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    neighbour = [  # of the same study, in series of their own
        replace(one, uid=generate_uid(), container="S26-1-A2", series=f"{one.series}.2",
                frame_of_reference=f"{one.frame_of_reference}.2")
        for one in slide_images
    ]  # fmt: skip
    study = generate_uid()
    unrelated = [replace(one, uid=generate_uid(), study=study) for one in slide_images]
    mixed = [one for three in zip(slide_images, neighbour, unrelated, strict=True) for one in three]
    _send(hospital, tmp_path, *mixed)
    hospital.settle()
    hospital.work()
    assert [one.stage for one in hospital.slides()] == ["deidentify"] * 3
    members = {
        frozenset(
            each.receipt.sop_instance_uid for each in hospital.node.receipts.of_slide(one.slide_id)
        )
        for one in hospital.slides()
    }
    assert members == {
        frozenset(one.uid for one in images) for images in (slide_images, neighbour, unrelated)
    }


def _label_first(images: list[Image]) -> list[Image]:
    """The rescan of a slide, whose label comes first, in a series of its own."""
    space = {"series": generate_uid(), "frame_of_reference": generate_uid()}
    again = [replace(one, uid=generate_uid(), acquired="20260102120000", **space) for one in images]
    label = replace(again[2], series=generate_uid(), frame_of_reference=None)
    return [label, *again[:2], again[3]]


def test_a_rescan_whose_label_comes_first_leaves_the_first_scan_alone(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path / "first", *slide_images)
    hospital.settle()
    hospital.work()
    label, *others = _label_first(slide_images)
    _send(hospital, tmp_path / "second", label)
    hospital.settle(30)
    assert hospital.slide().stage == "deidentify"
    _send(hospital, tmp_path / "second", *others)
    hospital.settle()
    hospital.work()
    first, second = hospital.slides()
    assert (first.revision, second.revision) == (1, 1)
    assert second.supersedes == first.slide_id
    assert len(hospital.node.receipts.of_slide(second.slide_id)) == 4


def test_a_rescan_that_comes_while_the_first_scan_is_received_is_a_slide_of_its_own(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path / "first", *slide_images)
    label, *others = _label_first(slide_images)
    _send(hospital, tmp_path / "second", label)
    hospital.look()
    assert hospital.slide().words == "5 objects, 0 MB"
    _send(hospital, tmp_path / "second", *others)
    hospital.settle()
    hospital.work()
    first, second = hospital.slides()
    for one in (first, second):
        assert (one.stage, one.revision) == ("deidentify", 1)
        assert len(hospital.node.receipts.of_slide(one.slide_id)) == 4


def test_a_rescan_whose_label_waited_too_long_is_a_slide_without_it(
    hospital: Hospital, tmp_path: Path, slide_images: list[Image]
) -> None:
    _send(hospital, tmp_path / "first", *slide_images)
    hospital.settle()
    hospital.work()
    label, *others = _label_first(slide_images)
    _send(hospital, tmp_path / "second", label)
    hospital.settle()
    assert (hospital.slide().revision, hospital.slide().state) == (2, "waiting")
    _send(hospital, tmp_path / "second", *others)
    hospital.settle()
    hospital.work()
    first, second = hospital.slides()
    assert first.stage == second.stage == "deidentify"
    assert (first.revision, second.revision) == (2, 1)
    of_slide = hospital.node.receipts.of_slide
    assert (len(of_slide(first.slide_id)), len(of_slide(second.slide_id))) == (4, 4)


# Whatever the order, and whenever somebody looks.

SCAN = [
    instance(sop_instance_uid="1.1", acquired="20260101"),
    instance(sop_instance_uid="1.2", acquired="20260101", is_resampled=True),
    instance(sop_instance_uid="1.3", flavour="LABEL", series_instance_uid="7",
             frame_of_reference_uid=None, acquired="20260101"),
]  # fmt: skip
RESCAN = [
    replace(one, sop_instance_uid=f"2{one.sop_instance_uid[1:]}", acquired="20260102",
            series_instance_uid=f"9{one.series_instance_uid}",
            frame_of_reference_uid=one.frame_of_reference_uid and "9.5")
    for one in SCAN
]  # fmt: skip
NEIGHBOUR = [
    replace(one, sop_instance_uid=f"3{one.sop_instance_uid[1:]}", container_identifier="B",
            series_instance_uid="8", frame_of_reference_uid="8.5")
    for one in SCAN
]  # fmt: skip
NAMELESS = instance(
    sop_instance_uid="4.1", container_identifier=None, flavour="OVERVIEW", series_instance_uid="8",
    frame_of_reference_uid=None,
)  # fmt: skip
SLIDES = {
    frozenset({"1.1", "1.2", "1.3"}),
    frozenset({"2.1", "2.2", "2.3"}),
    frozenset({"3.1", "3.2", "3.3", "4.1"}),
}


@settings(max_examples=20, deadline=None)
@given(
    order=st.permutations([*SCAN, *RESCAN, *NEIGHBOUR, NAMELESS]),
    looks=st.sets(st.integers(0, 9)),
)
def test_slides_are_the_same_in_whatever_order_their_objects_came(
    order: list[Instance], looks: set[int]
) -> None:
    with TemporaryDirectory() as folder:
        receipts = Receipts(open_engine(f"sqlite:///{folder}/receipts.db", store="receipts"))
        journal = Journal(open_engine(f"sqlite:///{folder}/journal.db", store="journal"))
        now = [0.0]
        arrivals = Arrivals(
            receipts=receipts,
            journal=journal,
            in_flight=tuple,
            open_associations=frozenset,
            scanners={"SCANNER": Scanner(name="scanner-1", profile=Profile(quiet_s=60.0))},
            clock=lambda: now[0],
        )
        for number, one in enumerate(order):
            receipts.add(_receipt_of(one, received_at=now[0]))
            if number in looks:
                arrivals.step()
            now[0] += 1.0
        now[0] += 61.0
        arrivals.step()
        live = [one for one in journal.board.snapshot() if one.state == "waiting"]
        found = {
            frozenset(each.receipt.sop_instance_uid for each in receipts.of_slide(one.slide_id))
            for one in live
        }
        empty = [one for one in journal.board.snapshot() if one.state == "aside"]
        assert found == SLIDES
        assert len(live) == len(SLIDES)
        assert all(one.error_code == "empty-slide" for one in empty)
        assert len(journal.board.snapshot()) == len(live) + len(empty)


def _receipt_of(one: Instance, *, received_at: float) -> Receipt:
    return Receipt(
        sop_instance_uid=one.sop_instance_uid, sop_class_uid=one.sop_class_uid,
        transfer_syntax_uid="1.2", study_instance_uid="1.3",
        series_instance_uid=one.series_instance_uid, facts=json.dumps(asdict(one)),
        sha256=one.sop_instance_uid, size_bytes=1, calling_ae_title="SCANNER",
        association=one.sop_instance_uid[:1], received_at=received_at,
    )  # fmt: skip

"""Originals on their way to an archive: the very bytes, once, confirmed, never given up unseen."""

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import DeliveryRefused, PeerUnavailable
from appliance.settings import Route, Settings, load
from appliance.stores.deposits import DepositState
from appliance.stores.journal import MAX_ATTEMPTS
from dicom_node.deliver import archive
from dicom_node.deliver.archiving import Archiver
from dicom_node.deliver.daemon import MAXIMUM_STUMBLES, confirming
from dicom_node.deliver.pace import Pace
from dicom_node.receive.places import open_spool
from dicom_node.send.sender import Outgoing, outgoing, send
from dicom_node.status import PeerFailed
from tests.dicom_node.committing import Pacs, running_pacs
from tests.dicom_node.conftest import Hospital, wait_until
from tests.dicom_node.objects import Image, data_set_offset, write
from tests.dicom_node.real_peers import Orthanc, free_port, running_orthanc
from tests.forge import Forged, forge

WAITING, SENT, CONFIRMED, ASIDE = DepositState


def route(port: int, **values: Any) -> Route:
    return Route.model_validate(
        {
            "name": "archive",
            "recipient": "hospital",
            "place": "inside",
            "kind": "dimse",
            "carries": ["originals"],
            "addresses": ["127.0.0.0/8"],
            "peer": {"ae_title": "PACS", "host": "127.0.0.1", "port": port},
            **values,
        }
    )


class Archiving:
    """An archiver over what a hospital's node received."""

    def __init__(self, hospital: Hospital, **values: Any) -> None:
        self.hospital = hospital
        self.notes: list[tuple[str, str, str | None]] = []
        self.deposits = archive.open_deposits(hospital.settings, hospital.now)
        self.archiver = Archiver(
            **{
                "deposits": self.deposits,
                "route": "archive",
                "path_of": open_spool(hospital.settings).path,
                "send": lambda _files: None,
                "note": lambda *note: self.notes.append(note),
                "clock": hospital.now,
                "wait_s": lambda _retries: 5.0,
                **values,
            }
        )

    def states(self) -> list[DepositState]:
        return [row.state for row in self.deposits.rows()]

    def forward_all(self) -> None:
        while self.archiver.forward():
            pass


def store(hospital: Hospital, folder: Path, *images: Image) -> list[Path]:
    paths = [write(one, folder) for one in images]
    send([outgoing(one) for one in paths], hospital.endpoint)
    return paths


def data_set(content: bytes) -> bytes:
    return content[144 + int.from_bytes(content[140:144], "little") :]


def same_objects(orthanc: Orthanc, paths: Sequence[Path]) -> bool:
    """Whether the archive holds these objects, byte by byte, and nothing else."""
    there = sorted(data_set(one) for one in orthanc.instances().values())
    return there == sorted(one.read_bytes()[data_set_offset(one) :] for one in paths)


@contextmanager
def answering_orthanc(program: str, folder: Path) -> Iterator[tuple[Orthanc, dict[str, Any]]]:
    """Run Orthanc, which answers requests for commitment at a port of ours."""
    port = free_port()
    modalities = {"coverslip": ["COVERSLIP", "127.0.0.1", port]}
    with running_orthanc(program, folder, DicomModalities=modalities) as orthanc:
        yield orthanc, {"wait_s": 20.0, "report_host": "127.0.0.1", "report_port": port}


@pytest.mark.parametrize("kind", ["dimse", "stow"])
def test_orthanc_gets_the_very_bytes_and_confirms_them(
    hospital: Hospital,
    tmp_path: Path,
    require_tool: Callable[[str], str],
    slide_images: list[Image],
    kind: str,
) -> None:
    paths = store(hospital, tmp_path / "slide", *slide_images, replace(Image(), native=True))
    program = require_tool("Orthanc")
    with answering_orthanc(program, tmp_path / "orthanc") as (orthanc, terms):
        values: dict[str, Any] = {"kind": kind, "confirmation": terms}
        if kind == "stow":
            values["web"] = {"url": orthanc.web}
        to = route(orthanc.dicom_port, **values)
        with confirming(to) as confirmer:
            one = Archiving(hospital, send=archive.send_of(to), confirmer=confirmer)
            one.forward_all()
            assert one.states() == [SENT] * 5
            assert one.archiver.confirm()
            assert not one.archiver.confirm()
        assert same_objects(orthanc, paths)
    assert one.states() == [CONFIRMED] * 5
    hospital.look()
    uids = {image.uid for image in slide_images}
    held = hospital.node.receiving.commitments.held(uids)
    assert all(kept.archived for some in held.values() for kept in some)


def test_an_archiver_killed_again_and_again_leaves_one_object_each(
    hospital: Hospital, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    paths = store(hospital, tmp_path / "slide", *[Image(frame_bytes=100_000) for _ in range(12)])
    with running_orthanc(require_tool("Orthanc"), tmp_path / "orthanc") as orthanc:
        settings_file = write_settings(hospital, tmp_path, orthanc.dicom_port)
        for n_there in (1, 4, 8):
            daemon = spawn(settings_file)
            wait_until(lambda n=n_there: len(orthanc.get("/instances")) >= n, 60)
            daemon.send_signal(signal.SIGKILL)
            daemon.wait(30)
        daemon = spawn(settings_file)
        try:
            deposits = archive.open_deposits(load(settings_file))
            wait_until(lambda: {row.state for row in deposits.rows()} == {SENT}, 60)
        finally:
            daemon.terminate()
            assert daemon.wait(30) == 0
        assert same_objects(orthanc, paths)
    assert archive.pending(load(settings_file)) == ()


def spawn(settings_file: Path) -> Forged:
    return forge().start(["--settings", str(settings_file), "deliver", "archive"])


def write_settings(hospital: Hospital, folder: Path, port: int) -> Path:
    settings: Settings = hospital.settings
    path = folder / "coverslip.toml"
    path.write_text(
        f"""
        [storage]
        root = {json.dumps(str(settings.storage.root))}
        [journal]
        lease_s = 1.0
        [keys]
        folder = {json.dumps(str(settings.keys.folder))}
        [[routes]]
        name = "archive"
        recipient = "hospital"
        place = "inside"
        kind = "dimse"
        carries = ["originals"]
        addresses = ["127.0.0.0/8"]
        peer = {{ ae_title = "PACS", host = "127.0.0.1", port = {port} }}
        """
    )
    return path


# What goes wrong, and what happens next.


def test_every_object_is_forwarded_once_and_late_ones_follow(
    hospital: Hospital, tmp_path: Path
) -> None:
    sent: list[str] = []
    one = Archiving(hospital, send=lambda files: sent.extend(f.sop_instance_uid for f in files))
    images = [Image(), Image(), Image()]
    store(hospital, tmp_path, *images[:2])
    one.forward_all()
    store(hospital, tmp_path, *images)
    one.forward_all()
    assert sent == [image.uid for image in images]
    assert one.states() == [SENT] * 3


def test_originals_are_forwarded_no_faster_than_the_limit(
    hospital: Hospital, tmp_path: Path
) -> None:
    paths = store(hospital, tmp_path / "slide", *[Image() for _ in range(3)])
    now = [0.0]
    one = Archiving(hospital, pace=Pace(0.001, clock=lambda: now[0]))
    one.forward_all()
    assert one.states().count(SENT) == 1
    now[0] += max(path.stat().st_size for path in paths) / 1e3 + 1.0
    one.forward_all()
    assert one.states().count(SENT) == 2


def test_an_absent_peer_is_left_alone_for_a_while(hospital: Hospital, tmp_path: Path) -> None:
    tries: list[Outgoing] = []

    def fail(files: Sequence[Outgoing]) -> None:
        tries.extend(files)
        raise PeerUnavailable("The peer does not answer at its address.")

    one = Archiving(hospital, send=fail)
    store(hospital, tmp_path, Image(), Image())
    one.forward_all()
    assert len(tries) == 1
    hospital.pass_time(4)
    one.forward_all()
    assert len(tries) == 1
    hospital.pass_time(2)
    one.forward_all()
    assert len(tries) == 2
    assert one.states() == [WAITING] * 2
    waiting = archive.pending(with_route(hospital))[0]
    assert waiting.error == "The peer does not answer at its address."


def with_route(hospital: Hospital, **values: Any) -> Settings:
    return hospital.settings.model_copy(update={"routes": (route(1, **values),)})


def test_a_refusal_sets_one_object_aside_and_the_others_go_on(
    hospital: Hospital, tmp_path: Path
) -> None:
    bad, good = Image(), Image()

    def refuse(files: Sequence[Outgoing]) -> None:
        if files[0].sop_instance_uid == bad.uid:
            raise DeliveryRefused("The peer refused the object (status 0xC000).")

    one = Archiving(hospital, send=refuse)
    store(hospital, tmp_path, bad, good)
    hospital.look()
    one.forward_all()
    assert one.states() == [ASIDE, SENT]
    (note,) = one.notes
    slide_ids = {slide.slide_id for slide in hospital.slides()}
    assert note[2] in slide_ids
    assert bad.uid not in note[1]
    (row,) = archive.pending(with_route(hospital))
    assert (row.state, row.slide_id) == (ASIDE, note[2])
    assert row.next_step is not None


def test_an_operator_lets_the_daemon_try_again(hospital: Hospital, tmp_path: Path) -> None:
    refusing = [True]

    def refuse(_files: Sequence[Outgoing]) -> None:
        if refusing:
            raise DeliveryRefused("The peer refused the object.")

    one = Archiving(hospital, send=refuse)
    store(hospital, tmp_path, Image())
    one.forward_all()
    assert one.states() == [ASIDE]
    refusing.clear()
    assert one.deposits.retry("archive") == 1
    one.forward_all()
    assert one.states() == [SENT]


def test_damage_never_travels(hospital: Hospital, tmp_path: Path) -> None:
    sent: list[Outgoing] = []
    one = Archiving(hospital, send=sent.extend)
    store(hospital, tmp_path, Image(frame_bytes=500), Image())
    missing, damaged = sorted(hospital.stored_files(), key=lambda path: path.stat().st_size)
    content = bytearray(damaged.read_bytes())
    content[-30] ^= 1
    damaged.write_bytes(content)
    missing.unlink()
    one.forward_all()
    assert sent == []
    assert one.states() == [ASIDE] * 2
    assert {text.rpartition(": ")[2] for _, text, _ in one.notes} == {
        "An object in the spool is damaged; it was not forwarded.",
        "An object in the spool is missing; it was not forwarded.",
    }


def test_a_peer_that_stumbles_is_tried_some_times_only(hospital: Hospital, tmp_path: Path) -> None:
    tries: list[Outgoing] = []

    def stumble(files: Sequence[Outgoing]) -> None:
        tries.extend(files)
        raise PeerFailed("The peer could not process the object.")

    one = Archiving(hospital, send=stumble)
    store(hospital, tmp_path, Image())
    for _ in range(MAXIMUM_STUMBLES + 3):
        one.forward_all()
        hospital.pass_time(6)
    assert len(tries) == MAXIMUM_STUMBLES
    assert one.states() == [ASIDE]


def test_an_object_that_kills_the_daemon_is_set_aside_alone(
    hospital: Hospital, tmp_path: Path
) -> None:
    one = Archiving(hospital)
    store(hospital, tmp_path, Image(), Image())
    one.archiver._enqueue()
    for _ in range(MAX_ATTEMPTS):
        assert one.deposits.claim("archive", WAITING, limit=1) is not None  # and dies
        hospital.pass_time(100)
    one.forward_all()
    assert one.states() == [ASIDE, SENT]


def test_a_lease_that_ran_out_says_nothing_any_more(hospital: Hospital, tmp_path: Path) -> None:
    one = Archiving(hospital)
    store(hospital, tmp_path, Image())
    one.archiver._enqueue()
    old = one.deposits.claim("archive", WAITING, limit=1)
    assert old is not None
    hospital.pass_time(100)
    new = one.deposits.claim("archive", WAITING, limit=1)
    assert new is not None
    one.deposits.set_aside(old, old.numbers, DeliveryRefused("Too late."))
    one.deposits.sent(new, new.numbers)
    assert one.states() == [SENT]


def test_of_a_conflict_nothing_is_forwarded_before_an_operator_has_chosen(
    hospital: Hospital, tmp_path: Path
) -> None:
    sent: list[str] = []
    one = Archiving(hospital, send=lambda files: sent.extend(str(f.path.stem) for f in files))
    image = Image()
    store(hospital, tmp_path, image, replace(image, marker=7))
    hospital.look()
    one.forward_all()
    assert sent == []
    hospital.node.receipts.keep(hospital.slide().slide_id, newest=True)
    hospital.pass_time(61)
    one.forward_all()
    (kept,) = [
        held.stored
        for held in hospital.node.receiving.commitments.held([image.uid])[image.uid]
        if not held.stored.dismissed
    ]
    assert sent == [kept.receipt.sha256]


# Confirmation.


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    with running_pacs(Pacs()) as one:
        yield one


@contextmanager
def confirmed_by(pacs: Pacs, hospital: Hospital, wait_s: float = 0.4) -> Iterator[Archiving]:
    to = route(pacs.port, confirmation={"wait_s": wait_s})
    with confirming(to) as confirmer:
        yield Archiving(hospital, send=archive.send_of(to), confirmer=confirmer)


def test_only_what_the_archive_committed_to_is_confirmed(
    hospital: Hospital, tmp_path: Path, pacs: Pacs
) -> None:
    kept, denied, other = Image(), Image(), Image()
    pacs.reasons = {denied.uid: 0x0112, other.uid: 0x0119}
    store(hospital, tmp_path, kept, denied, other)
    with confirmed_by(pacs, hospital) as one:
        one.forward_all()
        assert one.archiver.confirm()
        assert one.states() == [CONFIRMED, WAITING, ASIDE]
        pacs.reasons = {}
        hospital.pass_time(6)
        one.forward_all()
        assert one.archiver.confirm()
        assert one.states() == [CONFIRMED, CONFIRMED, ASIDE]
    assert pacs.stored == [kept.uid, denied.uid, other.uid, denied.uid]


def test_an_archive_that_does_not_answer_is_asked_again_and_gets_nothing_twice(
    hospital: Hospital, tmp_path: Path, pacs: Pacs
) -> None:
    pacs.way = "never"
    store(hospital, tmp_path, Image(), Image())
    with confirmed_by(pacs, hospital) as one:
        one.forward_all()
        one.archiver.confirm()
        assert one.states() == [SENT] * 2
        assert not one.archiver.confirm()
        pacs.way = "same"
        hospital.pass_time(6)
        assert one.archiver.confirm()
        assert one.states() == [CONFIRMED] * 2
    assert len(pacs.stored) == 2
    assert len(pacs.requests) == 2


def test_what_was_sent_is_pending_only_where_it_must_be_confirmed(
    hospital: Hospital, tmp_path: Path
) -> None:
    one = Archiving(hospital)
    store(hospital, tmp_path, Image())
    one.forward_all()
    assert archive.pending(with_route(hospital)) == ()
    (row,) = archive.pending(with_route(hospital, confirmation={"wait_s": 1.0}))
    assert row.state is SENT

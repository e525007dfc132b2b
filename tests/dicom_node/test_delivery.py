"""Deliveries that fail, wait, die and are tried again: each arrives once, or says why not."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from appliance.control import AnsweredError, ControlServer, Operator, call
from appliance.errors import (
    ApplianceError,
    ConfigError,
    DeliveryRefused,
    ForbiddenAction,
    PeerUnavailable,
)
from appliance.line import Parcel, Role, Stage, State
from appliance.manifest import VerifiedParcel
from appliance.settings import Confirmation, Operators, Peer, Route, Web, load
from appliance.stores.database import open_engine
from appliance.stores.deposits import DepositState, DepositStatus
from appliance.stores.journal import Journal
from appliance.stores.parcels import PendingParcel
from dicom_node.deliver import commands as delivery_commands
from dicom_node.deliver.actions import delivery_actions
from dicom_node.deliver.commands import age, original_lines, parcel_lines
from dicom_node.deliver.daemon import MAXIMUM_STUMBLES, carrier_of, confirming
from dicom_node.peer import ArchivePeer
from dicom_node.routes.delivery import Delivery
from dicom_node.routes.dicom import DicomRoute
from dicom_node.routes.parcel_files import outgoing_files
from dicom_node.send.sender import Outgoing
from dicom_node.status import PeerBusy, PeerFailed
from tests.dicom_node.committing import Pacs, running_pacs
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.objects import Image, data_set_offset, write
from tests.dicom_node.real_peers import Orthanc, free_port, running_orthanc
from tests.dicom_node.test_deliver import KEY, SR, Line
from tests.forge import forge

PUBLIC_PEM = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
INSIDE = (ip_network("127.0.0.0/8"),)


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Journal:
    return Journal(open_engine(f"sqlite:///{tmp_path}/journal.db", store="journal"), clock)


def dimse_route(port: int, **changes: Any) -> Route:
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=port)
    return Route(
        name="pacs",
        recipient="hospital",
        place="inside",
        kind="dimse",
        carries=("SR", "SEG"),
        addresses=INSIDE,
        peer=peer,
        **changes,
    )


def stow_route(orthanc: Orthanc, **changes: Any) -> Route:
    return Route(
        name="pacs",
        recipient="hospital",
        place="inside",
        kind="stow",
        carries=("SR", "SEG"),
        addresses=INSIDE,
        web=Web.model_validate({"url": orthanc.web}),
        **changes,
    )


class Nobody:
    """A carrier that is never asked."""

    def deliver(self, parcel: object, *, again: bool) -> Delivery:
        raise AssertionError


@dataclass(kw_only=True)
class Raising:
    """A carrier whose peer does what the test says."""

    error: ApplianceError | None
    again: list[bool]

    def deliver(self, parcel: object, *, again: bool) -> Delivery:
        self.again.append(again)
        if self.error is not None:
            raise self.error
        return Delivery(words="Stored.")


def line_with(
    tmp_path: Path, journal: Journal, error: ApplianceError | None
) -> tuple[Line, Raising]:
    carrier = Raising(error=error, again=[])
    return Line(folder=tmp_path, journal=journal, route=dimse_route(1), carrier=carrier), carrier


def report(folder: Path) -> tuple[Image, Path]:
    image = Image(sop_class=SR)
    return image, write(image, folder / "made")


def hand_over(line: Line, folder: Path) -> Path:
    return line.hand_over(report(folder)[1], kind="report", file_kind="SR")


def pending(journal: Journal) -> PendingParcel:
    (only,) = journal.parcels.pending()
    return only


# Waiting, and giving up.


def test_the_wait_doubles_by_chance_and_is_told_in_the_journal(
    tmp_path: Path, journal: Journal, clock: Clock
) -> None:
    line, _ = line_with(tmp_path, journal, PeerUnavailable("It is away."))
    hand_over(line, tmp_path)
    waits = []
    for _ in range(12):
        assert line.deliverer().step()
        one = pending(journal)
        assert one.next_try_at is not None
        waits.append(one.next_try_at - clock.now)
        clock.now = one.next_try_at
    for number, wait in enumerate(waits):
        assert 1.0 <= wait <= min(600.0, 5.0 * 2.0**number) + 0.001
    assert len(set(waits)) > 6, "they are spread by chance"
    assert pending(journal).state is State.WAITING, "a peer that is away is waited for, for ever"


def test_a_peer_that_fails_over_a_parcel_is_not_tried_for_ever(
    tmp_path: Path, journal: Journal, clock: Clock
) -> None:
    line, carrier = line_with(tmp_path, journal, PeerFailed("It stumbled."))
    hand_over(line, tmp_path)
    while pending(journal).state is State.WAITING:
        assert len(carrier.again) < 100
        assert line.deliverer().step()
        clock.now += 601.0
    assert len(carrier.again) == MAXIMUM_STUMBLES
    one = pending(journal)
    assert one.state is State.ASIDE
    assert one.error == f"It stumbled. It was tried {MAXIMUM_STUMBLES} times."
    assert not line.deliverer().step()


@pytest.mark.parametrize(("asked_s", "waits_s"), [(90.0, 90.0), (7200.0, 600.0), (0.0, 1.0)])
def test_what_a_busy_peer_asks_for_is_kept_up_to_the_cap(
    tmp_path: Path, journal: Journal, clock: Clock, asked_s: float, waits_s: float
) -> None:
    line, _ = line_with(tmp_path, journal, PeerBusy("Later.", after_s=asked_s))
    hand_over(line, tmp_path)
    replace(line.deliverer(), wait_s=lambda _retries: 1.0).step()
    assert pending(journal).next_try_at == pytest.approx(clock.now + waits_s)


def test_a_refusal_is_final_at_once(tmp_path: Path, journal: Journal, clock: Clock) -> None:
    line, carrier = line_with(tmp_path, journal, DeliveryRefused("Never."))
    hand_over(line, tmp_path)
    line.deliverer().step()
    clock.now += 100_000.0
    assert not line.deliverer().step()
    assert len(carrier.again) == 1
    assert (pending(journal).state, pending(journal).error) == (State.ASIDE, "Never.")


def test_a_settings_error_stops_the_daemon_and_is_not_held_against_the_parcel(
    tmp_path: Path, journal: Journal
) -> None:
    line, carrier = line_with(tmp_path, journal, ConfigError("web.token_file: gone."))
    hand_over(line, tmp_path)
    for _ in range(5):
        with pytest.raises(ConfigError):
            line.deliverer().step()
    assert pending(journal).state is State.WAITING
    carrier.error = None
    assert line.deliverer().step()
    assert journal.parcels.pending() == ()


def test_a_new_parcel_does_not_wait_behind_those_that_were_put_back(
    journal: Journal, clock: Clock
) -> None:
    slide_with(journal, "a", "b")
    for _ in range(2):
        claim = journal.parcels.claim("pacs")
        assert claim is not None
        journal.parcels.put_back(claim, PeerUnavailable("It is away."), after_s=5.0)
        clock.now += 1.0
    with journal._engine.begin() as connection:
        later = Parcel(
            parcel_id="c", route="pacs", kind="report", folder="c@token", slide_id="slide-1"
        )
        journal.parcels.add(connection, later)
    clock.now += 60.0
    order = [journal.parcels.claim("pacs") for _ in range(3)]
    assert [one.parcel.parcel_id for one in order if one is not None] == ["c", "a", "b"]


def test_a_carrier_is_told_when_it_may_have_been_sent_before(
    tmp_path: Path, journal: Journal, clock: Clock
) -> None:
    line, carrier = line_with(tmp_path, journal, PeerUnavailable("It is away."))
    hand_over(line, tmp_path)
    line.deliverer().step()
    clock.now += 601.0
    carrier.error = None
    line.deliverer().step()
    assert carrier.again == [False, True]


# What is sent is what was verified.


def test_the_very_bytes_that_were_verified_are_sent_without_another_copy(
    tmp_path: Path, journal: Journal
) -> None:
    _, path = report(tmp_path)
    content = path.read_bytes()
    sent: list[bytes] = []

    def swap_and_send(files: Any) -> None:
        (folder,) = (tmp_path / "outbox" / "pacs").iterdir()
        (folder / path.name).write_bytes(b"something else")
        sent.extend(one.path.read_bytes() for one in files)

    carrier = DicomRoute(name="PACS", send=swap_and_send)
    line = Line(folder=tmp_path, journal=journal, route=dimse_route(1), carrier=carrier)
    line.hand_over(path, kind="report", file_kind="SR")
    line.deliverer().step()
    assert sent == [content]


def test_a_large_file_of_a_parcel_is_sent_from_its_one_private_copy(
    tmp_path: Path, journal: Journal
) -> None:
    path = write(Image(sop_class=SR, frame_bytes=4_000_000), tmp_path / "made")
    seen: list[tuple[Path, Outgoing]] = []

    @dataclass(frozen=True)
    class Looking:
        def deliver(self, parcel: VerifiedParcel, *, again: bool) -> Delivery:
            (one,) = outgoing_files(parcel)
            seen.append((one.path.readlink(), one))
            assert one.path.read_bytes() == path.read_bytes()
            return Delivery(words="Seen.")

    line = Line(folder=tmp_path, journal=journal, route=dimse_route(1), carrier=Looking())
    line.hand_over(path, kind="report", file_kind="SR")
    line.deliverer().step()
    ((target, one),) = seen
    assert one.size_bytes > 32 * 2**20
    assert "(deleted)" in str(target), "it has no name by which anybody else could reach it"


# Orthanc by STOW-RS.


@pytest.fixture(scope="module")
def orthanc(
    tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[[str], str]
) -> Iterator[Orthanc]:
    port = free_port()
    folder = tmp_path_factory.mktemp("orthanc") / "pacs"
    modalities = {"coverslip": ["COVERSLIP", "127.0.0.1", port]}
    with running_orthanc(require_tool("Orthanc"), folder, DicomModalities=modalities) as one:
        yield replace(one, report_port=port)


def test_a_signed_report_reaches_orthanc_by_stow(
    tmp_path: Path, journal: Journal, orthanc: Orthanc
) -> None:
    route = stow_route(orthanc)
    image, path = report(tmp_path)
    line = Line(folder=tmp_path, journal=journal, route=route, carrier=carrier_of(route))
    line.hand_over(path, kind="report", file_kind="SR")
    line.deliverer().step()
    assert journal.parcels.pending() == ()
    assert orthanc.instances()[image.uid] == path.read_bytes()


def test_a_stow_route_may_ask_for_a_commitment_by_dicom(
    tmp_path: Path, journal: Journal, orthanc: Orthanc
) -> None:
    route = stow_route(
        orthanc,
        peer=Peer(ae_title="PACS", host="127.0.0.1", port=orthanc.dicom_port),
        confirmation=Confirmation(
            wait_s=20.0, report_host="127.0.0.1", report_port=orthanc.report_port
        ),
    )
    image, path = report(tmp_path)
    with confirming(route) as confirmer:
        carrier = carrier_of(route, confirmer)
        line = Line(folder=tmp_path, journal=journal, route=route, carrier=carrier)
        line.hand_over(path, kind="report", file_kind="SR")
        line.deliverer().step()
    assert line.status().error is None
    assert line.status().state is State.DONE
    (said,) = [one.text for one in journal.board.events() if one.kind == "delivered"]
    assert said == "Stored at 127.0.0.1 and confirmed by it: objects 1."
    assert image.uid in orthanc.instances()


def test_a_route_with_a_confirmation_waits_without_counting_against_the_parcel(
    tmp_path: Path, journal: Journal, clock: Clock
) -> None:
    with running_pacs(Pacs(way="never")) as pacs:
        route = dimse_route(pacs.port, confirmation=Confirmation(wait_s=0.2))
        with confirming(route) as confirmer:
            carrier = carrier_of(route, confirmer)
            line = Line(folder=tmp_path, journal=journal, route=route, carrier=carrier)
            hand_over(line, tmp_path)
            for _ in range(5):
                line.deliverer().step()
                one = pending(journal)
                assert one.state is State.WAITING
                assert one.error_code == "not-confirmed"
                assert line.status().attempts == 0
                clock.now += 601.0
            assert len(pacs.stored) == 1
            pacs.way = "same"
            line.deliverer().step()
            assert line.status().state is State.DONE
            assert len(pacs.stored) == 1


# Deliverers that die.

_DYING = """
import os, signal, sys, threading, time
from functools import partial
from pathlib import Path
from appliance import manifest, trust
from appliance.settings import Route
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from dicom_node.deliver.daemon import Deliverer, carrier_of

url, outbox, key, route, offset_s, dies = sys.argv[1:]
route = Route.model_validate_json(route)
carrier = carrier_of(route)

class Dying:
    def deliver(self, parcel, *, again):
        if dies.startswith("after "):
            threading.Timer(float(dies.split()[1]), os.kill, (os.getpid(), signal.SIGKILL)).start()
        delivery = carrier.deliver(parcel, again=again)
        if dies == "between":
            os.kill(os.getpid(), signal.SIGKILL)
        return delivery

journal = Journal(
    open_engine(url, store="journal"), lambda: time.time() + float(offset_s), lease_s=5.0
)
Deliverer(
    journal=journal,
    route=route,
    outbox=Path(outbox),
    open_parcel=partial(
        manifest.open_verified, route=route, public_key=trust.read_sign_public(Path(key))
    ),
    carrier=Dying(),
).step()
"""


class Killed:
    """Runs deliverers that are killed, each later than the lease of the one before."""

    def __init__(self, folder: Path, route: Route) -> None:
        self.folder = folder
        self.route = route
        self.offset_s = 0.0
        (folder / "sign.pub").write_bytes(PUBLIC_PEM)

    def run(self, dies: str) -> int:
        self.offset_s += 60.0
        words = (
            f"sqlite:///{self.folder}/journal.db",
            str(self.folder / "outbox" / self.route.name),
            str(self.folder / "sign.pub"),
            self.route.model_dump_json(),
            str(self.offset_s),
            dies,
        )
        return forge().run(words, code=_DYING)


@contextmanager
def archive_peer(folder: Path) -> Iterator[tuple[ArchivePeer, int]]:
    peer = ArchivePeer(folder=folder)
    port = peer.start(ae_title="PACS", host="127.0.0.1", port=0)
    try:
        yield peer, port
    finally:
        peer.stop()


def data_set(content: bytes) -> bytes:
    return content[144 + int.from_bytes(content[140:144], "little") :]


@pytest.mark.parametrize("way", ["dimse", "stow"])
def test_killed_between_store_and_commit_it_arrives_once(
    tmp_path: Path, journal: Journal, orthanc: Orthanc, way: str
) -> None:
    image, path = report(tmp_path)
    with archive_peer(tmp_path / "pacs") as (_, port):
        route = dimse_route(port) if way == "dimse" else stow_route(orthanc)
        line = Line(folder=tmp_path, journal=journal, route=route, carrier=carrier_of(route))
        line.hand_over(path, kind="report", file_kind="SR")
        killed = Killed(tmp_path, route)
        for _ in range(2):
            assert killed.run("between") == -signal.SIGKILL
            assert _at_peer(tmp_path, orthanc, way, image.uid) == [data_set(path.read_bytes())]
            assert line.status().state is State.RUNNING, "the journal does not know of it"
        assert killed.run("never") == 0
    assert line.status().state is State.DONE
    assert _at_peer(tmp_path, orthanc, way, image.uid) == [data_set(path.read_bytes())]


def _at_peer(folder: Path, orthanc: Orthanc, way: str, uid: str) -> list[bytes]:
    if way == "stow":
        return [data_set(content) for one, content in orthanc.instances().items() if one == uid]
    found = sorted((folder / "pacs").glob(f"{uid}*.dcm"))
    return [one.read_bytes()[data_set_offset(one) :] for one in found]


def test_killed_at_any_moment_each_arrives_once(tmp_path: Path, journal: Journal) -> None:
    chance = random.Random(7)  # noqa: S311  moments, no secrets
    images = []
    with archive_peer(tmp_path / "pacs") as (_, port):
        route = dimse_route(port)
        line = Line(folder=tmp_path, journal=journal, route=route, carrier=carrier_of(route))
        for _ in range(4):
            image, path = report(tmp_path)
            images.append((image, path))
            line.hand_over(path, kind="report", file_kind="SR")
        killed = Killed(tmp_path, route)
        for _ in range(8):
            killed.run(f"after {chance.uniform(0.0, 0.05):.4f}")
        for _ in range(12):
            killed.run("never")
            if {one.state for one in journal.board.shards()} == {State.DONE}:
                break
            # What was hit three times is set aside, and a person lets it go on.
            journal.parcels.retry("pacs", operator="tina")
    assert {one.state for one in journal.board.shards()} == {State.DONE}
    there = sorted((tmp_path / "pacs").glob("*.dcm"))
    assert len(there) == len(images)
    for image, path in images:
        stored = tmp_path / "pacs" / f"{image.uid}.dcm"
        assert data_set(stored.read_bytes()) == data_set(path.read_bytes())


# What a person sees, and does about it.


def slide_with(journal: Journal, *parcel_ids: str) -> None:
    """Put a slide at the deliver stage, with parcels on the line."""
    journal.add_slide("slide-1", scanner="scanner-1", last_byte_at=0.0)
    with journal._engine.begin() as connection:
        from sqlalchemy import update

        from appliance.stores.journal_schema import slides

        connection.execute(update(slides).values(stage=Stage.DELIVER, state=State.WAITING))
        for parcel_id in parcel_ids:
            parcel = Parcel(
                parcel_id=parcel_id,
                route="pacs",
                kind="report",
                folder=f"{parcel_id}@token",
                slide_id="slide-1",
            )
            journal.parcels.add(connection, parcel)


def set_aside(journal: Journal, n: int) -> None:
    for _ in range(n):
        claim = journal.parcels.claim("pacs")
        assert claim is not None
        journal.parcels.set_aside(claim, DeliveryRefused("Never."))


OPERATOR = Operator(name="tina", role=Role.TECHNICIAN)


def test_a_route_is_tried_again_with_its_slides(journal: Journal) -> None:
    slide_with(journal, "a", "b")
    set_aside(journal, 2)
    assert journal.board.snapshot()[0].state is State.ASIDE
    retry = delivery_actions(journal, "pacs")["retry_parcel"]
    assert retry.role is Role.TECHNICIAN
    assert retry.run(OPERATOR, {})["parcels"] == 2
    assert {one.state for one in journal.parcels.pending()} == {State.WAITING}
    assert {one.error for one in journal.parcels.pending()} == {None}
    slide = journal.board.snapshot()[0]
    assert (slide.state, slide.error) == (State.WAITING, None)
    told = [one for one in journal.board.events() if one.kind == "delivery-retry"]
    assert {one.actor for one in told} == {"tina"}


def test_one_parcel_is_tried_again_and_its_slide_stays_aside_for_the_other(
    journal: Journal,
) -> None:
    slide_with(journal, "a", "b")
    set_aside(journal, 2)
    retry = delivery_actions(journal, "pacs")["retry_parcel"]
    assert retry.run(OPERATOR, {"parcel_id": "a"})["parcels"] == 1
    states = {one.parcel_id: one.state for one in journal.parcels.pending()}
    assert states == {"a": State.WAITING, "b": State.ASIDE}
    assert journal.board.snapshot()[0].state is State.ASIDE


def test_a_slide_that_a_person_set_aside_stays_so(journal: Journal) -> None:
    slide_with(journal, "a", "b")
    set_aside(journal, 1)
    journal.operate("retry", "slide-1", operator="tina")
    journal.operate("set_aside", "slide-1", operator="tina", reason="wrong patient")
    delivery_actions(journal, "pacs")["retry_parcel"].run(OPERATOR, {})
    slide = journal.board.snapshot()[0]
    assert (slide.state, slide.error) == (State.ASIDE, "wrong patient")


@pytest.mark.parametrize(("route", "parcel_id"), [("pacs", "unknown"), ("other", "a")])
def test_only_parcels_of_the_route_can_be_tried_again(
    journal: Journal, route: str, parcel_id: str
) -> None:
    slide_with(journal, "a")
    set_aside(journal, 1)
    with pytest.raises(ForbiddenAction):
        delivery_actions(journal, route)["retry_parcel"].run(OPERATOR, {"parcel_id": parcel_id})
    assert journal.parcels.pending()[0].state is State.ASIDE


def test_a_parcel_that_arrived_is_not_sent_again(journal: Journal) -> None:
    slide_with(journal, "a")
    claim = journal.parcels.claim("pacs")
    assert claim is not None
    journal.parcels.delivered(claim, words="Stored.")
    assert delivery_actions(journal, "pacs")["retry_parcel"].run(OPERATOR, {})["parcels"] == 0
    assert journal.parcels.pending() == ()


SETTINGS = """
[storage]
root = "{root}"
[keys]
folder = "{root}/keys"
[[routes]]
name = "pacs"
recipient = "hospital"
place = "inside"
kind = "dimse"
carries = ["SR", "SEG"]
addresses = ["127.0.0.0/8"]
peer = {{ ae_title = "PACS", host = "127.0.0.1", port = 104 }}
"""


@pytest.fixture
def site(tmp_path: Path) -> tuple[list[str], Journal]:
    """Settings for the command, and the journal that they name."""
    (tmp_path / "journal").mkdir()
    settings = tmp_path / "coverslip.toml"
    settings.write_text(SETTINGS.format(root=tmp_path))
    journal = Journal(open_engine(f"sqlite:///{tmp_path}/journal/journal.db", store="journal"))
    return ["--settings", str(settings), "deliveries"], journal


def run_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    from appliance.command import main

    code = main(words)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_lists_what_has_not_arrived_and_the_next_step(
    site: tuple[list[str], Journal], capsys: pytest.CaptureFixture[str]
) -> None:
    words, journal = site
    assert run_command(words, capsys)[:2] == (0, "Everything has arrived.\n")
    slide_with(journal, "a", "b")
    set_aside(journal, 1)
    code, said, _ = run_command(words, capsys)
    assert code == 0
    assert "pacs: 2 not arrived, 1 of them set aside" in said
    assert "a  report  set aside for 0 s  slide slide-1" in said
    assert "Never." in said
    assert DeliveryRefused.next_step in said
    _, said, _ = run_command([*words, "--json"], capsys)
    rows = json.loads(said)
    assert rows["originals"] == []
    assert [(one["parcel_id"], one["state"], one["error"]) for one in rows["parcels"]] == [
        ("a", "aside", "Never."),
        ("b", "waiting", None),
    ]


def test_the_command_retries_through_the_daemon(
    site: tuple[list[str], Journal], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, journal = site
    slide_with(journal, "a", "b")
    set_aside(journal, 2)
    code, _, said = run_command([*words, "retry", "pacs"], capsys)
    assert code == 2
    assert "deliver@pacs daemon does not answer" in said
    (tmp_path / "run").mkdir(exist_ok=True)
    server = ControlServer(
        tmp_path / "run" / "deliver@pacs.sock", delivery_actions(journal, "pacs"), Operators()
    )
    server.start()
    try:
        assert run_command([*words, "retry", "a"], capsys)[1] == (
            "Put back in the queue of route pacs: parcels 1.\n"
        )
        assert run_command([*words, "retry", "pacs"], capsys)[1] == (
            "Put back in the queue of route pacs: parcels 2.\n"
        )
        code, _, said = run_command([*words, "retry", "pax"], capsys)
        assert code == 78
        assert "did you mean pacs?" in said
        with pytest.raises(AnsweredError):
            call(tmp_path / "run" / "deliver@pacs.sock", "retry_parcel", parcel_id="unknown")
    finally:
        server.close()
    assert {one.state for one in journal.parcels.pending()} == {State.WAITING}


def test_the_daemon_of_a_route_delivers_is_confirmed_and_retries_for_a_person(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report_port = free_port()
    with running_pacs(Pacs(way="new", report_port=report_port, action_status=0x0124)) as pacs:
        confirmation = (
            f'confirmation = {{ wait_s = 20.0, report_host = "127.0.0.1", '
            f"report_port = {report_port} }}\n"
        )
        text = SETTINGS.format(root=tmp_path).replace("port = 104", f"port = {pacs.port}")
        settings = tmp_path / "coverslip.toml"
        settings.write_text(text + confirmation)
        (tmp_path / "keys").mkdir()
        (tmp_path / "keys" / "sign.pub").write_bytes(PUBLIC_PEM)
        (tmp_path / "journal").mkdir()
        journal = Journal(open_engine(f"sqlite:///{tmp_path}/journal/journal.db", store="journal"))
        line = Line(
            folder=tmp_path, journal=journal, route=load(settings).route("pacs"), carrier=Nobody()
        )
        hand_over(line, tmp_path)
        words = ["--settings", str(settings)]
        with subprocess.Popen(
            [sys.executable, "-m", "appliance", *words, "deliver", "pacs"],
            stderr=subprocess.DEVNULL,
        ) as daemon:
            try:
                wait_until(lambda: pending(journal).state is State.ASIDE, 30.0)
                assert "request for storage commitment" in (pending(journal).error or "")
                pacs.action_status = 0
                code, said, _ = run_command([*words, "deliveries", "retry", "pacs"], capsys)
                assert (code, said) == (0, "Put back in the queue of route pacs: parcels 1.\n")
                wait_until(lambda: journal.parcels.pending() == (), 30.0)
            finally:
                daemon.terminate()
        assert daemon.returncode == 0
    assert set(pacs.statuses) == {0}
    (said_done,) = [one.text for one in journal.board.events() if one.kind == "delivered"]
    assert said_done == "Stored at PACS and confirmed by it: objects 1."


def test_waiting_parcels_tell_when_they_are_tried_again(journal: Journal, clock: Clock) -> None:
    slide_with(journal, "a")
    claim = journal.parcels.claim("pacs")
    assert claim is not None
    journal.parcels.put_back(claim, PeerUnavailable("It is away."), after_s=120.0)
    told = parcel_lines(journal.parcels.pending(), now=clock.now)
    assert told[1:] == [
        "  a  report  waiting for 0 s  slide slide-1",
        "      It is away.",
        "      Tried 1 times; again in 2 min.",
    ]


def _deposit(number: int, state: DepositState, error: str | None, at: float) -> DepositStatus:
    return DepositStatus(
        number=number,
        route="archive",
        slide_id="slide-1",
        state=state,
        size_bytes=2_000_000_000,
        retries=1,
        error=error,
        error_code=None,
        next_step="Do something." if error else None,
        next_try_at=None,
        updated_at=at,
    )


def test_originals_are_told_by_what_holds_them_up() -> None:
    told = original_lines(
        [
            _deposit(1, DepositState.ASIDE, "Never.", 900.0),
            _deposit(2, DepositState.ASIDE, "Never.", 940.0),
            _deposit(3, DepositState.WAITING, None, 400.0),
        ],
        now=1000.0,
    )
    assert told == [
        "archive: 3 originals (6.0 GB) not arrived, 2 of them set aside",
        "  2 aside: Never.",
        "      Do something.",
        "  The one without news for longest: 10 min.",
    ]
    assert original_lines([], now=0.0) == []


def test_ages_are_told_in_their_largest_unit() -> None:
    assert [age(one) for one in (-1.0, 59.0, 60.0, 7200.0, 3 * 86_400.0)] == [
        "0 s", "59 s", "1 min", "2 h", "3 d",
    ]  # fmt: skip


def test_commands_are_registered() -> None:
    from appliance.command import parser

    parsed = parser().parse_args(["deliveries", "retry", "pacs"])
    assert parsed.run is delivery_commands.run_retry
    assert parser().parse_args(["deliveries"]).run is delivery_commands.run_deliveries


def test_threads_of_a_confirming_route_end_with_it() -> None:
    before = threading.active_count()
    route = dimse_route(1, confirmation=Confirmation(report_host="127.0.0.1", report_port=0))
    with confirming(route) as confirmer:
        assert confirmer is not None
        assert confirmer.report_port
    assert threading.active_count() == before

"""The wire: the contract with pynetdicom 3.0.4, what replaces it, and what happens without."""

import gc
import inspect
import os
import resource
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pynetdicom
import pytest
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.fsm import STATES
from pynetdicom.presentation import build_context
from pynetdicom.service_class import StorageServiceClass

from dicom_node.receive import contract
from dicom_node.receive.connection import Connection, PeerGone, TooSlow
from dicom_node.receive.pdata import MalformedPdu
from dicom_node.receive.reactor import NodeAssociation
from dicom_node.receive.spool import Spool
from dicom_node.send.sender import outgoing, send
from tests.dicom_node.conftest import Hospital, wait_until
from tests.dicom_node.desk import UID, Desk, sha256_of
from tests.dicom_node.faults.speaker import (
    COMMAND,
    IMPLICIT,
    LAST,
    VERIFICATION,
    Context,
    echo_request,
    p_data,
    store_request,
)
from tests.dicom_node.objects import Image, data_set_offset, write
from tests.dicom_node.raw import RawScanner

ECHO = Context(number=3, abstract=VERIFICATION, syntaxes=(IMPLICIT,))
FAR_S = 1e9


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path / "desk") as one:
        yield one


# The contract.


def test_the_contract_with_the_library_holds() -> None:
    assert pynetdicom.__version__ == contract.READ_VERSION
    assert contract.contract_broken() is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pynetdicom.__version__", "pynetdicom is of version"),
        ("pynetdicom.dul.DULServiceProvider._decode_pdu", "has another DULServiceProvider"),
        ("pynetdicom.fsm.TRANSITION_TABLE", "lacks a part"),
        ("pynetdicom.association.Association._run_reactor", "has another Association"),
    ],
)
def test_a_library_that_changed_is_noticed(
    monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    changed = "3.1.0" if name.endswith("__version__") else {}
    monkeypatch.setattr(name, changed if name.endswith(("__", "TABLE")) else lambda: None)
    broken = contract.contract_broken()
    assert broken is not None
    assert words in broken


def test_a_library_without_a_part_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("pynetdicom.dul.DULServiceProvider._process_recv_primitive")
    assert contract.contract_broken() == "pynetdicom lacks a part that the node builds on"


def test_states_and_services_of_the_library_mean_what_we_think() -> None:
    assert STATES["Sta6"].startswith("Association established")
    assert STATES["Sta13"].startswith("Awaiting Transport Connection Close")
    # Of a C-STORE that came back by C-GET: it must not look for a file that is ours.
    assert "if req._dataset_file:" in inspect.getsource(StorageServiceClass.SCP)
    assert "self.kill" in inspect.getsource(Association._abort_blocking)


# Without the contract.


@pytest.fixture
def plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Hospital]:
    monkeypatch.setattr(
        "dicom_node.receive.scp.contract_broken", lambda: "pynetdicom is of version 9"
    )
    monkeypatch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", False)
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())
    caplog.set_level("WARNING")
    one = Hospital(tmp_path)
    yield one
    one.node.stop()


def test_without_the_contract_a_slide_is_received_by_the_library_alone(
    plain: Hospital, slide_images: list[Image], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert plain.node.scp.words == "receives slowly, because pynetdicom is of version 9"
    said = [one.getMessage() for one in caplog.get_records("setup")]
    assert sum("The node receives slowly" in one for one in said) == 1
    paths = [write(one, tmp_path / "scanner") for one in slide_images]
    send([outgoing(path) for path in paths], plain.endpoint)
    assert {path.stem for path in plain.stored_files()} == {
        sha256_of(path.read_bytes()[data_set_offset(path) :]) for path in paths
    }
    plain.settle(130.0)
    plain.work()
    assert plain.slide().stage == "deidentify"
    assert plain.partial_files() == []
    assert not any(plain.node.spool.scratch.glob("*.dcm"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the library's file
def test_without_the_contract_a_dropped_transfer_stays_in_the_spool_and_is_removed(
    plain: Hospital, tmp_path: Path
) -> None:
    wire = RawScanner(plain.port)
    wire.start_store(write(Image(frame_bytes=200_000), tmp_path), share=0.5)
    wait_until(lambda: any(plain.node.spool.scratch.glob("*.dcm")))
    wire.close()
    wait_until(lambda: not any(plain.node.spool.scratch.glob("*.dcm")))
    gc.collect()
    assert plain.stored_files() == []


# A connection.


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours), theirs


def read(connection: Connection, *, limit_bytes: int = 200_000, pdu_limit_s: float = 10.0) -> bytes:
    return bytes(
        connection.read_pdu(
            limit_bytes=limit_bytes,
            idle_until=connection.clock() + 10,
            pdu_limit_s=pdu_limit_s,
            until=FAR_S,
        )
    )


def test_pdus_are_read_whole_however_they_are_cut(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    pdus = [b"\x04\0" + n.to_bytes(4, "big") + os.urandom(n) for n in (0, 1, 9, 5000, 150_000, 3)]
    stream = b"".join(pdus) * 3

    def dribble() -> None:
        cuts = [1, 7, 4096, 13, 70_000, 2]
        at = 0
        while at < len(stream):
            theirs.sendall(stream[at : at + cuts[0]])
            at += cuts[0]
            cuts.append(cuts.pop(0))

    thread = threading.Thread(target=dribble)
    thread.start()
    assert [read(connection) for _ in range(18)] == pdus * 3
    thread.join()


def test_an_end_inside_a_pdu_is_an_end(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    theirs.sendall(b"\x04\0\0\0\0\x10half")
    theirs.close()
    with pytest.raises(PeerGone):
        read(connection)


def test_a_forged_length_is_refused_before_anything_of_it_is_read(
    pair: tuple[Connection, socket.socket],
) -> None:
    connection, theirs = pair
    theirs.sendall(b"\x04\0\xff\xff\xff\xff")
    with pytest.raises(MalformedPdu):
        read(connection)


def test_a_pdu_that_stalls_ends_at_its_deadline(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    theirs.sendall(b"\x04\0\0\0")
    with pytest.raises(TooSlow):
        read(connection, pdu_limit_s=0.1)


def test_a_peer_that_reads_nothing_cannot_hold_a_sender_for_ever(
    pair: tuple[Connection, socket.socket],
) -> None:
    connection, _theirs = pair
    with pytest.raises(TooSlow):
        connection.send(bytes(50_000_000), limit_s=0.1)


def test_in_a_long_stream_reads_gather_and_its_end_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    with ours, theirs:
        connection = Connection(ours)
        connection.make_room(131_072, n_pdus=4)
        long = b"\x04\0" + (131_072).to_bytes(4, "big") + os.urandom(131_072)
        thread = threading.Thread(target=theirs.sendall, args=(long * 50,))
        thread.start()
        marks = []
        for _ in range(50):
            assert read(connection) == long
            marks.append(ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT))
        thread.join()
        assert marks[0] == 1
        assert max(marks) > 100_000  # at the end it may be low again: a busy sender pauses, too
        theirs.sendall(long[:70_000])  # less than is gathered, and then the rest
        threading.Timer(0.05, theirs.sendall, args=(long[70_000:],)).start()
        assert read(connection) == long
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


def test_what_is_given_stays_until_its_memory_is_used_again(
    pair: tuple[Connection, socket.socket],
) -> None:
    connection, theirs = pair
    connection.make_room(1000, n_pdus=4)
    given: list[tuple[memoryview, bytes]] = []

    def check() -> None:
        assert all(view == content for view, content in given)
        given.clear()

    connection.reusing = check
    reused = 0
    for _ in range(100):
        content = b"\x04\0" + (1000).to_bytes(4, "big") + os.urandom(1000)
        theirs.sendall(content)
        before = len(given)
        view = connection.read_pdu(
            limit_bytes=1000, idle_until=FAR_S, pdu_limit_s=10.0, until=FAR_S
        )
        reused += len(given) < before
        given.append((view, content))
    check()
    assert reused >= 5


# An association.


def test_an_association_is_served_by_one_thread_of_ours(desk: Desk) -> None:
    before = threading.active_count()
    with desk.speak().accepted() as wire:
        (association,) = desk.scp._server.active_associations
        assert isinstance(association, NodeAssociation)
        assert threading.active_count() == before + 1
        assert wire.release()
    wait_until(lambda: threading.active_count() == before)


def test_objects_and_echoes_alternate_on_one_association(desk: Desk) -> None:
    contents = [os.urandom(n) for n in (10, 1_000, 300_000, 2)]
    with desk.speak().accepted(Context(), ECHO) as wire:
        for number, content in enumerate(contents):
            assert wire.store(f"{UID}.{number}", content) == 0
            assert wire.echo(context=3) == 0
        assert wire.release()
    assert desk.hashes == [sha256_of(one) for one in contents]


def test_many_values_in_one_pdu_and_an_empty_last_one_are_one_object(desk: Desk) -> None:
    with desk.speak().accepted() as wire:
        request = store_request(UID)
        wire.say(
            p_data((1, COMMAND, request[:30]), (1, COMMAND | LAST, request[30:]), (1, 0, b"ab"))
            + p_data((1, 0, b"cd"), (1, 0, b""), (1, 0, b"ef"))
            + p_data((1, LAST, b""))
        )
        assert wire.status() == 0
    assert desk.hashes == [sha256_of(b"abcdef")]


def test_two_requests_at_once_are_answered_one_after_the_other(desk: Desk) -> None:
    with desk.speak().accepted(Context(), ECHO) as wire:
        wire.say(
            p_data((1, COMMAND | LAST, store_request(UID)), (1, LAST, b"one"))
            + p_data((3, COMMAND | LAST, echo_request()))
            + p_data((1, COMMAND | LAST, store_request(f"{UID}.2")), (1, LAST, b"two"))
        )
        assert [wire.status() for _ in range(3)] == [0, 0, 0]
    assert desk.hashes == [sha256_of(b"one"), sha256_of(b"two")]


@pytest.mark.parametrize(
    ("uid", "sop_class", "status", "words"),
    [
        ("../../EVIL", None, 0x0117, "SOP Instance UID"),
        (UID, "1.2.840.10008.5.1.4.1.1.2", 0x0122, "SOP Class"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused_and_the_next_is_served(
    desk: Desk, uid: str, sop_class: str | None, status: int, words: str
) -> None:
    with desk.speak().accepted() as wire:
        more = {} if sop_class is None else {"sop_class": sop_class}
        assert wire.store(uid, bytes(300_000), **more) == status
        assert wire.store(UID, b"good") == 0
    assert desk.hashes == [sha256_of(b"good")]
    assert any(words in one for one in desk.said)


@pytest.mark.parametrize(
    "said",
    [
        p_data((1, LAST, b"a data set without a command")),
        p_data((5, COMMAND | LAST, store_request(UID))),
        p_data((1, COMMAND | LAST, store_request(UID)), (3, LAST, b"in another context")),
        p_data((1, COMMAND | LAST, store_request(UID)), (1, COMMAND, b"a command again")),
        p_data((1, COMMAND | LAST, b"no command")),
        p_data((1, COMMAND, bytes(60_000)), (1, COMMAND, bytes(60_000))),
        b"\x04\0\0\0\0\x08\0\0\0\xffabcd",
        b"\x04\0\0\0\0\x04abcd",
        b"\x99\0\0\0\0\x04abcd",
        b"\x04\0\x00\x02\x00\x01",
        b"\x01\0\0\0\0\x04abcd",
        b"\x02\0\0\0\0\x04abcd",
    ],
)
def test_what_makes_no_sense_is_aborted_in_words_and_leaves_nothing(
    desk: Desk, said: bytes
) -> None:
    with desk.speak().accepted(Context(), ECHO) as wire:
        wire.say(said)
        assert wire.ends()
    wait_until(lambda: desk.n_connections() == 0)
    assert desk.partial_files() == desk.hashes == []
    with desk.speak().accepted() as wire:
        assert wire.store(UID, b"good") == 0


def test_a_message_that_is_no_store_may_not_fill_the_memory(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.receive.storing._DATA_SET_LIMIT_BYTES", 100_000)
    with desk.speak().accepted(Context(), ECHO) as wire:
        wire.say(p_data((3, COMMAND | LAST, echo_request(data_set_type=1))))
        for _ in range(20):
            wire.say(p_data((3, 0, bytes(10_000))))
        assert wire.ends()


def test_another_thread_may_ask_the_peer_something_meanwhile(tmp_path: Path) -> None:
    """As storage commitment does when it answers on the association that is there."""
    established: list[Association] = []
    services = [(evt.EVT_ESTABLISHED, lambda event: established.append(event.assoc))]
    with Desk(tmp_path / "desk", services=services) as desk:
        entity = AE(ae_title="SCANNER")
        association = entity.associate(
            "127.0.0.1",
            desk.port,
            contexts=[build_context(VERIFICATION)],
            ae_title="COVERSLIP",
            evt_handlers=[(evt.EVT_C_ECHO, lambda _: 0)],
        )
        assert association.is_established
        wait_until(lambda: bool(established))  # it is told after the peer was
        (ours,) = established
        ours._accepted_cx[1]._as_scu = True
        assert [ours.send_c_echo().Status for _ in range(3)] == [0, 0, 0]
        assert association.send_c_echo().Status == 0
        association.release()


def test_a_bug_that_one_object_meets_ends_its_association_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Desk):
        def keep(self, announced, transfer):
            if announced.sop_instance_uid == UID:
                raise ValueError("CANARY")
            return super().keep(announced, transfer)

    with Broken(tmp_path / "desk") as desk, desk.speak().accepted() as other:
        other.start_store(f"{UID}.2")
        with desk.speak().accepted() as wire:
            assert wire.store(UID, b"content") is None
        other.say_data(b"of the other")
        assert other.status() == 0
        assert len(desk.partial_files()) == 0
    assert "an association failed: ValueError at" in caplog.text
    assert "CANARY" not in caplog.text


def test_descriptors_above_1024_are_served(tmp_path: Path) -> None:
    """select() cannot; a node with hundreds of connections and open files gets there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.skip("the limit on open files is too low here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1050)]
    try:
        with Desk(tmp_path / "desk") as desk, desk.speak().accepted() as wire:
            assert max(int(one) for one in os.listdir("/proc/self/fd")) > 1024  # noqa: PTH208
            assert wire.store(UID, bytes(1000)) == 0
            assert wire.release()
    finally:
        for one in held:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_small_maximum_length_of_the_peer_is_kept_to(desk: Desk) -> None:
    with desk.speak() as wire:
        wire.say(_small_request(40))
        assert wire.hear()[0] == 2
        wire.start_store(UID)
        wire.say_data(b"content")
        lengths = []
        found = b""
        while not found or not lengths[-1][1]:
            _, body = wire.hear()
            lengths.append((len(body), body[5] & LAST))
            found += body[6:]
    assert max(length for length, _ in lengths) <= 40
    assert b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00" in found


def _small_request(maximum: int) -> bytes:
    from tests.dicom_node.faults.speaker import association_request

    whole = association_request((Context(),), calling="SCANNER", called="COVERSLIP")
    return whole.replace((16_384).to_bytes(4, "big"), maximum.to_bytes(4, "big"))


def test_a_stalled_transfer_ends_and_is_removed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.receive.reactor.PDU_LIMIT_S", 0.3)
    with desk.speak().accepted() as wire:
        wire.start_store(UID)
        wire.say(b"\x04\x00\x00\x00\x10\x00half of a PDU")
        wait_until(lambda: len(desk.partial_files()) == 1)
        assert wire.ends()
    wait_until(lambda: desk.partial_files() == [])


def test_an_aborted_association_leaves_no_file(hospital: Hospital, tmp_path: Path) -> None:
    wire = RawScanner(hospital.port)
    wire.start_store(write(Image(frame_bytes=50_000), tmp_path), share=0.5)
    wait_until(lambda: len(hospital.partial_files()) == 1)
    wire.wire.sendall(b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00")
    wait_until(lambda: hospital.partial_files() == [])
    wire.close()


def test_stopping_aborts_what_is_open_in_words(tmp_path: Path) -> None:
    with Desk(tmp_path / "desk") as desk:
        silent = desk.speak()
        busy = desk.speak().accepted()
        busy.start_store(UID)
        wait_until(lambda: len(desk.partial_files()) == 1)
    assert busy.ends()
    assert not silent.ends()
    assert desk.partial_files() == []
    busy.wire.close()
    silent.wire.close()


def test_a_transfer_without_its_association_is_swept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, soft_free_bytes=0, hard_free_bytes=0, free_bytes=lambda _: 1)
    spool.join()
    spool.open(association="gone", scanner="SCANNER")
    spool.open(association="here", scanner="SCANNER")
    spool.end_association("gone")
    assert [one.association for one in spool.in_flight()] == ["here"]
    assert len(list(spool.incoming.glob("*/*"))) == 1
    spool.leave()
    assert list(spool.incoming.iterdir()) == []


def test_idle_associations_are_not_polled(desk: Desk) -> None:
    wires = [desk.speak().accepted() for _ in range(10)]
    wait_until(lambda: len(desk.scp._server.active_associations) == 10)
    threads = [one.thread.native_id for one in desk.scp._server._guests]
    assert wires[0].store(UID, b"content") == 0
    wait_until(lambda: all(_is_asleep(one) for one in threads))
    before = [_switches(one) for one in threads]
    assert wires[0].store(UID, b"content") == 0
    wait_until(lambda: all(_is_asleep(one) for one in threads))
    assert sum(new == old for old, new in zip(before, map(_switches, threads), strict=True)) == 9
    for one in wires:
        one.wire.close()


def _is_asleep(thread: int) -> bool:
    return "State:\tS" in Path(f"/proc/self/task/{thread}/status").read_text()


def _switches(thread: int) -> int:
    """How often a thread gave up the processor to wait."""
    words = Path(f"/proc/self/task/{thread}/status").read_text().split()
    return int(words[words.index("voluntary_ctxt_switches:") + 1])

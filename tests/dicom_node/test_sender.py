"""What a sender does with a peer that takes only some of it, aborts, stalls, or has it already."""

import socket
import subprocess
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGBaseline8Bit
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from appliance.errors import DeliveryRefused, PeerUnavailable
from dicom_node.contexts import VL_WHOLE_SLIDE_MICROSCOPY, archive_contexts, proposals
from dicom_node.send import requestor
from dicom_node.send.association import Endpoint, associated, echo, status_of
from dicom_node.send.presence import STUDY_ROOT_FIND, holds
from dicom_node.send.requestor import Checkpoint
from dicom_node.send.sender import MAXIMUM_CONTEXTS, Outgoing, groups, outgoing, send
from dicom_node.status import AlreadyThere, PeerFailed
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.objects import Image, data_set_offset, write
from tests.dicom_node.real_peers import free_port, listens, running_orthanc

SR = "1.2.840.10008.5.1.4.1.1.88.34"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"


def endpoint(port: int) -> Endpoint:
    return Endpoint(
        host="127.0.0.1", port=port, called_ae_title="PACS", calling_ae_title="COVERSLIP"
    )


@contextmanager
def listening(
    *handlers: tuple[evt.EventType, Callable[[Event], Any]], contexts: Any = None
) -> Iterator[int]:
    """Run a peer that does as its handlers say."""
    entity = AE(ae_title="PACS")
    entity.supported_contexts = archive_contexts() if contexts is None else contexts
    entity.add_supported_context(STUDY_ROOT_FIND)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))
    assert server is not None
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()


def made(folder: Path, n: int, **changes: Any) -> list[Outgoing]:
    return [outgoing(write(Image(**changes), folder)) for _ in range(n)]


def data_set(path: Path) -> bytes:
    return path.read_bytes()[data_set_offset(path) :]


def test_what_the_peer_does_not_take_does_not_keep_it_from_the_rest(tmp_path: Path) -> None:
    files = [
        *made(tmp_path, 1, sop_class=SR),
        *made(tmp_path, 2, sop_class=SEG),
        *made(tmp_path, 1, sop_class=SR),
    ]
    stored: list[str] = []
    told: list[int] = []

    def store(event: Event) -> int:
        stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    only = [one for one in archive_contexts() if one.abstract_syntax == SR]
    with (
        listening((evt.EVT_C_STORE, store), contexts=only) as port,
        pytest.raises(DeliveryRefused, match=r"kind or encoding\. Objects refused: 2 of 4"),
    ):
        send(files, endpoint(port), lambda n, _bytes: told.append(n))
    assert stored == [files[0].sop_instance_uid, files[3].sop_instance_uid]
    assert told == [1, 2]


def test_dcmtk_that_takes_no_jpeg_gets_the_rest_and_nothing_is_decompressed(
    tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    received = tmp_path / "dcmtk"
    received.mkdir()
    files = [
        *made(tmp_path / "made", 1),
        *made(tmp_path / "made", 1, native=True),
    ]
    port = free_port()
    command = [require_tool("storescp"), "+B", "-aet", "PACS", "-od", str(received), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as scp:
        try:
            wait_until(lambda: listens(port))
            with pytest.raises(DeliveryRefused, match="Objects refused: 1 of 2"):
                send(files, endpoint(port))
        finally:
            scp.kill()
    (there,) = received.iterdir()
    sent = files[1].path
    assert (
        there.read_bytes()[data_set_offset(there) :] == sent.read_bytes()[data_set_offset(sent) :]
    )
    assert dcmread(there).file_meta.TransferSyntaxUID != JPEGBaseline8Bit


def test_a_uid_that_dicom_does_not_allow_does_not_keep_it_from_the_rest(tmp_path: Path) -> None:
    long, good = made(tmp_path, 1, uid=f"1.2.{'9' * 62}"), made(tmp_path, 1)
    stored: list[str] = []

    def store(event: Event) -> int:
        stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    with (
        listening((evt.EVT_C_STORE, store)) as port,
        pytest.raises(DeliveryRefused, match=r"not what DICOM allows.* Objects refused: 1 of 2"),
    ):
        send([*long, *good], endpoint(port))
    assert stored == [good[0].sop_instance_uid]


def test_one_that_is_refused_by_status_does_not_keep_the_others(tmp_path: Path) -> None:
    files = made(tmp_path, 3)
    statuses = iter([0x0000, 0xA900, 0xB000])
    with (
        listening((evt.EVT_C_STORE, lambda _event: next(statuses))) as port,
        pytest.raises(DeliveryRefused, match=r"0xA900\)\. Objects refused: 1 of 3"),
    ):
        send(files, endpoint(port))
    assert next(statuses, None) is None


def test_a_peer_that_is_full_is_not_sent_more(tmp_path: Path) -> None:
    n_asked = []

    def store(event: Event) -> int:
        n_asked.append(event)
        return 0xA700

    with listening((evt.EVT_C_STORE, store)) as port, pytest.raises(PeerUnavailable):
        send(made(tmp_path, 3), endpoint(port))
    assert len(n_asked) == 1


def test_more_kinds_than_an_association_has_contexts_go_over_several(tmp_path: Path) -> None:
    (one,) = made(tmp_path, 1)
    kinds = [f"1.2.{number}" for number in range(300)]
    files = [
        Outgoing(
            path=one.path,
            sop_class_uid=kind,
            sop_instance_uid=one.sop_instance_uid,
            transfer_syntax_uid=one.transfer_syntax_uid,
            size_bytes=1,
        )
        for kind in kinds
    ]
    split = list(groups(files))
    assert [len(group) for group in split] == [MAXIMUM_CONTEXTS, MAXIMUM_CONTEXTS, 44]
    assert [each for group in split for each in group] == files
    assert list(groups(files[:1] * 500)) == [files[:1] * 500]


def test_several_associations_reach_the_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.send.sender.MAXIMUM_CONTEXTS", 1)
    files = [*made(tmp_path, 1, sop_class=SR), *made(tmp_path, 1, sop_class=SEG)]
    stored: list[str] = []
    accepted: list[object] = []

    def store(event: Event) -> int:
        stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    with listening((evt.EVT_C_STORE, store), (evt.EVT_ACCEPTED, accepted.append)) as port:
        send(files, endpoint(port))
    assert stored == [one.sop_instance_uid for one in files]
    assert len(accepted) == 2


def test_an_abort_is_told_from_a_lost_connection(tmp_path: Path) -> None:
    def abort(event: Event) -> int:
        event.assoc.abort()
        return 0

    with (
        listening((evt.EVT_C_STORE, abort)) as port,
        pytest.raises(PeerFailed, match="aborted the association"),
    ):
        send(made(tmp_path, 1), endpoint(port))

    def vanish(event: Event) -> int:
        event.assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: not event.assoc.dul.is_alive())
        return 0

    with listening((evt.EVT_C_STORE, vanish)) as port:
        with pytest.raises(PeerUnavailable) as raised:
            send(made(tmp_path, 1), endpoint(port))
        assert not isinstance(raised.value, PeerFailed)


@pytest.mark.parametrize(("result", "kind"), [(1, DeliveryRefused), (2, PeerUnavailable)])
def test_a_rejected_association_is_told_by_its_result(result: int, kind: type[Exception]) -> None:
    def reject(event: Event) -> None:
        event.assoc.acse.send_reject(result, 1, 1)
        event.assoc.kill()

    with listening((evt.EVT_REQUESTED, reject)) as port, pytest.raises(kind) as raised:
        echo(endpoint(port))
    assert not isinstance(raised.value, PeerFailed)
    assert "rejected the association" in str(raised.value)


def test_an_abort_while_negotiating_is_worth_some_more_tries() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def abort() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(bytes.fromhex("07000000000400000200"))
                connection.recv(1)

        threading.Thread(target=abort, daemon=True).start()
        with pytest.raises(PeerFailed, match="aborted"):
            echo(endpoint(int(server.getsockname()[1])))


def _finding(held: Callable[[Dataset], Dataset | None]) -> Callable[[Event], Any]:
    def find(event: Event) -> Iterator[tuple[int, Dataset | None]]:
        found = held(event.identifier)
        if found is not None:
            yield 0xFF00, found

    return find


def test_what_the_peer_has_already_counts_after_a_look(tmp_path: Path) -> None:
    files = made(tmp_path, 2)
    asked: list[Dataset] = []

    def held(identifier: Dataset) -> Dataset:
        asked.append(identifier)
        return identifier

    told: list[int] = []
    with listening(
        (evt.EVT_C_STORE, lambda _event: 0x0111), (evt.EVT_C_FIND, _finding(held))
    ) as port:
        send(files, endpoint(port), lambda n, _bytes: told.append(n))
    assert told == [1, 2]
    assert [one.SOPInstanceUID for one in asked] == [one.sop_instance_uid for one in files]
    assert {one.QueryRetrieveLevel for one in asked} == {"IMAGE"}
    assert all(one.StudyInstanceUID and one.SeriesInstanceUID for one in asked)


def _another(identifier: Dataset) -> Dataset:
    identifier.SOPClassUID = VL_WHOLE_SLIDE_MICROSCOPY + ".9"
    return identifier


@pytest.mark.parametrize("held", [lambda _identifier: None, _another])
def test_what_the_peer_only_says_to_have_is_refused(
    tmp_path: Path, held: Callable[[Dataset], Dataset | None]
) -> None:
    with (
        listening(
            (evt.EVT_C_STORE, lambda _event: 0x0111), (evt.EVT_C_FIND, _finding(held))
        ) as port,
        pytest.raises(AlreadyThere, match="same identifier"),
    ):
        send(made(tmp_path, 1), endpoint(port))


def test_a_peer_that_cannot_be_asked_what_it_has_is_not_believed(
    tmp_path: Path,
) -> None:
    with (
        listening((evt.EVT_C_STORE, lambda _event: 0x0111)) as port,  # no handler of C-FIND
        pytest.raises(AlreadyThere),
    ):
        send(made(tmp_path, 1), endpoint(port))


def test_orthanc_tells_what_it_has(tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    here, missing = made(tmp_path / "made", 2)
    with running_orthanc(require_tool("Orthanc"), tmp_path / "orthanc") as orthanc:
        send([here], endpoint(orthanc.dicom_port))
        assert holds(endpoint(orthanc.dicom_port), here.path)
        assert not holds(endpoint(orthanc.dicom_port), missing.path)


def test_a_peer_that_takes_no_more_bytes_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requestor, "STALL_S", 0.5)
    held = threading.Event()

    def hold(event: Event) -> None:
        if len(event.data) > 10_000:  # the object comes: read no further
            held.wait(20)

    (small,) = made(tmp_path, 1)
    with small.path.open("r+b") as file:
        file.truncate(256 * 2**20)
    try:
        with (
            listening((evt.EVT_DATA_RECV, hold), (evt.EVT_C_STORE, lambda _event: 0)) as port,
            pytest.raises(PeerUnavailable),
        ):
            send([outgoing(small.path)], endpoint(port))
    finally:
        held.set()


def test_each_kind_is_proposed_with_its_own_encoding_only() -> None:
    pairs = [(SR, "1.2.840.10008.1.2.1"), (SR, "1.2.840.10008.1.2"), (SR, "1.2.840.10008.1.2.1")]
    proposed = [(one.abstract_syntax, one.transfer_syntax) for one in proposals(pairs)]
    assert proposed == [(SR, ["1.2.840.10008.1.2"]), (SR, ["1.2.840.10008.1.2.1"])]


def test_a_peer_that_ends_the_association_between_two_objects_is_waited_for(
    tmp_path: Path,
) -> None:
    (one,) = made(tmp_path, 1)
    open_: list[Association] = []

    def store(event: Event) -> int:
        open_.append(event.assoc)
        return 0

    def store_twice(port: int) -> None:
        with associated(endpoint(port), proposals([_kind(one)])) as association:
            assert status_of(lambda: association.send_c_store(one.path)) == 0
            open_[0].abort()
            wait_until(lambda: not association.is_established)
            status_of(lambda: association.send_c_store(one.path))

    with listening((evt.EVT_C_STORE, store)) as port, pytest.raises(PeerUnavailable):
        store_twice(port)


def _kind(one: Outgoing) -> tuple[str, str]:
    return one.sop_class_uid, one.transfer_syntax_uid


def test_a_large_object_needs_little_memory(
    tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    (small,) = made(tmp_path / "made", 1)
    with small.path.open("r+b") as file:
        file.truncate(256 * 2**20)  # sparse
    received = tmp_path / "dcmtk"
    received.mkdir()
    port = free_port()
    command = [require_tool("storescp"), "+xa", "+B", "-aet", "PACS", "-od", str(received)]
    with subprocess.Popen(
        [*command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as scp:
        try:
            wait_until(lambda: listens(port))
            tracemalloc.start()
            send([outgoing(small.path)], endpoint(port))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            scp.kill()
    assert peak < 32 * 2**20
    (there,) = received.iterdir()
    assert there.stat().st_size > 256 * 2**20 - 1024


def test_only_a_thread_that_is_held_counts_as_waiting_for_us() -> None:
    checkpoint = Checkpoint()
    checkpoint.wait()
    checkpoint.clear()
    assert not checkpoint.holds, "it went by before"
    thread = threading.Thread(target=checkpoint.wait)
    thread.start()
    wait_until(lambda: checkpoint.holds)
    checkpoint.set()
    assert not checkpoint.holds, "it may not have woken yet"
    thread.join(10)
    assert not thread.is_alive()

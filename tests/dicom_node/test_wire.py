"""The contract with pynetdicom 3.0.4: the names that wire.py builds on mean what it thinks."""

import inspect
import socket
import threading
from pathlib import Path

import pynetdicom
import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.fsm import STATES
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.transport import AssociationSocket, RequestHandler

from dicom_node.spool import Spool
from dicom_node.wire import MAXIMUM_PDU_BYTES, NodeSocket, SpoolingDimse
from tests.dicom_node.conftest import Hospital, wait_until
from tests.dicom_node.objects import Image, write
from tests.dicom_node.raw import RawScanner


def test_the_library_is_the_version_that_was_read() -> None:
    assert pynetdicom.__version__ == "3.0.4"


def test_the_names_that_are_replaced_are_there() -> None:
    assert list(inspect.signature(AssociationSocket.recv).parameters) == ["self", "nr_bytes"]
    assert list(inspect.signature(DIMSEServiceProvider.receive_primitive).parameters) == [
        "self", "primitive",
    ]  # fmt: skip
    assert list(inspect.signature(RequestHandler._create_association).parameters) == ["self"]
    assert list(inspect.signature(AE._create_socket).parameters) == [
        "self", "assoc", "address", "tls_args",
    ]  # fmt: skip
    assert list(inspect.signature(AssociationSocket._create_socket).parameters) == [
        "self", "address",
    ]  # fmt: skip
    assert list(inspect.signature(AssociationSocket._shutdown_socket).parameters) == ["self"]
    assert "client_socket" in inspect.signature(AssociationSocket).parameters
    association = Association(AE(), "acceptor")
    assert isinstance(association.dimse, DIMSEServiceProvider)
    assert isinstance(association._accepted_cx, dict)
    assert association.dul.socket is None


def test_the_store_service_removes_only_a_file_of_its_own() -> None:
    """Ours is not known to the library: it must not look for one unless `_dataset_file` is set."""
    source = inspect.getsource(StorageServiceClass.SCP)
    assert "if req._dataset_file:" in source


def test_a_connected_socket_queues_one_event_that_is_taken_back() -> None:
    association = Association(AE(), "acceptor")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        AssociationSocket(association, client_socket=ours)
        assert association.dul.event_queue.get_nowait() == "Evt5"
        assert association.dul.event_queue.empty()


def test_state_six_is_data_transfer() -> None:
    assert STATES["Sta6"].startswith("Association established")


def _socket_pair(monkeypatch: pytest.MonkeyPatch) -> tuple[NodeSocket, socket.socket]:
    association = Association(AE(), "acceptor")
    ours, theirs = socket.socketpair()
    return NodeSocket(association, client_socket=ours), theirs


def test_a_read_gives_all_bytes_or_what_came_before_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node_socket, theirs = _socket_pair(monkeypatch)
    content = bytes(range(256)) * 1000
    thread = threading.Thread(target=theirs.sendall, args=(content,))
    thread.start()
    assert node_socket.recv(len(content)) == content
    thread.join()
    theirs.sendall(b"end")
    theirs.close()
    assert node_socket.recv(10) == b"end"
    node_socket.close()


def test_a_pdu_that_stalls_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_node.wire._PDU_DEADLINE_S", 0.1)
    node_socket, theirs = _socket_pair(monkeypatch)
    theirs.sendall(b"half")
    with pytest.raises(OSError, match="timed out"):
        node_socket.recv(10)
    node_socket.close()
    theirs.close()


def test_a_stalled_transfer_ends_and_is_removed(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.wire._PDU_DEADLINE_S", 0.3)
    wire = RawScanner(hospital.port)
    wire.start_store(write(Image(frame_bytes=100_000), tmp_path), share=0.5)
    wire.wire.sendall(b"\x04\x00\x00\x00\x10\x00half of a PDU")
    wait_until(lambda: not hospital.node.scp.open_associations())
    wait_until(lambda: hospital.partial_files() == [])
    wire.close()


def test_a_forged_length_is_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node_socket, theirs = _socket_pair(monkeypatch)
    with pytest.raises(OSError, match="above the limit"):
        node_socket.recv(0xFFFFFFFF)
    assert MAXIMUM_PDU_BYTES == 131_072
    node_socket.close()
    theirs.close()


def test_an_association_is_built_of_our_parts(hospital: Hospital, tmp_path: Path) -> None:
    wire = RawScanner(hospital.port)
    wire.start_store(write(Image(), tmp_path), share=0.5)
    wait_until(lambda: len(hospital.node.scp.open_associations()) == 1)
    (association,) = hospital.node.scp._listening().active_associations
    assert isinstance(association.dimse, SpoolingDimse)
    assert isinstance(association.dul.socket, NodeSocket)
    wire.close()


def test_an_aborted_association_leaves_no_file(hospital: Hospital, tmp_path: Path) -> None:
    wire = RawScanner(hospital.port)
    wire.start_store(write(Image(frame_bytes=50_000), tmp_path), share=0.5)
    wait_until(lambda: len(hospital.partial_files()) == 1)
    wire.wire.sendall(b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00")
    wait_until(lambda: hospital.partial_files() == [])
    wire.close()


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

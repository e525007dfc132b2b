"""The stand-in for a PACS, which the demo and tests send to: TLS, and storage commitment."""

import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification

from appliance.errors import DeliveryRefused, PeerUnavailable
from appliance.settings import ClientTls, Confirmation, ServerTls
from dicom_node.peer import ArchivePeer
from dicom_node.send.association import Endpoint, associated, echo
from dicom_node.send.confirmation import COMMITTED, Confirmer, confirm
from dicom_node.send.confirmed_sending import send_until_confirmed
from dicom_node.send.sender import Outgoing, outgoing, send
from dicom_node.send.wire import is_transferring
from tests.dicom_node.faults.clinic import wait_until
from tests.dicom_node.objects import Image, write
from tests.dicom_node.real_peers import Certificates, certificates

NAME = "pacs.hospital.example"


@pytest.fixture
def keys(tmp_path: Path) -> Certificates:
    return certificates(tmp_path / "tls", NAME)


@pytest.fixture
def files(tmp_path: Path) -> list[Outgoing]:
    return [outgoing(write(Image(), tmp_path / "made")) for _ in range(3)]


def endpoint(port: int, tls: ClientTls | None = None) -> Endpoint:
    return Endpoint(
        host="127.0.0.1", port=port, called_ae_title="PACS", calling_ae_title="COVERSLIP", tls=tls
    )


def client(keys: Certificates) -> ClientTls:
    return ClientTls(ca=keys.ca, certificate=keys.client, key=keys.client_key, server_name=NAME)


def test_it_commits_to_what_it_has(tmp_path: Path, files: list[Outgoing]) -> None:
    peer = ArchivePeer(folder=tmp_path / "pacs")
    to = endpoint(peer.start(ae_title="PACS", host="127.0.0.1", port=0))
    try:
        send(files[:2], to)
        assert confirm(files, to, Confirmation(wait_s=10.0)) == {
            files[0].sop_instance_uid: COMMITTED,
            files[1].sop_instance_uid: COMMITTED,
            files[2].sop_instance_uid: 0x0112,
        }
        confirmer = Confirmer(endpoint=to, terms=Confirmation(wait_s=10.0))
        send_until_confirmed(files, confirmer, lambda some: send(some, to), again=True)
    finally:
        peer.stop()
    assert len(list((tmp_path / "pacs").glob("*.dcm"))) == 3


def test_it_speaks_mutual_tls_and_nothing_else_then(
    tmp_path: Path, keys: Certificates, files: list[Outgoing]
) -> None:
    tls = ServerTls(certificate=keys.server, key=keys.server_key, ca=keys.ca)
    peer = ArchivePeer(folder=tmp_path / "pacs", tls=tls)
    port = peer.start(ae_title="PACS", host="127.0.0.1", port=0)
    try:
        send(files, endpoint(port, client(keys)))
        with pytest.raises(PeerUnavailable):
            echo(endpoint(port))
        nobody = client(keys).model_copy(update={"certificate": None, "key": None})
        with pytest.raises(DeliveryRefused, match="does not accept our TLS certificate"):
            echo(endpoint(port, nobody))
    finally:
        peer.stop()
    assert len(list((tmp_path / "pacs").glob("*.dcm"))) == 3


def test_the_command_speaks_tls(tmp_path: Path, keys: Certificates) -> None:
    command = [
        sys.executable, "-m", "appliance", "peer", "--folder", str(tmp_path / "pacs"),
        "--tls-certificate", str(keys.server), "--tls-key", str(keys.server_key),
        "--tls-ca", str(keys.ca),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(":")[2])
            echo(endpoint(port, client(keys)))
        finally:
            process.terminate()


def test_the_answer_to_a_request_never_stands_inside_the_report(
    tmp_path: Path, files: list[Outgoing]
) -> None:
    """The report may be made before the request is answered; both messages come whole."""
    peer = ArchivePeer(folder=tmp_path / "pacs")
    to = endpoint(peer.start(ae_title="PACS", host="127.0.0.1", port=0))
    many = [replace(files[0], sop_instance_uid=f"1.2.3.{n}") for n in range(1, 300)]
    try:
        for _ in range(15):
            assert len(confirm(many, to, Confirmation(wait_s=10.0))) == len(many)
    finally:
        peer.stop()


def test_nobody_waits_for_the_answer_of_a_peer_that_is_gone(tmp_path: Path) -> None:
    """Not even when the library has used up its one message that the peer has gone."""
    peer = ArchivePeer(folder=tmp_path / "pacs")
    to = endpoint(peer.start(ae_title="PACS", host="127.0.0.1", port=0))
    with (
        suppress(PeerUnavailable),
        associated(to, [build_context(Verification)]) as association,
    ):
        peer.stop()
        wait_until(lambda: not is_transferring(association.dul))
        while not association.dimse.msg_queue.empty():
            association.dimse.msg_queue.get()
        assert association.dimse.get_msg(block=True) == (None, None)

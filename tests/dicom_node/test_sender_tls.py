"""Associations that we ask for, over TLS, with real peers at the other end."""

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ConfigError, DeliveryRefused, PeerUnavailable
from appliance.settings import ClientTls, Peer
from dicom_node.send.association import Endpoint, echo
from dicom_node.send.client_tls import client_context
from dicom_node.send.sender import Outgoing, outgoing, send
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.objects import Image, data_set_offset, write
from tests.dicom_node.real_peers import (
    Certificates,
    certificates,
    free_port,
    listens,
    running_orthanc,
)

NAME = "pacs.hospital.example"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("strangers"), NAME)


@pytest.fixture
def files(tmp_path: Path) -> list[Outgoing]:
    return [outgoing(write(Image(), tmp_path / "made")) for _ in range(2)]


def tls_of(keys: Certificates, **changes: Any) -> ClientTls:
    values = {
        "ca": keys.ca,
        "certificate": keys.client,
        "key": keys.client_key,
        "server_name": NAME,
    }
    return ClientTls(**(values | changes))


def endpoint(port: int, tls: ClientTls | None) -> Endpoint:
    return Endpoint(
        host="127.0.0.1",
        port=port,
        called_ae_title="PACS",
        calling_ae_title="COVERSLIP",
        tls=tls,
    )


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: listens(port))
            yield
        finally:
            process.kill()


@pytest.fixture
def storescp(
    tmp_path: Path, keys: Certificates, require_tool: Callable[[str], str]
) -> Iterator[int]:
    """DCMTK's storescp, which wants a certificate of its clients."""
    port = free_port()
    (tmp_path / "dcmtk").mkdir()
    command = [
        require_tool("storescp"), "+xa", "+B", "-aet", "PACS", "-od", str(tmp_path / "dcmtk"),
        "+tls", str(keys.server_key), str(keys.server), "+cf", str(keys.ca), "-rc", str(port),
    ]  # fmt: skip
    with running(command, port):
        yield port


def test_dcmtk_takes_objects_over_mutual_tls(
    storescp: int, keys: Certificates, files: list[Outgoing], tmp_path: Path
) -> None:
    send(files, endpoint(storescp, tls_of(keys)))
    wait_until(lambda: len(list((tmp_path / "dcmtk").iterdir())) == 2)
    sent = {one.path.read_bytes()[data_set_offset(one.path) :] for one in files}
    stored = (tmp_path / "dcmtk").iterdir()
    assert {one.read_bytes()[data_set_offset(one) :] for one in stored} == sent


def test_orthanc_takes_objects_over_mutual_tls(
    tmp_path: Path,
    keys: Certificates,
    files: list[Outgoing],
    require_tool: Callable[[str], str],
) -> None:
    settings = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(keys.server),
        "DicomTlsPrivateKey": str(keys.server_key),
        "DicomTlsTrustedCertificates": str(keys.ca),
        "DicomTlsRemoteCertificateRequired": True,
    }
    with running_orthanc(require_tool("Orthanc"), tmp_path / "orthanc", **settings) as orthanc:
        send(files, endpoint(orthanc.dicom_port, tls_of(keys)))
        assert set(orthanc.instances()) == {one.sop_instance_uid for one in files}


def test_a_certificate_of_a_stranger_is_not_trusted(
    storescp: int, keys: Certificates, strangers: Certificates
) -> None:
    with pytest.raises(DeliveryRefused, match="does not present a certificate that we trust"):
        echo(endpoint(storescp, tls_of(keys, ca=strangers.ca)))


@pytest.mark.parametrize("name", ["other.hospital.example", None])
def test_a_certificate_for_another_name_is_not_trusted(
    storescp: int, keys: Certificates, name: str | None
) -> None:
    with pytest.raises(DeliveryRefused, match="for another host name"):
        echo(endpoint(storescp, tls_of(keys, server_name=name)))


def test_an_address_in_the_certificate_is_a_name_too(
    tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    keys = certificates(tmp_path / "tls", "127.0.0.1")
    port = free_port()
    command = [
        require_tool("storescp"), "-aet", "PACS", "-od", str(tmp_path),
        "+tls", str(keys.server_key), str(keys.server), "+cf", str(keys.ca), str(port),
    ]  # fmt: skip
    with running(command, port):
        echo(endpoint(port, tls_of(keys, server_name=None)))


@pytest.mark.parametrize("shown", ["none", "a stranger's"])
def test_a_peer_that_does_not_accept_our_certificate_is_told_apart(
    storescp: int, keys: Certificates, strangers: Certificates, shown: str
) -> None:
    certificate = None if shown == "none" else strangers.client
    key = None if shown == "none" else strangers.client_key
    with pytest.raises(DeliveryRefused, match="does not accept our TLS certificate"):
        echo(endpoint(storescp, tls_of(keys, certificate=certificate, key=key)))


def test_a_peer_in_clear_text_is_not_spoken_to(
    tmp_path: Path, keys: Certificates, require_tool: Callable[[str], str]
) -> None:
    port = free_port()
    command = [require_tool("storescp"), "-aet", "PACS", "-od", str(tmp_path), str(port)]
    with (
        running(command, port),
        pytest.raises((DeliveryRefused, PeerUnavailable), match="TLS"),
    ):
        echo(endpoint(port, tls_of(keys)))


def _serve_tls(keys: Certificates, version: ssl.TLSVersion) -> tuple[socket.socket, int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys.server, keys.server_key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listening.accept()
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()

    threading.Thread(target=answer, daemon=True).start()
    return listening, int(listening.getsockname()[1])


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_not_spoken(keys: Certificates) -> None:
    listening, port = _serve_tls(keys, ssl.TLSVersion.TLSv1_1)
    with listening, pytest.raises(DeliveryRefused, match=r"does not speak TLS 1\.2"):
        echo(endpoint(port, tls_of(keys)))


def test_a_peer_that_hangs_up_in_the_handshake_is_waited_for(keys: Certificates) -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        connection, _ = listening.accept()
        connection.recv(1)
        connection.close()

    threading.Thread(target=hang_up, daemon=True).start()
    with listening, pytest.raises(PeerUnavailable, match="handshake"):
        echo(endpoint(int(listening.getsockname()[1]), tls_of(keys)))


def test_nobody_at_the_address_is_no_failure_of_tls(keys: Certificates) -> None:
    with pytest.raises(PeerUnavailable, match="does not answer at its address"):
        echo(endpoint(free_port(), tls_of(keys)))


def test_only_tls_1_2_and_newer_with_forward_secrecy_are_offered(keys: Certificates) -> None:
    context = client_context(tls_of(keys))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    for cipher in context.get_ciphers():
        assert cipher["aead"], cipher
        assert cipher["protocol"] == "TLSv1.3" or "ECDHE" in cipher["name"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"ca": Path("/nowhere.pem")}, r"tls\.ca"),
        ({"certificate": Path("/nowhere.pem")}, r"tls\.certificate"),
        ({"key": Path("/nowhere.pem")}, r"tls\.key"),
        ({"key": "other"}, r"tls\.key"),
        ({"ca": "garbage"}, r"tls\.ca"),
    ],
)
def test_files_that_cannot_be_used_name_their_key(
    keys: Certificates, strangers: Certificates, tmp_path: Path, changes: Any, key: str
) -> None:
    (tmp_path / "garbage").write_text("no certificate")
    made = {"other": strangers.client_key, "garbage": tmp_path / "garbage"}
    values = {name: made.get(value, value) for name, value in changes.items()}
    with pytest.raises(ConfigError, match=key):
        client_context(tls_of(keys, **values))


def test_the_endpoint_of_the_settings_keeps_its_tls(keys: Certificates) -> None:
    tls = tls_of(keys)
    peer = Peer(ae_title="PACS", host="10.0.0.1", port=104, tls=tls)
    assert Endpoint.of(peer) == replace(endpoint(104, tls), host="10.0.0.1")


def test_the_commands_speak_tls(storescp: int, keys: Certificates, tmp_path: Path) -> None:
    write(Image(), tmp_path / "made")
    words = ["--to", f"127.0.0.1:{storescp}", "--called", "PACS", "--tls-ca", str(keys.ca),
             "--tls-certificate", str(keys.client), "--tls-key", str(keys.client_key),
             "--tls-name", NAME]  # fmt: skip
    for command in (["echo"], ["send", str(tmp_path / "made")]):
        done = subprocess.run(
            [sys.executable, "-m", "appliance", *command, *words],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    missing = subprocess.run(
        [sys.executable, "-m", "appliance", "echo", *words[:4], *words[6:10]],
        check=False,
        capture_output=True,
        text=True,
    )
    assert missing.returncode == 78
    assert "--tls-ca" in missing.stderr

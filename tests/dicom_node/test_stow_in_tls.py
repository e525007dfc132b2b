"""STOW-RS over TLS: versions, certificates of clients, and handshakes that never end."""

import hashlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from appliance.errors import ConfigError
from appliance.settings import ServerTls
from dicom_node.dicomweb.process import open_web
from tests.dicom_node.conftest import Hospital, wait_until
from tests.dicom_node.objects import Image, write
from tests.dicom_node.web_scanner import WebScanner, multipart, rest_of, serving, with_web


class Site:
    """An authority, a certificate of ours, and one for each of two clients."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.authority = trustme.CA()
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self.authority.cert_pem.bytes())
        self.server, self.scanner, self.other = map(self.issue, ("127.0.0.1", "scanner", "other"))

    def issue(self, name: str) -> Path:
        path = self.folder / f"{name}.pem"
        issued = self.authority.issue_cert(name)
        path.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        return path

    def tls(self, clients: str) -> ServerTls:
        return ServerTls(certificate=self.server, key=self.server, ca=self.ca, clients=clients)

    def context(self, certificate: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("web") / "tls")


@pytest.fixture
def scanner(hospital: Hospital, tmp_path: Path, site: Site) -> Iterator[WebScanner]:
    with serving(hospital, tmp_path, tls=site.tls("none")) as one:
        yield one


@pytest.fixture
def body(tmp_path: Path) -> bytes:
    return multipart(write(Image(frame_bytes=20_000), tmp_path).read_bytes())


def test_an_object_is_stored_over_tls(
    hospital: Hospital, scanner: WebScanner, site: Site, body: bytes
) -> None:
    assert scanner.post(body, verify=site.context()).status_code == 200
    assert len(hospital.stored_files()) == 1


def test_clear_text_and_old_versions_are_not_spoken(
    hospital: Hospital, scanner: WebScanner, site: Site, body: bytes
) -> None:
    scanner.base = scanner.base.replace("https", "http")
    with pytest.raises(httpx.TransportError):
        scanner.post(body)
    old = site.context()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    wire = socket.create_connection(("127.0.0.1", scanner.port), timeout=10)
    with wire, pytest.raises(ssl.SSLError):
        old.wrap_socket(wire, server_hostname="127.0.0.1")
    wait_until(lambda: any("DICOMweb connection from 127.0.0.1" in one for one in hospital.texts()))
    assert hospital.stored_files() == []


def test_silent_handshakes_are_dropped_and_stop_nobody(
    scanner: WebScanner, site: Site, body: bytes
) -> None:
    wires = [socket.create_connection(("127.0.0.1", scanner.port), timeout=20) for _ in range(20)]
    assert scanner.post(body, verify=site.context()).status_code == 200
    for wire in wires:
        assert rest_of(wire) == b""
        wire.close()


def test_a_client_must_show_its_own_certificate_where_one_is_required(
    hospital: Hospital, tmp_path: Path, site: Site, body: bytes
) -> None:
    one, other = hospital.settings.scanners
    der = x509.load_pem_x509_certificate(site.scanner.read_bytes()).public_bytes(Encoding.DER)
    bound = one.model_copy(update={"certificate": f"sha256:{hashlib.sha256(der).hexdigest()}"})
    hospital.settings = hospital.settings.model_copy(update={"scanners": (bound, other)})
    with serving(hospital, tmp_path, tls=site.tls("required")) as scanner:
        with pytest.raises(httpx.TransportError):
            scanner.post(body, verify=site.context())
        assert scanner.post(body, verify=site.context(site.other)).status_code == 403
        assert scanner.post(body, verify=site.context(site.scanner)).status_code == 200
    assert len(hospital.stored_files()) == 1


@pytest.mark.parametrize(("name", "key"), [("certificate", "certificate"), ("key", "key")])
def test_a_missing_file_of_tls_stops_the_node_with_its_name(
    hospital: Hospital, tmp_path: Path, site: Site, name: str, key: str
) -> None:
    tls = site.tls("none").model_copy(update={name: tmp_path / "nothing.pem"})
    with pytest.raises(ConfigError, match=f"dicomweb.tls.{key}: .*nothing.pem"):
        open_web(with_web(hospital.settings, tmp_path, tls=tls))

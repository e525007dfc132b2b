"""TLS of the node's own socket, against DCMTK and against peers that mean no good."""

import contextlib
import hashlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from appliance.errors import ConfigError
from appliance.settings import ServerTls
from dicom_node.receive.server_tls import reason, server_context
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.desk import UID, Desk, scanner, sha256_of
from tests.dicom_node.faults.speaker import Context, Speaker
from tests.dicom_node.objects import Image, data_set_offset, write


class Site:
    """An authority, our certificate, and those of peers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.ours = self.issue("127.0.0.1", "localhost")
        self.scanner = self.issue("scanner")
        self.other = self.issue("other")
        self.rogue = self.issue("rogue", by=trustme.CA())

    def issue(self, *names: str, by: trustme.CA | None = None) -> Path:
        """Make a certificate; its key lies beside it."""
        issued = (by or self.authority).issue_cert(*names)
        path = self.folder / f"{names[0]}.pem"
        issued.cert_chain_pems[0].write_to_path(path)
        issued.private_key_pem.write_to_path(path.with_suffix(".key"))
        return path

    def settings(self, **more: object) -> ServerTls:
        values = {
            "certificate": self.ours,
            "key": self.ours.with_suffix(".key"),
            "ca": self.ca,
            **more,
        }
        return ServerTls(**values)

    def client(self, certificate: Path | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if certificate is not None:
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        return context

    def fingerprint(self, certificate: Path) -> str:
        der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
        return f"sha256:{hashlib.sha256(der).hexdigest()}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def desk(tmp_path: Path, site: Site) -> Iterator[Desk]:
    with Desk(tmp_path / "desk", tls=server_context(site.settings())) as one:
        yield one


def speak(desk: Desk, context: ssl.SSLContext) -> Speaker:
    """Connect by TLS."""
    speaker = Speaker(desk.port)
    speaker.wire = context.wrap_socket(speaker.wire, server_hostname="127.0.0.1")
    return speaker


def dcmtk(site: Site, desk: Desk, tool: str, *more: str, by: Path | None) -> int:
    """Run a tool of DCMTK, and give its exit code."""
    shown = ["+tla"] if by is None else ["+tls", str(by.with_suffix(".key")), str(by)]
    command = [tool, *shown, "+cf", str(site.ca), "-aet", "SCANNER", "-aec", "COVERSLIP"]
    options = [one for one in more if not one.endswith(".dcm")]
    files = [one for one in more if one.endswith(".dcm")]
    command += [*options, "localhost", str(desk.port), *files]
    return subprocess.run(command, timeout=30, capture_output=True, check=False).returncode


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_echoscu_and_storescu_of_dcmtk_are_served(
    desk: Desk, site: Site, tmp_path: Path, require_tool: Callable[[str], str], profile: str
) -> None:
    path = write(Image(frame_bytes=30_000), tmp_path / "scanner")
    assert dcmtk(site, desk, require_tool("echoscu"), profile, by=site.scanner) == 0
    storescu = require_tool("storescu")
    options = ["-R", "-xy", "--max-pdu", "131072", profile]
    assert dcmtk(site, desk, storescu, *options, str(path), by=site.scanner) == 0
    assert desk.hashes == [sha256_of(path.read_bytes()[data_set_offset(path) :])]


def test_echoscu_of_dcmtk_without_our_trust_is_refused_and_said_so(
    desk: Desk, site: Site, require_tool: Callable[[str], str]
) -> None:
    echoscu = require_tool("echoscu")
    assert dcmtk(site, desk, echoscu, by=site.rogue) != 0
    assert dcmtk(site, desk, echoscu, by=None) != 0
    wait_until(lambda: len(desk.said) >= 2)
    assert any("vouches for" in one for one in desk.said)
    assert any("showed no certificate" in one for one in desk.said)
    assert all("127.0.0.1" in one for one in desk.said)
    assert dcmtk(site, desk, echoscu, by=site.scanner) == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_object_comes_whole_by_both_versions(
    desk: Desk, site: Site, version: ssl.TLSVersion
) -> None:
    context = site.client(site.scanner)
    context.minimum_version = context.maximum_version = version
    content = bytes(range(256)) * 5_000
    with speak(desk, context).accepted() as wire:
        assert wire.store(UID, content) == 0
        assert wire.store(f"{UID}.2", b"and another") == 0
        assert wire.release()
    assert desk.hashes == [sha256_of(content), sha256_of(b"and another")]


def test_old_versions_and_weak_ciphers_are_refused(desk: Desk, site: Site) -> None:
    weak = site.client(site.scanner)
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("AES256-SHA256")
    with pytest.raises(OSError):  # noqa: PT011  the sentence is OpenSSL's
        speak(desk, weak)
    wait_until(lambda: any("no cipher suite that is safe enough" in one for one in desk.said))
    assert server_context(site.settings()).minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_scanner_with_another_certificate_than_its_own_is_rejected(
    tmp_path: Path, site: Site
) -> None:
    peers = [scanner(certificate=site.fingerprint(site.scanner))]
    tls = server_context(site.settings())
    with Desk(tmp_path / "desk", tls=tls, peers=peers) as desk:
        with speak(desk, site.client(site.other)) as wire:
            assert wire.associate().rejection == (1, 1, 3)
        with speak(desk, site.client(site.scanner)).accepted() as wire:
            assert wire.store(UID, b"content") == 0
    assert any("a scanner with another certificate" in one for one in desk.said)


def test_a_scanner_that_must_show_a_certificate_cannot_come_in_clear(
    tmp_path: Path, site: Site
) -> None:
    peers = [scanner(certificate=site.fingerprint(site.scanner))]
    with Desk(tmp_path / "desk", peers=peers) as desk, desk.speak() as wire:
        assert wire.associate().rejection == (1, 1, 3)


def test_without_client_certificates_anyone_on_the_list_may_come(
    tmp_path: Path, site: Site
) -> None:
    tls = server_context(site.settings(clients="none", ca=None))
    with Desk(tmp_path / "desk", tls=tls) as desk, speak(desk, site.client(None)) as wire:
        assert wire.accepted().store(UID, b"content") == 0


def test_one_silent_client_blocks_nobody_and_is_let_go(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.receive.server.NEGOTIATION_LIMIT_S", 0.5)
    with Desk(tmp_path / "desk", tls=server_context(site.settings())) as desk:
        silent = socket.create_connection(("127.0.0.1", desk.port), timeout=20)
        with silent, speak(desk, site.client(site.scanner)).accepted(Context()) as wire:
            assert wire.store(UID, b"content") == 0
            assert silent.recv(1) == b""
        wait_until(lambda: any("did not complete the handshake in time" in s for s in desk.said))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "it spoke HTTP"),
        (b"\x01\0\0\0\0\xcd\0\x01\0\0COVERSLIP       SCANNER         ", "does not speak TLS"),
        (b"\x16\x03\x01\x00\x05hello", "handshake"),
    ],
)
def test_what_is_no_tls_is_refused_with_its_reason(
    desk: Desk, site: Site, said: bytes, words: str
) -> None:
    with socket.create_connection(("127.0.0.1", desk.port), timeout=20) as wire:
        wire.sendall(said)
        with contextlib.suppress(OSError):  # refused already
            wire.shutdown(socket.SHUT_WR)
            while wire.recv(4096):
                pass
    wait_until(lambda: any(words in one for one in desk.said))


def test_a_hundred_broken_handshakes_leave_nothing_behind(desk: Desk, site: Site) -> None:
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", desk.port), timeout=20) as wire:
            wire.sendall(b"\x16\x03\x01\x02\x00\x01")
    wait_until(lambda: desk.n_connections() == 0)
    with speak(desk, site.client(site.scanner)).accepted() as wire:
        assert wire.store(UID, b"content") == 0


@pytest.mark.parametrize("key", ["certificate", "key", "ca"])
def test_a_missing_file_stops_the_node_and_names_its_key(site: Site, key: str) -> None:
    settings = site.settings(**{key: site.folder / "nothing.pem"})
    with pytest.raises(ConfigError, match=rf"node\.tls\.{key}: .*nothing\.pem does not exist"):
        server_context(settings)


def test_files_of_another_kind_stop_the_node_and_name_their_key(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"node\.tls\.key: .* does not belong"):
        server_context(site.settings(key=site.other.with_suffix(".key")))
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    with pytest.raises(ConfigError, match=r"node\.tls\.ca: .*holds no certificates"):
        server_context(site.settings(ca=text))
    with pytest.raises(ConfigError, match=r"dicomweb\.tls\.key"):
        server_context(site.settings(certificate=text), key="dicomweb.tls")


def test_a_key_with_a_password_is_said_so_and_nobody_is_asked(site: Site, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    openssl = shutil.which("openssl") or pytest.skip("openssl is not installed")
    subprocess.run(
        [openssl, "rsa", "-aes256", "-passout", "pass:secret", "-out", str(locked)]
        if b"RSA" in site.ours.with_suffix(".key").read_bytes()
        else [openssl, "ec", "-aes256", "-passout", "pass:secret", "-out", str(locked)],
        input=site.ours.with_suffix(".key").read_bytes(),
        check=True,
        capture_output=True,
    )
    with pytest.raises(ConfigError, match="without a password"):
        server_context(site.settings(key=locked))


def test_reasons_are_our_own_words() -> None:
    error = ssl.SSLError(1, "CANARY")
    assert reason(error) == "it broke the handshake off"
    assert "CANARY" not in reason(error)

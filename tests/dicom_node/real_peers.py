"""Real peers to send to: Orthanc with its DICOMweb plugin, TLS in front of it by socat."""

import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from appliance.temporary import free_ports
from tests.dicom_node.conftest import wait_until

PLUGINS = Path("/usr/share/orthanc/plugins")
START_S = 60.0


def free_port() -> int:
    (port,) = free_ports(1)
    return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True, kw_only=True)
class Orthanc:
    """What a test asks of a running Orthanc."""

    ae_title: str
    dicom_port: int
    http_port: int
    report_port: int = 0
    """Where it knows us to listen, if a test told it."""

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def web(self) -> str:
        return f"{self.base}/dicom-web"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.base + path, timeout=20) as answer:
            return json.loads(answer.read())

    def instances(self) -> dict[str, bytes]:
        """Every stored file, by SOP Instance UID."""
        found: dict[str, bytes] = {}
        for one in self.get("/instances"):
            uid = self.get(f"/instances/{one}")["MainDicomTags"]["SOPInstanceUID"]
            assert uid not in found, "one UID twice"
            with urllib.request.urlopen(f"{self.base}/instances/{one}/file", timeout=20) as file:
                found[uid] = file.read()
        return found

    def is_up(self) -> bool:
        try:
            self.get("/system")
        except (OSError, urllib.error.URLError):
            return False
        return True


@contextmanager
def running_orthanc(
    program: str, folder: Path, *, ae_title: str = "PACS", **changes: Any
) -> Iterator[Orthanc]:
    """Run Orthanc with DICOMweb until the block ends."""
    one = Orthanc(ae_title=ae_title, dicom_port=free_port(), http_port=free_port())
    folder.mkdir(parents=True)
    settings = {
        "Name": ae_title,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": ae_title,
        "DicomPort": one.dicom_port,
        "HttpPort": one.http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowFind": True,
        "UnknownSopClassAccepted": True,
        "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")],
        **changes,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            wait_until(lambda: process.poll() is not None or one.is_up(), START_S)
            assert process.poll() is None, (folder / "orthanc.log").read_text()[-2000:]
            yield one
        finally:
            process.kill()  # asked to end, it takes more than three seconds
            process.wait()


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Files of a certificate authority, a server's certificate, and a client's."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def certificates(folder: Path, *names: str) -> Certificates:
    """Make an authority, a server certificate for names or addresses, and a client's."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    made = Certificates(
        ca=folder / "ca.pem",
        server=folder / "server.pem",
        server_key=folder / "server.key",
        client=folder / "client.pem",
        client_key=folder / "client.key",
    )
    authority.cert_pem.write_to_path(made.ca)
    pairs = (
        (authority.issue_cert(*names), made.server, made.server_key),
        (authority.issue_cert("coverslip.hospital.example"), made.client, made.client_key),
    )
    for certificate, chain, key in pairs:
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(key)
    return made


@contextmanager
def tls_in_front(
    socat: str, port: int, made: Certificates, *, verify: bool = True, options: str = ""
) -> Iterator[int]:
    """Run socat, which speaks TLS and passes on to a port in clear; gives its port."""
    outside = free_port()
    listen = (
        f"OPENSSL-LISTEN:{outside},bind=127.0.0.1,fork,reuseaddr,cert={made.server},"
        f"key={made.server_key},cafile={made.ca},verify={int(verify)}{options}"
    )
    with subprocess.Popen(
        [socat, listen, f"TCP:127.0.0.1:{port}"], stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_until(lambda: listens(outside), START_S)
            yield outside
        finally:
            process.terminate()

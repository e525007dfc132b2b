"""A real PACS: Orthanc from Debian on loopback, in a folder of its own."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.temporary import free_ports
from tests.line.appliance_site import wait_for


class Orthanc:
    """What a test asks of a running Orthanc."""

    def __init__(self, dicom_port: int, http_port: int) -> None:
        self.dicom_port = dicom_port
        self.http_port = http_port
        self._base = f"http://127.0.0.1:{http_port}"

    def get(self, path: str) -> Any:
        """Answer of the REST interface."""
        with urllib.request.urlopen(self._base + path, timeout=10) as answer:
            return json.loads(answer.read())

    def file(self, instance: str) -> bytes:
        """The stored DICOM file of an instance."""
        return self.content(f"/instances/{instance}/file")

    def content(self, path: str) -> bytes:
        """Bytes that the REST interface answers with, such as a rendered frame."""
        with urllib.request.urlopen(self._base + path, timeout=10) as answer:
            return bytes(answer.read())

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            self.get("/system")
        except (OSError, urllib.error.URLError):
            return False
        return True


@contextmanager
def running_orthanc(
    program: str, folder: Path, ae_title: str, more: Mapping[str, object] | None = None
) -> Iterator[Orthanc]:
    """Run Orthanc until the block ends; `more` is added to its settings."""
    dicom_port, http_port = free_ports(2)
    folder.mkdir(parents=True)
    settings = {
        "Name": ae_title,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": ae_title,
        "DicomPort": dicom_port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "Plugins": [],
        **(more or {}),
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            orthanc = Orthanc(dicom_port, http_port)
            wait_for(orthanc.is_up, "Orthanc answers", limit_s=60)
            yield orthanc
        finally:
            process.kill()  # asked to end, it takes more than three seconds
            process.wait()

"""Object stores on loopback: moto's S3, the emulator of Azure, and a double of Google's."""

import base64
import hmac
import http.server
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import boto3

from appliance.settings import ObjectStore
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.real_peers import START_S, free_port, listens

BUCKET = "tiles"
PREFIX = "from/hospital"
REGION = "eu-central-1"
ACCESS_KEY, SECRET_KEY = "AKIATESTTESTTEST", "secret-zebrafinch"


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A running server of moto, looked at with a client that is not ours."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str = "s3") -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def create_bucket(self, name: str) -> None:
        where = {"LocationConstraint": REGION}
        self.client().create_bucket(Bucket=name, CreateBucketConfiguration=where)

    def objects(self, bucket: str) -> dict[str, bytes]:
        client = self.client()
        listed = client.list_objects_v2(Bucket=bucket).get("Contents", [])
        names = [one["Key"] for one in listed]
        return {name: client.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}


@contextmanager
def running_s3(folder: Path, **environment: str) -> Iterator[S3Server]:
    """Run moto's server as a process of its own."""
    server = S3Server(port=free_port())
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(server.port)]
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | environment
        )
        try:
            wait_until(lambda: process.poll() is not None or listens(server.port), START_S)
            assert process.poll() is None, (folder / "moto.log").read_text()[-2000:]
            yield server
        finally:
            process.terminate()
            process.wait()


def keys_file(folder: Path, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> Path:
    path = folder / f"keys-{access_key}.toml"
    path.write_text(f'access_key_id = "{access_key}"\nsecret_access_key = "{secret_key}"\n')
    path.chmod(0o600)
    return path


def store_at(
    endpoint: str, keys: Path | None, *, bucket: str = BUCKET, ca: Path | None = None
) -> ObjectStore:
    return ObjectStore.model_validate(
        {
            "url": f"s3://{bucket}/{PREFIX}",
            "endpoint": endpoint,
            "region": REGION,
            "credentials_file": keys,
            "ca": ca,
        }
    )


class GoogleDouble(http.server.BaseHTTPRequestHandler):
    """What we use of Google Cloud Storage's XML interface, with its condition on generations.

    A double: no emulator that can be installed here honours that condition.
    """

    objects: dict[str, bytes]

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.startswith(f"/{BUCKET}/"):
            return self._answer(404)
        if self.headers["x-goog-if-generation-match"] == "0" and self.path in self.objects:
            return self._answer(412)
        self.objects[self.path] = content
        return self._answer(200)

    def do_GET(self) -> None:
        content = self.objects.get(self.path)
        return self._answer(404) if content is None else self._answer(200, content)

    def _answer(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Mon, 01 Jan 1900 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running_google_double() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Run the double; gives its URL and its objects."""
    objects: dict[str, bytes] = {}
    handler = type("Double", (GoogleDouble,), {"objects": objects})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", objects
        server.shutdown()
        thread.join()


AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""Published with the emulator; they open nothing else."""


@dataclass(frozen=True, kw_only=True)
class Azurite:
    """A running emulator of Azure's blob service."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{AZURE_ACCOUNT}"

    def ask(self, method: str, path: str, *canonical: str) -> bytes:
        """Send a signed request without a body."""
        date, version = formatdate(usegmt=True), "2021-08-06"
        resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{path.partition('?')[0]}"
        lines = [method, *[""] * 11, f"x-ms-date:{date}", f"x-ms-version:{version}", resource]
        signed = "\n".join([*lines, *canonical]).encode()
        digest = hmac.digest(base64.b64decode(AZURE_KEY), signed, "sha256")
        headers = {
            "x-ms-date": date,
            "x-ms-version": version,
            "Authorization": f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}",
        }
        request = urllib.request.Request(f"{self.url}/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return bytes(answer.read())

    def create_container(self, name: str) -> None:
        self.ask("PUT", f"{name}?restype=container", "restype:container")


@contextmanager
def running_azurite(program: str, folder: Path) -> Iterator[Azurite]:
    """Run the emulator of Microsoft until the block ends."""
    one = Azurite(port=free_port())
    command = [program, "--blobPort", str(one.port), "--location", str(folder / "azurite")]
    with (folder / "azurite.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--silent", "--disableTelemetry", "--skipApiVersionCheck"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: process.poll() is not None or listens(one.port), START_S)
            assert process.poll() is None, (folder / "azurite.log").read_text()[-2000:]
            yield one
        finally:
            process.terminate()
            process.wait()

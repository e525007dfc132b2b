"""A real Triton server, which runs in an environment of its own (`make triton`)."""

import os
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.temporary import free_ports
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.oip_double import MODEL, NAME

SERVER = Path(__file__).with_name("triton_server.py")
START_S = 90.0


@dataclass(frozen=True, kw_only=True)
class Triton:
    """A server that runs, with the metastasis model."""

    grpc: str
    http: str
    metrics: str

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.http}/v2/models/{NAME}/ready", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def running_triton(python: str, folder: Path) -> Iterator[Triton]:
    """Run Triton until the block ends; its log goes into a folder.

    It lives in a folder of its own with a short name: the paths of its sockets may not be long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    home = tempfile.mkdtemp(prefix="triton-")
    ports = free_ports(3)
    command = [python, str(SERVER), str(MODEL / "model.onnx"), *map(str, ports)]
    environment = {"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": home}
    with (folder / "triton.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        one = Triton(
            grpc=f"grpc://127.0.0.1:{ports[0]}",
            http=f"http://127.0.0.1:{ports[1]}",
            metrics=f"http://127.0.0.1:{ports[2]}/metrics",
        )
        try:
            wait_until(lambda: process.poll() is not None or one.is_ready(), START_S)
            assert process.poll() is None, (folder / "triton.log").read_text()[-2000:]
            yield one
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(home, ignore_errors=True)

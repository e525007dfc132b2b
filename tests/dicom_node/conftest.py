"""Fixtures of the node's tests: tiny slides, a node with real stores and a real socket."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydicom.uid import generate_uid

from appliance.daemon import open_journal
from appliance.settings import Keys, Node, Scanner, Settings, Storage
from appliance.stores.journal import Journal
from dicom_node import node as node_module
from dicom_node.quiet import silence_libraries
from dicom_node.send.sender import Endpoint
from tests.dicom_node.objects import Image

PLENTY_BYTES = 1 << 40


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    silence_libraries()


class Disk:
    """How much is free, as the test says."""

    def __init__(self) -> None:
        self.free = PLENTY_BYTES

    def __call__(self, _folder: Path) -> int:
        return self.free


class Hospital:
    """A node that listens, its journal, and what a test needs to play scanner and operator."""

    def __init__(self, folder: Path, *, expects: tuple[str, ...] = (), quiet_s: float = 60.0):
        self.folder = folder
        self.disk = Disk()
        self.offset_s = 0.0
        self.seal_key = X25519PrivateKey.generate()
        keys = folder / "keys"
        keys.mkdir()
        (keys / "seal.pub").write_bytes(
            self.seal_key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        self.settings = Settings(
            storage=Storage(root=folder / "root", soft_free_gib=2.0, hard_free_gib=1.0),
            keys=Keys(folder=keys),
            node=Node(host="127.0.0.1", port=0, maximum_associations=4),
            scanners=(
                Scanner(
                    name="scanner-1",
                    ae_title="SCANNER",
                    addresses=(ip_network("127.0.0.0/8"),),
                    quiet_s=quiet_s,
                    expects=expects,
                ),
                Scanner(
                    name="elsewhere", ae_title="ELSEWHERE", addresses=(ip_network("10.0.0.0/8"),)
                ),
            ),
        )
        self.journal: Journal = open_journal(self.settings, self.now)
        self.start()

    def start(self) -> None:
        self.node = node_module.build(self.settings, self.journal, free=self.disk, clock=self.now)
        self.port = self.node.start()

    def now(self) -> float:
        return time.time() + self.offset_s

    def pass_time(self, seconds: float) -> None:
        self.offset_s += seconds

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(
            host="127.0.0.1",
            port=self.port,
            called_ae_title="COVERSLIP",
            calling_ae_title="SCANNER",
        )

    def look(self) -> None:
        """Let the node look once at what arrived."""
        self.node.arrivals.step()

    def settle(self, seconds: float = 61.0) -> None:
        """Wait until no association is open, let the quiet time pass, and look."""
        wait_until(lambda: not self.node.scp.open_associations())
        self.pass_time(seconds)
        self.look()

    def work(self) -> None:
        while self.node.worker.step():
            pass

    def slides(self):
        return sorted(self.journal.board.snapshot(), key=lambda one: one.created_at)

    def slide(self):
        (only,) = self.slides()
        return only

    def stored_files(self) -> list[Path]:
        return sorted(self.node.spool.instances.iterdir())

    def partial_files(self) -> list[Path]:
        return sorted(self.node.spool.incoming.glob("*/*.part"))

    def texts(self) -> list[str]:
        return [event.text for event in self.journal.board.events()]


def wait_until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Wait for a condition, with a limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    one = Hospital(tmp_path)
    yield one
    one.node.stop()


@pytest.fixture
def slide_images() -> list[Image]:
    """A slide of two levels with label and overview, as a scanner sends it."""
    base = Image()
    return [
        base,
        replace(base, uid=generate_uid(), rows=16, columns=24),
        replace(base, uid=generate_uid(), flavour="LABEL", rows=8, columns=8),
        replace(base, uid=generate_uid(), flavour="OVERVIEW", rows=8, columns=8),
    ]

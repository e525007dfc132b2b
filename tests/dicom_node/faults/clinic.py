"""A place where a node is killed and started again, and what must be true of it every time."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.control import call
from appliance.daemon import open_journal
from appliance.demo.site import free_ports
from appliance.errors import ApplianceError
from appliance.line import SlideStatus, Stage
from appliance.settings import load
from appliance.storage import Root
from appliance.stores.database import open_engine
from appliance.stores.receipts import Receipts
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.faults.effects import Death
from tests.dicom_node.objects import data_set_offset

REPOSITORY = Path(__file__).parents[3]
LIMIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An object that a scanner has, and wants to see kept."""

    uid: str
    study: str
    data_set: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """Hash of the data set."""
        return hashlib.sha256(self.data_set).hexdigest()


class Ledger:
    """What scanners have sent, and what the node has promised them to keep."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent: dict[str, str] = {}
        """Hash of the data set -> SOP Instance UID."""
        self.promised: dict[str, str] = {}
        """SOP Instance UID -> hash, of objects that were answered with success."""
        self.studies: set[str] = set()

    def sends(self, one: Sent) -> None:
        """Note an object before its first byte goes out."""
        with self._lock:
            self.sent[one.sha256] = one.uid
            self.studies.add(one.study)

    def hears_success(self, one: Sent) -> None:
        """Note an object that was answered with 0x0000."""
        with self._lock:
            self.promised[one.uid] = one.sha256


class Forge:
    """A process that forks nodes (tests/dicom_node/faults/forge.py)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.dicom_node.faults.forge"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )

    def ask(self, order: Mapping[str, Any]) -> dict[str, int]:
        """Give an order and its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it, and with it every node it has forked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


class Clinic:
    """A node's root folder, its settings, and the node that runs on it now.

    Parameters
    ----------
    folder
        An empty folder for everything.
    forge
        Forks the nodes.
    root
        Where the node keeps its zones; below `folder` unless the test has a disk for it.
    """

    def __init__(
        self,
        folder: Path,
        forge: Forge,
        *,
        root: Path | None = None,
        quiet_s: float = 0.1,
        expects: Sequence[str] = (),
        soft_free_mib: float = 0.0,
        hard_free_mib: float = 0.0,
        node: str = "",
        more: str = "",
    ) -> None:
        self.folder = folder
        self.forge = forge
        self.ledger = Ledger()
        self.port = free_ports(1)[0]
        self.pid = 0
        self._settings_file = folder / "coverslip.toml"
        self._settings_file.write_text(
            f"""
            [storage]
            root = {json.dumps(str(root or folder / "root"))}
            soft_free_gib = {soft_free_mib / 1024}
            hard_free_gib = {hard_free_mib / 1024}
            [journal]
            lease_s = 1.0
            [keys]
            folder = {json.dumps(str(_keys(folder)))}
            [node]
            host = "127.0.0.1"
            port = {self.port}
            {node}
            [[scanners]]
            name = "scanner-1"
            ae_title = "SCANNER"
            addresses = ["127.0.0.0/8"]
            quiet_s = {quiet_s}
            expects = {json.dumps(list(expects))}
            associations_per_minute = 1000000
            {more}
            """
        )
        self.settings = load(self._settings_file)
        self.root = Root(self.settings.storage.root)

    @property
    def incoming(self) -> Path:
        """Where what is being received lies."""
        return self.root.path / "spool" / "incoming"

    @property
    def instances(self) -> Path:
        """Where what was received whole lies."""
        return self.root.path / "spool" / "instances"

    def start(self, *, record: Path | None = None, death: Death | None = None) -> None:
        """Start a node and wait until it listens.

        Parameters
        ----------
        record
            Where the node writes its effects, from `arm()` on.
        death
            Where the node is to kill itself.
        """
        order: dict[str, Any] = {
            "settings": str(self._settings_file),
            "output": str(self.folder / "node.out"),
        }
        self._armed().unlink(missing_ok=True)
        if record is not None:
            order |= {"armed": str(self._armed()), "record": str(record)}
            order["death"] = (
                {"effect": death.effect, "n": death.n, "when": death.when} if death else None
            )
        self.pid = self.forge.ask(order)["pid"]
        wait_until(self.is_up, LIMIT_S)

    def arm(self) -> None:
        """From now on effects are recorded, and the one that kills does."""
        self._armed().touch()

    def _armed(self) -> Path:
        return self.folder / "armed"

    def is_up(self) -> bool:
        """Whether the node answers at its control socket."""
        try:
            answer = call(self.root.socket("node"), "status")
        except ApplianceError:
            assert self.is_alive(), (self.folder / "node.out").read_text()
            return False
        return int(answer["pid"]) == self.pid

    def is_alive(self) -> bool:
        """Whether the node's process has not ended."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"

    def kill(self, pid: int | None = None) -> None:
        """Kill the node (or one process of it) with SIGKILL; give when it is gone."""
        os.kill(pid or self.pid, signal.SIGKILL)
        if pid is None:
            self.await_death()

    def await_death(self) -> int:
        """Wait until the node's process has ended; give its exit code."""
        pid, self.pid = self.pid, 0
        return self.forge.ask({"wait": pid})["code"]

    def stop(self) -> None:
        """End the node in order when it runs."""
        if self.pid and self.is_alive():
            os.kill(self.pid, signal.SIGTERM)
            assert self.await_death() == 0

    # What must be true.

    def check_files(self) -> None:
        """Check, at any moment, that nothing partial is where the next stage looks."""
        for path in _dicom_files(self.instances):
            assert path.stem in self.ledger.sent, "an object that nobody sent is visible"
            assert hash_of(path) == path.stem, "a partial object is visible"
        for folder in (self.root.path / "original").glob("[!.]*"):
            for path in _dicom_files(folder):
                assert hash_of(path) in self.ledger.sent, "assemble has published a partial object"
        for path in (self.root.path / "spool").rglob("*"):
            assert path.is_relative_to(self.instances) or path.is_relative_to(self.incoming)

    def check_promises(self) -> None:
        """Check that what was answered with success is there whole, and receipted once."""
        receipted = self.receipts()
        assert set(receipted.values()) <= {1}, "an object has two receipts"
        for uid, sha256 in self.ledger.promised.items():
            assert (uid, sha256) in receipted, "a promised object has no receipt"
        for uid, sha256 in receipted:
            assert self.ledger.sent[sha256] == uid, "a receipt is of an object nobody sent"
            assert (self.instances / f"{sha256}.dcm").exists(), "a receipted object is not there"

    def check_swept(self) -> None:
        """Check, after a start, that only receipted objects are left."""
        kept = {sha256 for _, sha256 in self.receipts()}
        assert {path.stem for path in _dicom_files(self.instances)} <= kept
        assert list(_dicom_files(self.incoming)) == []

    def receipts(self) -> Counter[tuple[str, str]]:
        """How many receipts there are by SOP Instance UID and hash."""
        with _receipts(self) as receipts:
            return Counter(
                (one.receipt.sop_instance_uid, one.receipt.sha256)
                for study in sorted(self.ledger.studies)
                for one in receipts.of_study(study)
            )

    def check_line(self) -> None:
        """Check that every promised object is on the line, once, with the bytes that were sent."""
        on_line: Counter[str] = Counter()
        journal = open_journal(self.settings)
        with closing(journal._engine.raw_connection()):
            for slide in journal.board.snapshot(newest=100_000):
                folder = journal.board.folder(slide.slide_id, Stage.ASSEMBLE)
                if folder is not None:
                    on_line.update(self._check_folder(self.root.zone("original") / folder))
        journal._engine.dispose()
        assert set(on_line.values()) <= {1}, "an object is on two slides"
        assert set(on_line) == set(self.ledger.promised), "not all that was promised is on the line"

    def _check_folder(self, folder: Path) -> Iterator[str]:
        for one in json.loads((folder / "slide.json").read_text())["instances"]:
            sha256 = hash_of(folder / one["file"])
            assert self.ledger.sent[sha256] == one["sop_instance_uid"]
            yield one["sop_instance_uid"]

    def slides(self) -> tuple[SlideStatus, ...]:
        """Give what the journal knows."""
        journal = open_journal(self.settings)
        try:
            return journal.board.snapshot(newest=100_000)
        finally:
            journal._engine.dispose()

    def await_line(self, limit_s: float = LIMIT_S) -> None:
        """Wait until every promised object is part of an assembled revision of a slide."""
        wait_until(self.is_on_line, limit_s)

    def is_on_line(self) -> bool:
        with _receipts(self) as receipts:
            stored = [one for study in self.ledger.studies for one in receipts.of_study(study)]
        if any(one.revision is None for one in stored):
            return False
        return {one.receipt.sop_instance_uid for one in stored} >= set(
            self.ledger.promised
        ) and all(slide.stage != Stage.ASSEMBLE for slide in self.slides())


@contextmanager
def _receipts(clinic: Clinic) -> Iterator[Receipts]:
    database = clinic.root.zone("receipts") / "receipts.db"
    engine = open_engine(f"sqlite:///{database}", store="receipts")
    try:
        yield Receipts(engine, time.time)
    finally:
        engine.dispose()


def hash_of(path: Path) -> str:
    """Hash of a file's data set."""
    with path.open("rb") as file:
        file.seek(data_set_offset(path))
        return hashlib.file_digest(file, "sha256").hexdigest()


def _dicom_files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.suffix in (".dcm", ".part"))


def _keys(folder: Path) -> Path:
    keys = folder / "keys"
    keys.mkdir()
    public = X25519PrivateKey.generate().public_key()
    (keys / "seal.pub").write_bytes(
        public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return keys

"""A place where a node is killed and started again."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.control import call
from appliance.daemon import open_journal
from appliance.errors import ApplianceError
from appliance.settings import load
from appliance.storage import Root
from appliance.stores.board import Board
from appliance.stores.database import open_engine
from appliance.stores.receipts import Receipts
from appliance.temporary import free_ports
from tests.dicom_node.faults.effects import Death
from tests.dicom_node.faults.forge import Forge
from tests.dicom_node.faults.ledger import Ledger

LIMIT_S: Final = 30.0


def wait_until(
    condition: Callable[[], bool], limit_s: float = LIMIT_S, *, every_s: float = 0.01
) -> None:
    """Wait for a condition, with a limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(every_s)


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
    node, more
        Further lines for the settings' table `node`, and for the end of the file.
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
        self.ledger = Ledger()
        self.port = free_ports(1)[0]
        self.pid = 0
        self._forge = forge
        self._armed = folder / "armed"
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

    @property
    def original(self) -> Path:
        """Where assemble publishes."""
        return self.root.path / "original"

    def start(
        self,
        *,
        record: Path | None = None,
        death: Death | None = None,
        listeners_only: bool = False,
    ) -> None:
        """Start a node and wait until it answers.

        Parameters
        ----------
        record
            Where the node writes its effects, from `arm()` on.
        death
            Where the node is to kill itself, or to meet an error, from `arm()` on.
        listeners_only
            Not the node itself, but its further listeners.
        """
        self._armed.unlink(missing_ok=True)
        order: dict[str, Any] = {
            "settings": str(self._settings_file),
            "output": str(self.folder / "node.out"),
        }
        if record is not None:
            order["effects"] = {
                "root": str(self.root.path),
                "armed": str(self._armed),
                "record": str(record),
                "death": asdict(death) if death else None,
                "listeners_only": listeners_only,
            }
        self.pid = self._forge.start(order)
        wait_until(self.is_up)

    def arm(self) -> None:
        """From now on effects are recorded, and the one that kills does."""
        self._armed.touch()

    def disarm(self) -> None:
        """Effects go unnoticed again."""
        self._armed.unlink()

    def is_up(self) -> bool:
        """Whether the node answers at its control socket."""
        assert self.is_alive(), (self.folder / "node.out").read_text()
        try:
            return int(self.operate("status")["pid"]) == self.pid
        except ApplianceError:
            return False

    def is_alive(self) -> bool:
        """Whether the node's process has not ended."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"

    def listeners(self) -> list[int]:
        """Give the process ids of the node's further listeners."""
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if self._is_listener(path)]

    def _is_listener(self, process: Path) -> bool:
        try:
            session = (process / "stat").read_text().rpartition(")")[2].split()[3]
            words = (process / "cmdline").read_text()
        except OSError:
            return False
        return int(session) == self.pid and "spawn_main" in words

    def operate(self, action: str, slide_id: str = "") -> dict[str, Any]:
        """Do what an operator does at the control socket."""
        return call(self.root.socket("node"), action, slide_id=slide_id)

    def kill(self) -> None:
        """Kill the node with SIGKILL, and wait until it is gone; its listeners follow it."""
        os.kill(self.pid, signal.SIGKILL)
        self.await_death()

    def await_death(self) -> int:
        """Wait until the node's process has ended; give its exit code."""
        pid, self.pid = self.pid, 0
        return self._forge.reap(pid)

    def stop(self) -> None:
        """End the node in order."""
        os.kill(self.pid, signal.SIGTERM)
        assert self.await_death() == 0

    @contextmanager
    def receipts(self) -> Iterator[Receipts]:
        """Open the receipts beside the node."""
        database = self.root.zone("receipts") / "receipts.db"
        engine = open_engine(f"sqlite:///{database}", store="receipts")
        try:
            yield Receipts(engine, time.time)
        finally:
            engine.dispose()

    @contextmanager
    def board(self) -> Iterator[Board]:
        """Open the journal's board beside the node."""
        journal = open_journal(self.settings)
        try:
            yield journal.board
        finally:
            journal._engine.dispose()

    def texts(self) -> list[str]:
        """Give what the technician reads."""
        with self.board() as board:
            return [event.text for event in board.events(newest=10_000)]


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

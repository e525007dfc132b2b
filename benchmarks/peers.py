"""The receivers that are compared, each started on a port of its own with an empty folder."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

AE_TITLE = "BENCH"
CALLING_AE_TITLE = "SENDER"
PDU = "131072"
_START_LIMIT_S = 60.0
_PYTHON_PEERS = Path(__file__).parent

Command = Callable[[Path, int], Sequence[str]]
"""Gives a receiver's command line for a folder and a port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A receiver, and how it is started."""

    name: str
    words: str
    command: Command
    stores: str = "**/*"
    """Which files of its folder are received objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A receiver that listens."""

    receiver: Receiver
    process: subprocess.Popen[bytes]
    folder: Path
    port: int

    def n_stored(self) -> int:
        """How many objects its folder holds."""
        return sum(1 for path in self.folder.glob(self.receiver.stores) if path.is_file())

    def stop(self) -> None:
        """End it, and everything it started."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(receiver: Receiver, folder: Path) -> Running:
    """Start a receiver and wait until it listens."""
    folder.mkdir(parents=True)
    port = _free_port()
    # Without it DCMTK and Orthanc wait 45 ms an instance for a delayed acknowledgement.
    environment = {**os.environ, "TCP_NODELAY": "1", "PYTHONPATH": str(_PYTHON_PEERS.parent)}
    process = subprocess.Popen(
        receiver.command(folder, port),
        env=environment,
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    running = Running(receiver=receiver, process=process, folder=folder, port=port)
    deadline = time.monotonic() + _START_LIMIT_S
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{receiver.name} did not start")
        time.sleep(0.05)
    return running


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _node(listeners: int) -> Command:
    def command(folder: Path, port: int) -> Sequence[str]:
        keys = folder / "keys"
        python = [sys.executable, "-m", "appliance"]
        subprocess.run(
            [*python, "keys", "init", "--folder", str(keys)], check=True, capture_output=True
        )
        settings = folder / "coverslip.toml"
        settings.write_text(
            f"""
            [storage]
            root = {json.dumps(str(folder / "root"))}
            soft_free_gib = 0.2
            hard_free_gib = 0.1
            [keys]
            folder = {json.dumps(str(keys))}
            [node]
            ae_title = "{AE_TITLE}"
            host = "127.0.0.1"
            port = {port}
            listeners = {listeners}
            [[scanners]]
            name = "bench"
            ae_title = "{CALLING_AE_TITLE}"
            addresses = ["127.0.0.0/8"]
            maximum_associations = 64
            quiet_s = 3600
            """
        )
        return [*python, "--settings", str(settings), "node"]

    return command


def _writer(*promises: str) -> Command:
    return lambda folder, port: [
        sys.executable, str(_PYTHON_PEERS / "plain_writer.py"), str(port), str(folder), *promises,
    ]  # fmt: skip


def _storescp(*options: str) -> Command:
    return lambda folder, port: [
        "storescp", "+xa", *options, "-aet", AE_TITLE, "-od", str(folder), str(port),
    ]  # fmt: skip


def _orthanc(folder: Path, port: int) -> Sequence[str]:
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "DicomAet": AE_TITLE,
        "DicomPort": port,
        "MaximumPduLength": int(PDU),
        "HttpServerEnabled": False,
        "DicomAlwaysAllowStore": True,
        "OverwriteInstances": True,
        "StorageCompression": False,
        "Plugins": [],
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings))
    return ["Orthanc", str(file)]


def _pynetdicom(folder: Path, port: int) -> Sequence[str]:
    return [
        sys.executable, "-m", "pynetdicom", "storescp", str(port),
        "-aet", AE_TITLE, "-od", str(folder), "-q",
    ]  # fmt: skip


OURS = Receiver(
    name="coverslip",
    words="Coverslip as in production",
    command=_node(1),
    stores="root/spool/instances/*.dcm",
)
OURS_2 = Receiver(
    name="coverslip-2",
    words="Coverslip as in production, two listeners",
    command=_node(2),
    stores="root/spool/instances/*.dcm",
)
OURS_PLAIN = Receiver(
    name="coverslip-plain",
    words="Coverslip's wire, plain writer",
    command=_writer(),
    stores="stored/*.dcm",
)
OURS_HASH = Receiver(
    name="coverslip-hash",
    words="Coverslip's wire, and SHA-256",
    command=_writer("hash"),
    stores="stored/*.dcm",
)
OURS_FSYNC = Receiver(
    name="coverslip-fsync",
    words="Coverslip's wire, and fsync",
    command=_writer("fsync"),
    stores="stored/*.dcm",
)
STORESCP = Receiver(name="storescp", words="DCMTK storescp as it comes", command=_storescp())
STORESCP_B = Receiver(
    name="storescp+B",
    words="DCMTK storescp +B -pdu 131072",
    command=_storescp("+B", "-pdu", PDU),
)
STORESCP_FORK = Receiver(
    name="storescp+B-fork",
    words="DCMTK storescp --fork +B -pdu 131072",
    command=_storescp("--fork", "+B", "-pdu", PDU),
)
ORTHANC = Receiver(
    name="orthanc", words="Orthanc, PDU 131072", command=_orthanc, stores="storage/*/*/*"
)
PYNETDICOM = Receiver(name="pynetdicom", words="python -m pynetdicom storescp", command=_pynetdicom)

"""Real processes, killed where it hurts, and the commands as a person types them."""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.control import call
from appliance.daemon import open_journal
from appliance.errors import ApplianceError, ConfigError, PeerUnavailable
from appliance.settings import Settings, load
from appliance.storage import Root
from dicom_node import commands
from dicom_node.node import PORT_FILE, build
from dicom_node.send.sender import Endpoint, dicom_files, echo, send
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.objects import Image, write
from tests.dicom_node.raw import RawScanner
from tests.forge import forge

RUN = """
import argparse, sys
from pathlib import Path
from dicom_node import commands
parser = argparse.ArgumentParser()
parser.add_argument("--settings", type=Path)
commands.register(parser.add_subparsers())
parsed = parser.parse_args(sys.argv[1:])
sys.exit(parsed.run(parsed))
"""


def spawn(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments], stdout=subprocess.PIPE, text=True
    )


class NodeProcess:
    """A node daemon in a process of its own."""

    def __init__(
        self, folder: Path, *, quiet_s: float = 0.2, node: str = "", scanner: str = ""
    ) -> None:
        keys = folder / "keys"
        keys.mkdir()
        (keys / "seal.pub").write_bytes(
            X25519PrivateKey.generate()
            .public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        self.settings_file = folder / "coverslip.toml"
        self.settings_file.write_text(
            f"""
            [storage]
            root = {json.dumps(str(folder / "root"))}
            soft_free_gib = 0
            hard_free_gib = 0
            [keys]
            folder = {json.dumps(str(keys))}
            [node]
            host = "127.0.0.1"
            port = 0
            {node}
            [[scanners]]
            name = "scanner-1"
            ae_title = "SCANNER"
            addresses = ["127.0.0.0/8"]
            quiet_s = {quiet_s}
            {scanner}
            """
        )
        self.settings: Settings = load(self.settings_file)
        self.root = Root(folder / "root")
        self.port_file = self.root.zone("run") / PORT_FILE
        self.start()

    def start(self) -> None:
        self.port_file.unlink(missing_ok=True)
        self.process = forge().start(["--settings", str(self.settings_file), "node"])
        wait_until(self.port_file.exists, 30)
        wait_until(self._answers, 30)

    def _answers(self) -> bool:
        try:
            call(self.root.socket("node"), "status")
        except ApplianceError:
            return False
        return True

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(
            host="127.0.0.1",
            port=int(self.port_file.read_text()),
            called_ae_title="COVERSLIP",
            calling_ae_title="SCANNER",
        )

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    one = NodeProcess(tmp_path)
    yield one
    if one.process.poll() is None:
        one.end(signal.SIGKILL)


def test_a_receiver_killed_in_a_transfer_loses_nothing_it_answered_for(
    node: NodeProcess, tmp_path: Path
) -> None:
    base = Image()
    path = write(base, tmp_path / "scanner")
    send(dicom_files(path), node.endpoint)
    wire = RawScanner(node.endpoint.port)
    incoming = node.root.zone("spool") / "incoming"
    wire.start_store(write(Image(frame_bytes=200_000), tmp_path / "half"), share=0.5)
    wait_until(lambda: any(one.stat().st_size for one in incoming.glob("*/*.part")))
    node.end(signal.SIGKILL)
    wire.close()
    assert len(list(incoming.glob("*/*.part"))) == 1
    node.start()
    assert list(incoming.glob("*/*.part")) == []
    assert len(list((node.root.zone("spool") / "instances").iterdir())) == 1
    journal = open_journal(node.settings)
    wait_until(lambda: [one.stage for one in journal.board.snapshot()] == ["deidentify"], 20)
    journal._engine.dispose()


def test_a_second_node_on_one_spool_is_refused_and_harms_nothing(
    node: NodeProcess, tmp_path: Path
) -> None:
    wire = RawScanner(node.endpoint.port)
    wire.start_store(write(Image(frame_bytes=200_000), tmp_path / "half"), share=0.5)
    incoming = node.root.zone("spool") / "incoming"
    wait_until(lambda: len(list(incoming.glob("*/*.part"))) == 1)
    with pytest.raises(ConfigError, match="Another process receives"):
        build(node.settings, open_journal(node.settings)).start()
    assert len(list(incoming.glob("*/*.part"))) == 1
    wire.close()


def test_the_node_daemon_ends_in_order_on_sigterm(node: NodeProcess) -> None:
    echo(node.endpoint)
    assert node.end(signal.SIGTERM) == 0
    assert not node.root.socket("node").exists()
    log = (node.root.zone("log") / "node.log").read_text()
    assert "listening on port" in log
    assert "stopped" in log


def test_an_operator_asks_the_node_about_an_unknown_slide(node: NodeProcess) -> None:
    with pytest.raises(ApplianceError, match="knows no slide"):
        call(node.root.socket("node"), "force_complete", slide_id="nothing")


def test_an_object_under_an_impossible_uid_is_refused_and_its_words_go_nowhere(
    node: NodeProcess, tmp_path: Path
) -> None:
    wire = RawScanner(node.endpoint.port)
    path = write(Image(patient="CANARY^LOG"), tmp_path)
    wire.start_store(path, share=1.0, uid="not a uid")
    assert wire.status() == 0x0117
    wire.close()
    echo(node.endpoint)
    log = (node.root.zone("log") / "node.log").read_text()
    assert "An object from SCANNER was refused: its SOP Instance UID" in log
    assert "CANARY" not in log
    assert "not a uid" not in log


def test_peer_echo_and_send_work_as_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = spawn("peer", "--ae", "PACS", "--folder", str(tmp_path / "pacs"))
    try:
        assert peer.stdout is not None
        port = peer.stdout.readline().rpartition(":")[2].strip()
        to = ["--to", f"127.0.0.1:{port}", "--called", "PACS", "--calling", "SCANNER"]
        assert _type(["echo", *to]) == 0
        images = [Image(), Image(), Image(sop_class="1.2.840.10008.5.1.4.1.1.66.4")]
        for image in images:
            write(image, tmp_path / "slide")
        (tmp_path / "slide" / "readme.txt").write_text("not DICOM")
        assert _type(["send", str(tmp_path / "slide"), *to]) == 0
        written = {one.name for one in (tmp_path / "pacs").glob("*.dcm")}
        assert written == {f"{image.uid}.dcm" for image in images}
    finally:
        peer.terminate()
        assert peer.wait(20) == 0
        peer.stdout.close()  # type: ignore[union-attr]
    said = capsys.readouterr().out
    assert "PACS answers in" in said
    assert "3 objects" in said


def _type(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    parsed = parser.parse_args(arguments)
    return int(parsed.run(parsed))


def test_a_conflicting_object_is_kept_beside_the_first_at_the_peer(tmp_path: Path) -> None:
    peer = spawn("peer", "--folder", str(tmp_path / "pacs"))
    try:
        assert peer.stdout is not None
        port = int(peer.stdout.readline().rpartition(":")[2])
        endpoint = Endpoint(
            host="127.0.0.1", port=port, called_ae_title="PACS", calling_ae_title="COVERSLIP"
        )
        image = Image()
        for marker in (0, 1, 0):
            path = write(Image(uid=image.uid, study=image.study, marker=marker), tmp_path / "s")
            send(dicom_files(path), endpoint)
        assert len(list((tmp_path / "pacs").glob("*.dcm"))) >= 2
    finally:
        peer.kill()
        peer.wait(20)
        peer.stdout.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("to", ["nowhere", "host:", "host:port"])
def test_a_wrong_address_is_one_clear_sentence(to: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        _type(["echo", "--to", to])


def test_a_folder_without_dicom_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ApplianceError, match="no DICOM file"):
        _type(["send", str(tmp_path), "--to", "127.0.0.1:1"])


def test_sending_stops_when_the_peer_dies(tmp_path: Path) -> None:
    peer = spawn("peer", "--folder", str(tmp_path / "pacs"))
    assert peer.stdout is not None
    port = int(peer.stdout.readline().rpartition(":")[2])
    endpoint = Endpoint(
        host="127.0.0.1", port=port, called_ae_title="PACS", calling_ae_title="COVERSLIP"
    )
    for _ in range(2):
        write(Image(frame_bytes=2_000_000), tmp_path / "slide")

    def kill(_n_sent: int, _n_bytes: int) -> None:
        os.kill(peer.pid, signal.SIGKILL)
        peer.wait()

    with pytest.raises(PeerUnavailable):
        send(dicom_files(tmp_path / "slide"), endpoint, kill)
    peer.stdout.close()

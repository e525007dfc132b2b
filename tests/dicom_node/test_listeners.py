"""Several processes receive into one spool, and any of them may die."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import JPEGBaseline8Bit

from appliance.errors import ConfigError, TransientError
from dicom_node.contexts import VL_WHOLE_SLIDE_MICROSCOPY
from dicom_node.receive.spool import Spool
from dicom_node.send.sender import dicom_files, send
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.objects import Image, write
from tests.dicom_node.raw import RawScanner
from tests.dicom_node.test_processes import NodeProcess


def spool_at(folder: Path) -> Spool:
    return Spool(folder, soft_free_bytes=0, hard_free_bytes=0, free_bytes=lambda _: 1)


RECEIVE = """
import sys
from pathlib import Path
from dicom_node.receive.spool import Spool
spool = Spool(Path(sys.argv[1]), soft_free_bytes=0, hard_free_bytes=0, free_bytes=lambda _: 1)
spool.join()
spool.begin_association("one", scanner="SCANNER")
spool.open(association="one", scanner="SCANNER").write(b"half")
print("ready", flush=True)
sys.stdin.read()
"""


def receiving_process(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", RECEIVE, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_what_one_process_receives_every_process_sees(tmp_path: Path) -> None:
    node = spool_at(tmp_path)
    node.own()
    other = receiving_process(tmp_path)
    assert node.open_associations() == {"one": "SCANNER"}
    (coming,) = node.in_flight()
    assert (coming.association, coming.scanner, coming.instance) == ("one", "SCANNER", None)
    assert node.sweep_incoming() == 0
    end(other)
    assert node.sweep_incoming() == 1
    assert node.open_associations() == {}
    assert list(node.incoming.iterdir()) == []
    node.disown()


def test_a_node_waits_for_the_listeners_of_the_one_that_died(tmp_path: Path) -> None:
    other = receiving_process(tmp_path)
    node = spool_at(tmp_path)
    with pytest.raises(TransientError, match="earlier node"):
        node.own(limit_s=0.1)
    end(other)
    node.own(limit_s=0.1)
    assert list(node.incoming.iterdir()) == []
    with pytest.raises(ConfigError, match="Another process"):
        spool_at(tmp_path).own()
    node.disown()


def test_an_object_counts_as_coming_until_its_transfer_is_closed(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    spool.join()
    transfer = spool.open(association="one", scanner="SCANNER")
    transfer.write(b"whole")
    transfer.make_durable()
    published = spool.publish(transfer)
    assert published.read_bytes() == b"whole"
    assert len(spool.in_flight()) == 1
    spool.close(transfer)
    assert spool.in_flight() == ()
    assert published.read_bytes() == b"whole"
    spool.leave()


def test_content_that_was_damaged_is_healed_when_it_comes_again(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    spool.join()
    transfer = spool.open(association="one", scanner="SCANNER")
    transfer.write(b"whole")
    spool.path(transfer.sha256).write_bytes(b"whol")
    transfer.make_durable()
    assert spool.publish(transfer).read_bytes() == b"whole"
    spool.close(transfer)
    spool.leave()


class Site:
    """A node with three listeners."""

    def __init__(self, folder: Path) -> None:
        self.node = NodeProcess(
            folder,
            node="listeners = 3\nmaximum_associations = 200\nconnections_per_address = 200",
            scanner="maximum_associations = 200\nassociations_per_minute = 1000",
        )
        self.incoming = folder / "root" / "spool" / "incoming"
        wait_until(lambda: len(self.folders()) == 3, limit_s=30.0)

    def folders(self) -> list[Path]:
        return [one for one in self.incoming.iterdir() if one.is_dir()]

    def listeners(self) -> list[int]:
        """Process ids of the children that receive."""
        pid = self.node.process.pid
        threads = Path(f"/proc/{pid}/task").glob("*/children")
        children = [child for one in threads for child in one.read_text().split()]
        return sorted(int(child) for child in children if _is_listener(child))


def _is_listener(pid: str) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def _busy(site: Site, n_folders: int) -> Callable[[], bool]:
    def look() -> bool:
        return sum(any(one.glob("*.open")) for one in site.folders()) >= n_folders

    return look


def test_connections_are_spread_and_a_dead_listener_harms_only_its_own(tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        wires: list[RawScanner] = []
        while not _busy(site, 3)():
            assert len(wires) < 190, "one process took every connection"
            wires.append(RawScanner(site.node.endpoint.port))
            wires[-1].associate(VL_WHOLE_SLIDE_MICROSCOPY, JPEGBaseline8Bit)
        killed, *_ = site.listeners()
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: killed not in site.listeners() and len(site.listeners()) == 2, 30.0)
        wait_until(lambda: len(site.folders()) == 3, limit_s=30.0)
        for wire in wires:
            wire.close()
        send(dicom_files(write(Image(), tmp_path / "slide")), site.node.endpoint)
        assert "a listener died" in (tmp_path / "root" / "log" / "node.log").read_text()
    finally:
        site.node.end(signal.SIGTERM)


def test_the_listeners_end_when_the_node_is_killed_and_the_next_one_starts(tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        before = site.listeners()
        assert len(before) == 2
        site.node.end(signal.SIGKILL)
        site.node.start()
        wait_until(lambda: len(site.folders()) == 3, limit_s=30.0)
        assert not set(before) & set(site.listeners())
    finally:
        site.node.end(signal.SIGTERM)

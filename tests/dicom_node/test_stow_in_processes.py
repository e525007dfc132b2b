"""STOW-RS in as it runs: a process beside the node, killed where it hurts; Orthanc sends to it."""

import hashlib
import json
import math
import os
import random
import signal
import sqlite3
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from appliance.control import call
from appliance.daemon import open_journal
from appliance.settings import ServerTls
from dicom_node.dicomweb.pace import STANDARD
from dicom_node.dicomweb.process import PORT_FILE
from tests.dicom_node.conftest import Hospital, wait_until
from tests.dicom_node.objects import Image, data_set_offset, write
from tests.dicom_node.pacs import issue_certificates, write_filed
from tests.dicom_node.test_processes import NodeProcess, spawn
from tests.dicom_node.web_scanner import (
    TOKEN,
    WebScanner,
    multipart,
    serving,
    stored_uids,
    token_file,
)
from tests.line.orthanc import Orthanc, running_orthanc


class Site:
    """A node daemon with STOW-RS, and its scanner."""

    def __init__(self, folder: Path, *, quiet_s: float = 0.2) -> None:
        token = token_file(folder, TOKEN)
        self.node = NodeProcess(
            folder,
            quiet_s=quiet_s,
            node='maximum_associations = 100\n[dicomweb]\nhost = "127.0.0.1"\nport = 0',
            scanner=f"token_file = {json.dumps(str(token))}\nassociations_per_minute = 100000",
        )
        self.spool = folder / "root" / "spool"

    @property
    def scanner(self) -> WebScanner:
        return WebScanner(int((self.node.root.zone("run") / PORT_FILE).read_text()))

    def log(self) -> str:
        return (self.node.root.zone("log") / "node.log").read_text()

    def web_process(self) -> int | None:
        pid = self.node.process.pid
        threads = Path(f"/proc/{pid}/task").glob("*/children")
        children = [int(child) for one in threads for child in one.read_text().split()]
        return next((child for child in children if _is_web(child)), None)

    def kill_web(self) -> None:
        """Kill the process, and wait until the node has started another."""
        killed = self.web_process()
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: self.web_process() not in (None, killed), 30)

    def partial_files(self) -> list[Path]:
        return sorted((self.spool / "incoming").glob("*/*.part"))

    def receipts(self) -> dict[str, list[str]]:
        """Give the hashes of the receipts by SOP Instance UID."""
        found: dict[str, list[str]] = {}
        database = self.node.root.zone("receipts") / "receipts.db"
        with closing(sqlite3.connect(database)) as connection:
            for uid, sha256 in connection.execute("SELECT sop_instance_uid, sha256 FROM instance"):
                found.setdefault(uid, []).append(sha256)
        return found


def _is_web(pid: int) -> bool:
    """Whether a child of a node without further listeners is the endpoint."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path)
    yield one
    if one.node.process.poll() is None:
        one.node.end(signal.SIGTERM)


def test_a_slide_by_web_goes_complete_on_the_line(
    site: Site, tmp_path: Path, slide_images: list[Image]
) -> None:
    paths = [write(one, tmp_path / "scanner") for one in slide_images]
    assert site.scanner.store(*paths).status_code == 200
    journal = open_journal(site.node.settings)
    wait_until(lambda: [one.stage for one in journal.board.snapshot()] == ["deidentify"], 20)
    journal._engine.dispose()
    assert "STOW-RS on port" in site.log()
    assert "STOW-RS on port" in call(site.node.root.socket("node"), "status")["words"]


def test_an_endpoint_killed_in_a_transfer_loses_nothing_it_answered_for(
    site: Site, tmp_path: Path
) -> None:
    kept = Image()
    path = write(kept, tmp_path / "scanner")
    assert stored_uids(site.scanner.store(path)) == [kept.uid]
    body = multipart(write(Image(frame_bytes=200_000), tmp_path / "half").read_bytes())
    with site.scanner.raw(length=len(body)) as wire:
        wire.sendall(body[: len(body) // 2])
        wait_until(lambda: any(one.stat().st_size for one in site.partial_files()))
        site.kill_web()
    wait_until(lambda: site.partial_files() == [], 20)
    assert site.receipts() == {kept.uid: [_data_set_sha256(path)]}
    assert "a STOW-RS endpoint died and is started again" in site.log()
    assert site.scanner.post(body).status_code == 200


def _data_set_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()[data_set_offset(path) :]).hexdigest()


@pytest.fixture
def patient_site(tmp_path: Path) -> Iterator[Site]:
    """A site that lets slides lie, so that only the receiving works."""
    one = Site(tmp_path, quiet_s=600)
    yield one
    one.node.end(signal.SIGTERM)


def test_whatever_was_answered_for_is_there_after_kills_at_random_moments(
    patient_site: Site, tmp_path: Path
) -> None:
    site, chance = patient_site, random.Random(3)  # noqa: S311  a test's choice
    images = {image.uid: write(image, tmp_path / "s") for image in (Image() for _ in range(400))}
    names = list(images)
    senders = [Sending(site.scanner, images, names[part::2]) for part in range(2)]
    for sender in senders:
        sender.start()
    for _ in range(5):
        n_before = sum(len(one.answered) for one in senders)
        wait_until(lambda n=n_before: sum(one.n_answered_or_all for one in senders) > n, 30)
        threading.Event().wait(chance.uniform(0, 0.15))
        site.kill_web()
    for sender in senders:
        sender.end()
    receipts = site.receipts()
    for uid in senders[0].answered | senders[1].answered:
        assert receipts[uid] == [_data_set_sha256(images[uid])]
        stored = site.spool / "instances" / f"{receipts[uid][0]}.dcm"
        assert _data_set_sha256(stored) == stored.stem
    wait_until(lambda: site.partial_files() == [], 20)


class Sending(threading.Thread):
    """Sends objects again and again, some at a time, and remembers what was answered for."""

    def __init__(self, scanner: WebScanner, images: dict[str, Path], names: list[str]) -> None:
        super().__init__()
        self.answered: set[str] = set()
        self._scanner, self._images, self._names = scanner, images, names
        self._done = threading.Event()

    def run(self) -> None:
        left = self._names
        while left and not self._done.is_set():
            uids, left = left[:2], left[2:]
            try:
                answer = self._scanner.store(*[self._images[uid] for uid in uids])
            except httpx.TransportError:
                left = [*left, *uids]
                continue
            self.answered.update(stored_uids(answer))

    @property
    def n_answered_or_all(self) -> float:
        return len(self.answered) if self.is_alive() else math.inf

    def end(self) -> None:
        self._done.set()
        self.join()


def test_the_endpoint_ends_when_the_node_is_killed_and_starts_with_the_next(
    site: Site, tmp_path: Path
) -> None:
    body = multipart(write(Image(frame_bytes=200_000), tmp_path / "half").read_bytes())
    assert site.scanner.post(multipart()).status_code == 400
    before = site.web_process()
    with site.scanner.raw(length=len(body)) as wire:
        wire.sendall(body[: len(body) // 2])
        wait_until(lambda: len(site.partial_files()) == 1)
        site.node.end(signal.SIGKILL)
        site.node.start()
    assert site.partial_files() == []
    wait_until(lambda: site.web_process() not in (None, before), 30)
    assert site.scanner.post(body).status_code == 200


def test_the_endpoint_ends_in_order_with_the_node(site: Site) -> None:
    assert site.scanner.post(multipart()).status_code == 400
    pid = site.web_process()
    assert site.node.end(signal.SIGTERM) == 0
    assert not Path(f"/proc/{pid}").exists()
    assert "died" not in site.log()


def test_a_node_that_is_told_to_stop_drops_what_is_half_received(
    site: Site, tmp_path: Path
) -> None:
    body = multipart(write(Image(frame_bytes=200_000), tmp_path / "half").read_bytes())
    with site.scanner.raw(length=len(body)) as wire:
        wire.sendall(body[: len(body) // 2])
        wait_until(lambda: len(site.partial_files()) == 1)
        assert site.node.end(signal.SIGTERM) == 0
    assert site.partial_files() == []


def test_a_token_file_that_is_open_to_all_stops_the_node_with_a_sentence(site: Site) -> None:
    assert site.node.end(signal.SIGTERM) == 0
    (site.node.settings_file.parent / "token").chmod(0o644)
    process = spawn("--settings", str(site.node.settings_file), "node")
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert TOKEN not in output


@pytest.fixture
def orthanc(require_tool: Callable[[str], str], site: Site, tmp_path: Path) -> Iterator[Orthanc]:
    yield from _orthanc(require_tool, tmp_path, f"{site.scanner.base}/")


def _orthanc(
    require_tool: Callable[[str], str], folder: Path, url: str, **more: object
) -> Iterator[Orthanc]:
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    server = {"Url": url, "HttpHeaders": {"Authorization": f"Bearer {TOKEN}"}}
    settings = {
        "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True, "Servers": {"coverslip": server}},
        **more,
    }
    with running_orthanc(require_tool("Orthanc"), folder / "orthanc", "SCANNER", settings) as one:
        yield one


def _ask(orthanc: Orthanc, path: str, content: bytes) -> dict[str, object]:
    request = urllib.request.Request(f"{orthanc._base}{path}", data=content, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.loads(answer.read()))


def _stow(orthanc: Orthanc, paths: list[Path]) -> dict[str, object]:
    resources = [_ask(orthanc, "/instances", path.read_bytes())["ID"] for path in paths]
    order = json.dumps({"Resources": resources, "Synchronous": True}).encode()
    return _ask(orthanc, "/dicom-web/servers/coverslip/stow", order)


def test_orthanc_sends_a_slide_by_its_dicomweb_client(
    site: Site, orthanc: Orthanc, tmp_path: Path, slide_images: list[Image]
) -> None:
    paths = [write_filed(one, tmp_path / "scanner") for one in slide_images]
    assert _stow(orthanc, paths)["InstancesCount"] == str(len(paths))
    assert set(site.receipts()) == {image.uid for image in slide_images}
    journal = open_journal(site.node.settings)
    wait_until(lambda: [one.stage for one in journal.board.snapshot()] == ["deidentify"], 20)
    journal._engine.dispose()


def test_orthanc_sends_over_tls(
    hospital: Hospital, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    files = issue_certificates(tmp_path / "tls")
    tls = ServerTls(certificate=files.certificate, key=files.key, clients="none")
    more = {"HttpsVerifyPeers": True, "HttpsCACertificates": str(files.ca)}
    path = write_filed(Image(frame_bytes=50_000), tmp_path / "scanner")
    with serving(hospital, tmp_path, limits=STANDARD, tls=tls) as scanner:
        url = f"https://localhost:{scanner.port}/"
        for orthanc in _orthanc(require_tool, tmp_path, url, **more):
            _stow(orthanc, [path])
    (stored,) = hospital.stored_files()
    assert _data_set_sha256(stored) == stored.stem

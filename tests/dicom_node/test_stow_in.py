"""STOW-RS in: what the answers promise, over real sockets, with clients that we did not write."""

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from dicomweb_client.session_utils import create_session
from pydicom.uid import generate_uid

from dicom_node.dicomweb.pace import STANDARD
from dicom_node.receive.transfer import Transfer
from dicom_node.send.sender import outgoing, send
from tests.dicom_node.conftest import Hospital, wait_until
from tests.dicom_node.objects import CT_IMAGE, Image, data_set_offset, write
from tests.dicom_node.web_scanner import (
    BOUNDARY,
    OTHER_TOKEN,
    TOKEN,
    WebScanner,
    items,
    multipart,
    reasons,
    rest_of,
    serving,
    stored_uids,
)


@pytest.fixture
def scanner(hospital: Hospital, tmp_path: Path):
    with serving(hospital, tmp_path) as one:
        yield one


def client(scanner: WebScanner) -> DICOMwebClient:
    session = create_session()
    session.headers.update(scanner.headers)
    return DICOMwebClient(scanner.base, session=session)


def test_an_object_that_is_named_as_stored_is_there_whole_and_receipted(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    image = Image()
    path = write(image, tmp_path / "scanner")
    answer = scanner.store(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert stored_uids(answer) == [image.uid]
    assert items(answer, "00081199")[0]["00081150"]["Value"] == [image.sop_class]
    (stored,) = hospital.stored_files()
    sent = path.read_bytes()[data_set_offset(path) :]
    assert stored.read_bytes()[data_set_offset(stored) :] == sent
    assert stored.stem == hashlib.sha256(sent).hexdigest()
    (receipt,) = hospital.node.receipts.of_study(image.study)
    assert receipt.receipt.sha256 == stored.stem
    assert receipt.receipt.calling_ae_title == "SCANNER"
    assert hospital.partial_files() == []
    assert stored.stat().st_mode & 0o077 == 0


def test_a_slide_by_dicomweb_client_goes_complete_on_the_line(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path, slide_images: list[Image]
) -> None:
    paths = [write(one, tmp_path / "scanner") for one in slide_images]
    answer = client(scanner).store_instances([pydicom.dcmread(path) for path in paths])
    assert len(answer.ReferencedSOPSequence) == len(paths)
    assert "FailedSOPSequence" not in answer
    hospital.settle()
    hospital.work()
    assert hospital.slide().stage == "deidentify"


@pytest.mark.parametrize("name", ["cmu_jpeg_native_bot", "cmu_half_j2k_lossless",
                                  "cmu_jpeg_concatenated3"])  # fmt: skip
def test_real_slides_are_kept_byte_by_byte(
    hospital: Hospital, scanner: WebScanner, shared_data: Path, name: str
) -> None:
    paths = sorted((shared_data / "dicom_converted" / name).glob("*.dcm"))
    answer = scanner.store(*paths)
    assert answer.status_code == 200
    sent = {hashlib.sha256(one.read_bytes()[data_set_offset(one) :]).hexdigest() for one in paths}
    assert {one.stem for one in hospital.stored_files()} == sent
    hospital.settle()
    hospital.work()
    assert hospital.slide().stage == "deidentify"


@pytest.mark.parametrize("web_first", [True, False])
def test_the_same_object_the_other_way_is_success_and_no_work(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path, *, web_first: bool
) -> None:
    path = write(Image(), tmp_path / "scanner")
    both = [
        lambda: scanner.store(path).raise_for_status(),
        lambda: send([outgoing(path)], hospital.endpoint),
    ]
    first, second = both if web_first else reversed(both)
    first()
    hospital.settle()
    hospital.work()
    second()
    hospital.settle()
    assert len(hospital.stored_files()) == 1
    assert hospital.slide().revision == 1


def test_a_slide_may_come_half_by_web_and_half_by_dimse(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path, slide_images: list[Image]
) -> None:
    paths = [write(one, tmp_path / "scanner") for one in slide_images]
    assert scanner.store(*paths[:2]).status_code == 200
    send([outgoing(path) for path in paths[2:]], hospital.endpoint)
    hospital.settle()
    hospital.work()
    assert hospital.slide().stage == "deidentify"


def test_one_bad_object_among_good_ones_fails_alone(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    good = [Image(), Image()]
    contents = [write(one, tmp_path).read_bytes() for one in good]
    cut = Image()
    broken = write(cut, tmp_path).read_bytes()[:-40]
    answer = scanner.post(multipart(contents[0], broken, contents[1]))
    assert answer.status_code == 202
    assert stored_uids(answer) == [one.uid for one in good]
    (failed,) = items(answer, "00081198")
    assert failed["00081155"]["Value"] == [cut.uid]
    assert reasons(answer) == [0xC000]
    assert len(hospital.stored_files()) == 2
    assert hospital.partial_files() == []


def test_what_is_no_pathology_image_or_no_known_syntax_is_refused_by_its_reason(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    ct = write(Image(sop_class=CT_IMAGE), tmp_path).read_bytes()
    odd = write(Image(), tmp_path).read_bytes()
    odd = odd.replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.59", 1)
    answer = scanner.post(multipart(ct, odd))
    assert (answer.status_code, reasons(answer)) == (409, [0x0122, 0xC122])
    assert hospital.stored_files() == hospital.partial_files() == []


@pytest.mark.parametrize("content", [b"", b"no DICOM" * 40, b"\0" * 128 + b"DICM"])
def test_a_part_that_is_no_dicom_file_fails_without_a_name(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path, content: bytes
) -> None:
    good = write(Image(), tmp_path).read_bytes()
    answer = scanner.post(multipart(content, good))
    assert answer.status_code == 202
    assert [one["00081197"]["Value"] for one in items(answer, "0008119A")] == [[0xC000]]
    assert scanner.post(multipart(content)).status_code == 409
    assert len(hospital.stored_files()) == 1


def test_a_ct_that_hides_under_pathology_meta_information_is_refused(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    inside = write(Image(sop_class=CT_IMAGE), tmp_path)
    outside = write(Image(), tmp_path)
    head = outside.read_bytes()[: data_set_offset(outside)]
    answer = scanner.post(multipart(head + inside.read_bytes()[data_set_offset(inside) :]))
    assert (answer.status_code, reasons(answer)) == (409, [0xA900])
    assert hospital.stored_files() == []


def test_instances_of_another_study_than_the_path_names_are_refused(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    mine = Image()
    other = replace(mine, uid=generate_uid(), study=generate_uid())
    answer = scanner.store(
        write(mine, tmp_path), write(other, tmp_path), path=f"/studies/{mine.study}"
    )
    assert answer.status_code == 202
    assert stored_uids(answer) == [mine.uid]
    assert reasons(answer) == [0xA900]
    assert len(hospital.stored_files()) == 1


def test_a_client_that_reads_xml_only_is_answered_in_xml(
    scanner: WebScanner, tmp_path: Path
) -> None:
    image = Image()
    session = create_session()
    session.headers.update(scanner.headers | {"Accept": "application/dicom+xml"})
    answer = DICOMwebClient(scanner.base, session=session).store_instances(
        [pydicom.dcmread(write(image, tmp_path))]
    )
    assert answer.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image.uid


def test_a_body_in_chunks_of_odd_length_is_put_together(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    body = multipart(*[write(Image(), tmp_path).read_bytes() for _ in range(2)])
    pieces = [body[i : i + 997] for i in range(0, len(body), 997)]
    assert scanner.post(iter(pieces)).status_code == 200
    assert len(hospital.stored_files()) == 2


def test_boundaries_and_what_looks_like_them_inside_pixel_data_are_pixel_data(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    image = Image(native=True, n_frames=400)
    content = bytearray(write(image, tmp_path).read_bytes())
    lures = [f"\r\n--{BOUNDARY[:-1]}".encode(), f"--{BOUNDARY}\r\n".encode(),
             f"\r\n--{BOUNDARY}x".encode(), f"\r\n--{BOUNDARY}-x".encode(), b"\r\n--"]  # fmt: skip
    at = len(content) - 70_000
    for number in range(300):
        lure = lures[number % len(lures)]
        content[at : at + len(lure)] = lure
        at += 211
    body = multipart(bytes(content))
    answer = scanner.post(iter([body[i : i + 4093] for i in range(0, len(body), 4093)]))
    assert answer.status_code == 200
    (stored,) = hospital.stored_files()
    assert stored.read_bytes().endswith(bytes(content[-71_000:]))


def test_a_body_without_its_closing_boundary_stores_only_what_came_whole(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    whole, open_ended = Image(), Image()
    contents = [write(one, tmp_path).read_bytes() for one in (whole, open_ended)]
    body = multipart(*contents).removesuffix(f"\r\n--{BOUNDARY}--\r\n".encode())
    answer = scanner.post(body)
    assert answer.status_code == 202
    assert stored_uids(answer) == [whole.uid]
    assert items(answer, "00081198")[0]["00081155"]["Value"] == [open_ended.uid]
    assert scanner.post(multipart(contents[0])[:-30]).status_code == 400
    assert len(hospital.stored_files()) == 1
    assert hospital.partial_files() == []


@pytest.mark.parametrize(
    "body", [b"", b"no multipart body", b"{}", multipart(), f"--{BOUNDARY}".encode()]
)
def test_a_malformed_body_is_said_to_be_one(scanner: WebScanner, body: bytes) -> None:
    assert scanner.post(body).status_code == 400


def test_a_content_length_that_is_too_long_ends_in_nothing_kept(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    body = multipart(write(Image(frame_bytes=100_000), tmp_path).read_bytes())[:-5]
    with scanner.raw(length=len(body) + 100_000) as wire:
        wire.sendall(body)
        wait_until(lambda: len(hospital.partial_files()) == 1)
    wait_until(lambda: hospital.partial_files() == [])
    assert hospital.stored_files() == []
    wait_until(lambda: not hospital.node.scp.open_associations())


def test_a_content_length_that_is_too_short_cuts_the_body_off(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    body = multipart(write(Image(), tmp_path).read_bytes())
    with scanner.raw(length=len(body) - 40, extra=["Connection: close"]) as wire:
        wire.sendall(body)
        assert rest_of(wire).startswith(b"HTTP/1.1 400")
    assert hospital.stored_files() == hospital.partial_files() == []


def test_requests_follow_each_other_on_one_connection(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    with httpx.Client(headers=scanner.headers) as connection:
        for _ in range(3):
            answer = connection.post(
                f"{scanner.base}/studies",
                content=multipart(write(Image(), tmp_path).read_bytes()),
                headers={"Content-Type": f"multipart/related; boundary={BOUNDARY}"},
            )
            assert answer.status_code == 200
            assert "server" not in answer.headers
    assert len(hospital.stored_files()) == 3


def test_a_client_that_asks_first_is_told_to_go_on(scanner: WebScanner, tmp_path: Path) -> None:
    body = multipart(write(Image(), tmp_path).read_bytes())
    extra = ["Expect: 100-continue", "Connection: close"]
    with scanner.raw(length=len(body), extra=extra) as wire:
        assert wire.recv(100).startswith(b"HTTP/1.1 100")
        wire.sendall(body)
        assert rest_of(wire).startswith(b"HTTP/1.1 200")


def test_below_the_soft_limit_a_request_is_refused_before_its_body(
    hospital: Hospital, scanner: WebScanner
) -> None:
    hospital.disk.free = int(1.5 * (1 << 30))
    with scanner.raw(length=1 << 40, extra=["Expect: 100-continue"]) as wire:
        said = wire.recv(4096)
    assert said.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 60" in said
    wait_until(lambda: any("free disk space is below" in one for one in hospital.texts()))


def test_a_disk_that_fills_is_a_reason_for_each_instance(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    body = multipart(*[write(Image(), tmp_path).read_bytes() for _ in range(2)])
    half = len(body) // 2 + 2000
    with scanner.raw(length=len(body), extra=["Connection: close"]) as wire:
        wire.sendall(body[:half])
        wait_until(lambda: len(hospital.stored_files()) == 1)
        hospital.disk.free = 1 << 20
        wire.sendall(body[half:])
        said = rest_of(wire)
    assert said.startswith(b"HTTP/1.1 202")
    assert b"[42752]" in said
    assert hospital.partial_files() == []


def test_a_file_system_without_room_is_a_reason_too(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.receive.transfer.SYNC_EVERY_BYTES", 100_000)
    body = multipart(write(Image(frame_bytes=200_000), tmp_path).read_bytes())
    seen: list[int] = []

    def filling(folder: Path) -> int:
        seen.append(sum(one.stat().st_size for one in folder.rglob("*.part")))
        return (1 << 40) if max(seen) < 1_000_000 else 0

    monkeypatch.setattr(type(hospital.disk), "__call__", lambda _self, folder: filling(folder))
    answer = scanner.post(body)
    assert (answer.status_code, reasons(answer)) == (409, [0xA700])
    assert max(seen) < 1_500_000
    assert hospital.stored_files() == hospital.partial_files() == []


def test_neither_journal_nor_log_name_the_patient_or_a_uid(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    caplog.set_level("WARNING", "httpx")  # the test's own client
    image = Image(container="CANARY-CONTAINER")
    content = write(image, tmp_path).read_bytes()
    cut = Image(study=image.study)
    scanner.post(multipart(content, write(cut, tmp_path).read_bytes()[:900]))
    scanner.post(multipart(content, kind="text/CANARY"), path=f"/studies/{image.study}")
    scanner.post(f"--{BOUNDARY}\r\nCanary Patient\x01: x\r\n".encode())
    scanner.post(multipart(content), Authorization="Bearer CANARY-TOKEN")
    hospital.settle()
    hospital.work()
    journal = b"".join(path.read_bytes() for path in (hospital.folder / "root/journal").iterdir())
    for canary in ("Canary", "CANARY", image.uid, image.study, cut.uid, TOKEN, OTHER_TOKEN):
        assert canary.encode() not in journal
        assert canary not in caplog.text
    assert {record.name.partition(".")[0] for record in caplog.records} <= {
        "appliance",
        "dicom_node",
    }


def test_a_bug_that_a_request_meets_ends_that_request_only(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    path = write(Image(), tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("dicom_node.receive.spool.Spool.publish", _stumble)
        answer = scanner.store(path)
    assert answer.status_code == 500
    assert "Canary" not in answer.text + caplog.text
    assert "ZeroDivisionError at" in caplog.text
    assert hospital.partial_files() == []
    assert scanner.store(path).status_code == 200


def _stumble(*_: object) -> Path:
    raise ZeroDivisionError("Canary^Patient")


def test_a_disk_that_stands_still_stops_its_client_and_nobody_else(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = threading.Event()
    write_really = Transfer.write

    def write_later(transfer: Transfer, fragment: bytes | memoryview) -> None:
        assert len(fragment) < 10_000 or moves.wait(30)
        write_really(transfer, fragment)

    monkeypatch.setattr(Transfer, "write", write_later)
    content, length = _large_object(tmp_path, n_bytes=200 << 20)
    with serving(hospital, tmp_path, limits=STANDARD) as scanner:
        with scanner.raw(length=length, extra=["Connection: close"]) as wire:
            wire.settimeout(1.0)
            before = _peak_bytes(reset=True)
            assert _send_until_stopped(wire, content) < 40 << 20
            assert _peak_bytes() - before < 10 << 20
            assert scanner.store(write(Image(), tmp_path)).status_code == 200
            moves.set()
        wait_until(lambda: hospital.partial_files() == [])


def _send_until_stopped(wire: socket.socket, content: Iterator[bytes]) -> int:
    n_sent = 0
    for piece in content:
        try:
            n_sent += wire.send(piece)
        except TimeoutError:
            return n_sent
    pytest.fail("the endpoint took the whole body although its disk stood still")


def test_a_large_streamed_object_needs_no_more_memory_than_a_small_one(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path
) -> None:
    """The endpoint shares this process, so that its peak is read from our own."""
    small = multipart(write(Image(native=True, n_frames=4), tmp_path).read_bytes())
    scanner.post(small).raise_for_status()
    content, length = _large_object(tmp_path, n_bytes=300 << 20)
    before = _peak_bytes(reset=True)
    scanner.post(content, Content_Length=str(length)).raise_for_status()
    assert _peak_bytes() - before < 40 << 20
    assert max(one.stat().st_size for one in hospital.stored_files()) > 300 << 20


def _large_object(folder: Path, *, n_bytes: int) -> tuple[Iterator[bytes], int]:
    """Give the body of a request with one native object, made up as it is sent."""
    n_frames = n_bytes // (8 * 8 * 3)
    image = Image(native=True, n_frames=1)
    content = write(image, folder).read_bytes()
    dataset = pydicom.dcmread(folder / f"{image.uid}-0.dcm")
    dataset.NumberOfFrames = n_frames
    dataset.save_as(folder / "large", enforce_file_format=True)
    content = (folder / "large").read_bytes()
    pixels = n_frames * 8 * 8 * 3
    head = content[: -8 * 8 * 3 - 4] + pixels.to_bytes(4, "little")
    start = multipart(b"")[: -len(f"\r\n--{BOUNDARY}--\r\n")] + head
    end = f"\r\n--{BOUNDARY}--\r\n".encode()

    def pieces():
        yield start
        block, left = bytes(1 << 20), pixels
        while left:
            piece = block[: min(left, len(block))]
            yield piece
            left -= len(piece)
        yield end

    return pieces(), len(start) + pixels + len(end)


def _peak_bytes(*, reset: bool = False) -> int:
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

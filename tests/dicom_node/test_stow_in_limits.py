"""What clients that stall, flood or lie cannot do to the endpoint and to the others."""

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from dicom_node.dicomweb.answer import DICOM_JSON
from dicom_node.dicomweb.body import Body
from dicom_node.dicomweb.intake import Intake
from dicom_node.dicomweb.pace import Limits
from dicom_node.dicomweb.request import Admitted
from dicom_node.dicomweb.taking import Taking
from tests.dicom_node.conftest import Hospital, wait_until
from tests.dicom_node.objects import Image, write
from tests.dicom_node.web_scanner import (
    BOUNDARY,
    OTHER_TOKEN,
    WebScanner,
    multipart,
    reasons,
    rest_of,
    serving,
    stored_uids,
)


@pytest.fixture
def scanner(hospital: Hospital, tmp_path: Path):
    with serving(hospital, tmp_path, maximum_requests=2) as one:
        yield one


@pytest.fixture
def body(tmp_path: Path) -> bytes:
    return multipart(write(Image(), tmp_path).read_bytes())


def connect(scanner: WebScanner) -> socket.socket:
    return socket.create_connection(("127.0.0.1", scanner.port), timeout=20)


@pytest.mark.parametrize("start", [b"", b"POST /stu", b"POST /studies HTTP/1.1\r\nHost: x\r\nX"])
def test_a_client_that_never_ends_its_headers_is_dropped(scanner: WebScanner, start: bytes) -> None:
    with connect(scanner) as wire:
        wire.sendall(start)
        assert rest_of(wire) == b""


def test_a_client_that_drips_its_headers_is_dropped(scanner: WebScanner) -> None:
    with connect(scanner) as wire:
        wire.settimeout(0.05)
        n_sent = 0
        while not _is_dropped(wire):
            n_sent += 1
            assert n_sent < 1000


def _is_dropped(wire: socket.socket) -> bool:
    try:
        wire.sendall(b"G")
        return wire.recv(100) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_client_that_stalls_between_two_requests_is_dropped(
    scanner: WebScanner, body: bytes
) -> None:
    with scanner.raw(length=len(body)) as wire:
        wire.sendall(body)
        said = wire.recv(4096)
        wire.sendall(b"POST /st")
        said += rest_of(wire)
    assert said.startswith(b"HTTP/1.1 200")
    assert said.count(b"HTTP/1.1") == 1


def test_a_client_that_stalls_in_its_body_is_answered_and_leaves_nothing(
    hospital: Hospital, scanner: WebScanner, body: bytes
) -> None:
    with scanner.raw(length=len(body)) as wire:
        wire.sendall(body[:2000])
        wait_until(lambda: len(hospital.partial_files()) == 1)
        said = rest_of(wire)
    assert said.startswith(b"HTTP/1.1 408")
    assert hospital.partial_files() == hospital.stored_files() == []
    assert not hospital.node.scp.open_associations()
    wait_until(lambda: any("stalled or took too long" in one for one in hospital.texts()))


def test_a_client_that_goes_away_leaves_nothing(
    hospital: Hospital, scanner: WebScanner, body: bytes
) -> None:
    with scanner.raw(length=len(body)) as wire:
        wire.sendall(body[:2000])
        wait_until(lambda: len(hospital.partial_files()) == 1)
    wait_until(lambda: hospital.partial_files() == [])
    wait_until(lambda: not hospital.node.scp.open_associations())
    assert scanner.post(body).status_code == 200


def test_an_endpoint_that_is_told_to_stop_drops_what_is_open(
    hospital: Hospital, tmp_path: Path, body: bytes
) -> None:
    with serving(hospital, tmp_path, limits=Limits()) as scanner:
        wire = scanner.raw(length=len(body))
        wire.sendall(body[:2000])
        wait_until(lambda: len(hospital.partial_files()) == 1)
    assert rest_of(wire) == b""
    wire.close()
    assert hospital.partial_files() == []
    assert not hospital.node.scp.open_associations()


def test_more_requests_than_may_be_open_are_sent_away_for_now(
    hospital: Hospital, tmp_path: Path, body: bytes
) -> None:
    patient = Limits(header_s=5, idle_s=20, grace_s=20, linger_s=0.5)
    with serving(hospital, tmp_path, limits=patient, maximum_requests=2) as scanner:
        wires = [scanner.raw(length=len(body)) for _ in range(2)]
        for wire in wires:
            wire.sendall(body[:2000])
        wait_until(lambda: len(hospital.node.scp.open_associations()) == 2)
        answer = scanner.post(body)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        for wire in wires:
            wire.sendall(body[2000:])
            assert wire.recv(65_536).startswith(b"HTTP/1.1 200")
            wire.close()
        wait_until(lambda: scanner.post(body).status_code == 200)


def test_a_scanner_is_held_to_its_own_limits(
    hospital: Hospital, tmp_path: Path, body: bytes
) -> None:
    one, other = hospital.settings.scanners
    limited = one.model_copy(update={"associations_per_minute": 2})
    hospital.settings = hospital.settings.model_copy(update={"scanners": (limited, other)})
    with serving(hospital, tmp_path) as scanner:
        assert [scanner.post(body).status_code for _ in range(3)] == [200, 200, 503]


def test_a_body_is_read_no_faster_than_its_scanner_may_send(hospital: Hospital) -> None:
    slept: list[float] = []
    taking = Taking(
        spool=hospital.node.spool,
        store=lambda _announced, _transfer: 0,
        refused=lambda _words: None,
        maximum_associations=8,
        sleep=slept.append,
    )
    limited = hospital.settings.scanners[0].model_copy(update={"maximum_mb_s": 0.5})
    admitted = Admitted(
        scanner=limited, study_instance_uid=None, boundary=BOUNDARY, answer_type=DICOM_JSON
    )
    body = multipart(bytes(2_000_000))
    fragments = [body[i : i + 100_000] for i in range(0, len(body), 100_000)]
    taking.take(admitted, cast("Body", SimpleNamespace(fragments=lambda: iter(fragments))))
    assert slept[0] == 0
    assert 2.5 < slept[-1] <= 3.1, "2 MB at 0.5 MB/s, less a burst of a second"


def test_open_dimse_associations_count_too(
    hospital: Hospital, scanner: WebScanner, body: bytes
) -> None:
    for number in range(4):
        hospital.node.spool.begin_association(f"dimse{number}", scanner="ELSEWHERE")
    assert scanner.post(body).status_code == 503
    hospital.node.spool.end_association("dimse0")
    assert scanner.post(body).status_code == 200


def test_silent_connections_of_one_address_are_bounded(
    hospital: Hospital, tmp_path: Path, body: bytes
) -> None:
    few = hospital.settings.node.model_copy(update={"connections_per_address": 5})
    hospital.settings = hospital.settings.model_copy(update={"node": few})
    slow = Limits(header_s=300)
    with serving(hospital, tmp_path, limits=slow) as scanner:
        wires = [connect(scanner) for _ in range(5)]
        with connect(scanner) as one_more:
            assert rest_of(one_more) == b""
        for wire in wires:
            wire.close()
        wait_until(lambda: _status(scanner, body) == 200)


def _status(scanner: WebScanner, body: bytes) -> int:
    with scanner.raw(length=len(body), extra=["Connection: close"]) as wire:
        wire.sendall(body)
        return int((rest_of(wire) + b"HTTP/1.1 000")[9:12])


def test_hundreds_of_idle_and_garbled_connections_keep_nobody_out(
    hospital: Hospital, tmp_path: Path, body: bytes
) -> None:
    many = hospital.settings.node.model_copy(update={"connections_per_address": 500})
    hospital.settings = hospital.settings.model_copy(update={"node": many})
    with serving(hospital, tmp_path) as scanner:
        wires = [connect(scanner) for _ in range(200)]
        for number, wire in enumerate(wires):
            if number % 2:
                wire.sendall(bytes(range(256)))
        assert scanner.post(body).status_code == 200
        for wire in wires:
            wire.close()


@pytest.mark.parametrize(("token", "status"), [("wrong", b"401"), (OTHER_TOKEN, b"403")])
def test_a_stranger_that_sends_all_before_it_listens_hears_why(
    hospital: Hospital, tmp_path: Path, body: bytes, token: str, status: bytes
) -> None:
    with serving(hospital, tmp_path, limits=Limits(linger_s=30)) as scanner:
        scanner.headers["Authorization"] = f"Bearer {token}"
        much = body * 5000
        with scanner.raw(length=len(much)) as wire:
            wire.sendall(much)
            said = rest_of(wire)
    assert said.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close" in said
    assert (b"www-authenticate: Bearer" in said) is (status == b"401")
    assert hospital.stored_files() == []
    wait_until(lambda: any("was refused" in one for one in hospital.texts()))


def test_a_stranger_is_not_listened_to_for_long(scanner: WebScanner) -> None:
    scanner.headers["Authorization"] = "Bearer wrong"
    with scanner.raw(length=1 << 40) as wire:
        assert rest_of(wire).startswith(b"HTTP/1.1 401")


def test_headers_that_are_too_long_are_refused(scanner: WebScanner) -> None:
    with connect(scanner) as wire:
        wire.sendall(b"POST /studies HTTP/1.1\r\nX: " + b"y" * 100_000)
        assert rest_of(wire)[:12] in {b"HTTP/1.1 400", b""}


def test_a_get_is_told_what_is_here(scanner: WebScanner) -> None:
    with connect(scanner) as wire:
        wire.sendall(b"GET /studies HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = rest_of(wire)
    assert said.startswith(b"HTTP/1.1 405")
    assert b"stores only" in said
    assert b"uvicorn" not in said.lower()


def test_a_request_of_too_many_instances_ends_there(
    hospital: Hospital, scanner: WebScanner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.dicomweb.taking.Intake", _two_at_most)
    contents = [write(Image(), tmp_path).read_bytes() for _ in range(3)]
    answer = scanner.post(multipart(*contents))
    assert answer.status_code == 413
    assert len(stored_uids(answer)) == len(hospital.stored_files()) == 2
    assert reasons(answer) == []


def _two_at_most(**arguments):
    return Intake(maximum_instances=2, **arguments)


def test_a_proxy_on_this_machine_says_for_whom_it_speaks(
    hospital: Hospital, scanner: WebScanner, body: bytes
) -> None:
    assert scanner.post(body, X_Forwarded_For="10.9.9.9").status_code == 403
    assert scanner.post(body, X_Forwarded_For="CANARY").status_code == 403
    wait_until(lambda: any("from an unknown address" in one for one in hospital.texts()))
    assert not any("CANARY" in one for one in hospital.texts())
    scanner.headers["Authorization"] = f"Bearer {OTHER_TOKEN}"
    assert scanner.post(body, X_Forwarded_For="10.9.9.9").status_code == 200

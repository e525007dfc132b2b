"""STOW-RS out: streamed from the disk, told apart by the answer, once at the peer."""

import http.server
import json
import logging
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import logs
from appliance.errors import (
    ApplianceError,
    ConfigError,
    DeliveryRefused,
    InvalidInstance,
    PeerUnavailable,
)
from appliance.settings import ClientTls, ServerTls, Web
from dicom_node.routes import stow
from dicom_node.routes.store_body import StoreBody
from dicom_node.send.sender import Outgoing, outgoing
from dicom_node.send.web_answer import ServiceRefused, found_sets, retry_after_s, store_answer
from dicom_node.status import PeerBusy, PeerFailed
from tests.dicom_node.conftest import Hospital
from tests.dicom_node.objects import Image, write
from tests.dicom_node.real_peers import (
    Orthanc,
    certificates,
    free_port,
    running_orthanc,
    tls_in_front,
)
from tests.dicom_node.web_scanner import TOKEN, token_file
from tests.dicom_node.web_scanner import serving as serving_node


@pytest.fixture(scope="module")
def orthanc(
    tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[[str], str]
) -> Iterator[Orthanc]:
    folder = tmp_path_factory.mktemp("orthanc") / "pacs"
    with running_orthanc(require_tool("Orthanc"), folder) as one:
        yield one


def web(url: str, **values: Any) -> Web:
    return Web.model_validate({"url": url, **values})


def made(folder: Path, n: int = 1, **changes: Any) -> list[Outgoing]:
    return [outgoing(write(Image(**changes), folder)) for _ in range(n)]


def test_orthanc_gets_the_very_bytes(orthanc: Orthanc, tmp_path: Path) -> None:
    files = made(tmp_path, 3)
    told: list[tuple[int, int]] = []
    stow.store(files, web(orthanc.web), lambda n, n_bytes: told.append((n, n_bytes)))
    there = orthanc.instances()
    for one in files:
        assert there[one.sop_instance_uid] == one.path.read_bytes()
    assert told == [(3, sum(one.size_bytes for one in files))]


def test_storing_again_leaves_one_object_at_orthanc(orthanc: Orthanc, tmp_path: Path) -> None:
    files = made(tmp_path)
    for _ in range(3):
        stow.store(files, web(orthanc.web))
    assert orthanc.instances()[files[0].sop_instance_uid] == files[0].path.read_bytes()


def test_orthanc_tells_by_qido_what_it_has(orthanc: Orthanc, tmp_path: Path) -> None:
    here, missing = made(tmp_path, 2)
    stow.store([here], web(orthanc.web))
    with stow._service(web(orthanc.web)) as service:
        assert service._holds(here)
        assert not service._holds(missing)


def test_orthanc_answers_a_probe(orthanc: Orthanc) -> None:
    assert stow.probe(web(orthanc.web), timeout_s=8.0) == "127.0.0.1 answers"


def test_orthanc_takes_it_through_tls_with_our_certificate(
    orthanc: Orthanc, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    keys = certificates(tmp_path / "tls", "pacs.hospital.example")
    tls = ClientTls(
        ca=keys.ca,
        certificate=keys.client,
        key=keys.client_key,
        server_name="pacs.hospital.example",
    )
    files = made(tmp_path, 2)
    with tls_in_front(require_tool("socat"), orthanc.http_port, keys) as port:
        stow.store(files, web(f"https://127.0.0.1:{port}/dicom-web", tls=tls))
    there = orthanc.instances()
    assert all(there[one.sop_instance_uid] == one.path.read_bytes() for one in files)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"server_name": "other.hospital.example"}, "for another host name"),
        ({"ca": "other"}, "does not present a certificate that we trust"),
        ({"certificate": None, "key": None}, "does not accept our TLS certificate"),
    ],
)
def test_tls_that_does_not_fit_is_refused_with_its_reason(
    orthanc: Orthanc,
    tmp_path: Path,
    require_tool: Callable[[str], str],
    changes: dict[str, Any],
    sentence: str,
) -> None:
    keys = certificates(tmp_path / "tls", "pacs.hospital.example")
    others = certificates(tmp_path / "other", "pacs.hospital.example")
    values = {
        "ca": keys.ca,
        "certificate": keys.client,
        "key": keys.client_key,
        "server_name": "pacs.hospital.example",
    } | changes
    if values["ca"] == "other":
        values["ca"] = others.ca
    files = made(tmp_path)
    with tls_in_front(require_tool("socat"), orthanc.http_port, keys) as port:
        service = web(f"https://127.0.0.1:{port}/dicom-web", tls=values)
        with pytest.raises(DeliveryRefused, match=sentence):
            stow.store(files, service)
    assert files[0].sop_instance_uid not in orthanc.instances()


def test_https_at_a_port_in_clear_is_refused(orthanc: Orthanc, tmp_path: Path) -> None:
    keys = certificates(tmp_path / "tls", "127.0.0.1")
    service = web(f"https://127.0.0.1:{orthanc.http_port}/dicom-web", tls={"ca": keys.ca})
    with pytest.raises(DeliveryRefused, match="does not speak TLS"):
        stow.store(made(tmp_path), service)


def test_a_missing_authority_names_the_key_of_the_settings(tmp_path: Path) -> None:
    service = web("https://127.0.0.1:1/dicom-web", tls={"ca": tmp_path / "none.pem"})
    with pytest.raises(ConfigError, match=r"tls\.ca"):
        stow.store(made(tmp_path), service)


def test_nobody_at_the_address_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailable, match="does not answer at its address"):
        stow.store(made(tmp_path), web(f"http://127.0.0.1:{free_port()}/dicom-web"))


class Script:
    """An HTTP service that answers as it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.found: list[dict[str, Any]] = []
        self.requests: list[tuple[str, dict[str, str], int]] = []
        self.bodies: list[bytes] = []
        self.keep = True

    def answer(self, status: int, body: Any = None, **headers: str) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, named, content))


@contextmanager
def serving(script: Script) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            remaining = length = int(self.headers["Content-Length"])
            kept = b""
            while remaining:
                chunk = self.rfile.read(min(1 << 20, remaining))
                remaining -= len(chunk)
                kept += chunk if script.keep else b""
            script.bodies.append(kept)
            script.requests.append((self.path, dict(self.headers), length))
            self._send(*script.answers.pop(0))

        def do_GET(self) -> None:
            script.requests.append((self.path, dict(self.headers), 0))
            self._send(200, {}, json.dumps(script.found).encode())

        def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    with serving(script) as base:
        yield base


def referenced(*files: Outgoing) -> dict[str, Any]:
    return {"00081199": {"vr": "SQ", "Value": [_item(one) for one in files]}}


def failed(reason: int, *files: Outgoing) -> dict[str, Any]:
    items = [_item(one) | {"00081197": {"vr": "US", "Value": [reason]}} for one in files]
    return {"00081198": {"vr": "SQ", "Value": items}}


def _item(one: Outgoing) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [one.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [one.sop_instance_uid]},
    }


def test_the_request_is_what_the_standard_says(script: Script, url: str, tmp_path: Path) -> None:
    (one,) = made(tmp_path)
    (tmp_path / "token").write_text("s3cret-token\n")
    script.answer(200, referenced(one))
    stow.store([one], web(url, token_file=tmp_path / "token"))
    ((path, headers, length),) = script.requests
    assert path == "/dicom-web/studies"
    assert headers["Authorization"] == "Bearer s3cret-token"
    assert headers["Accept"] == "application/dicom+json"
    assert 'multipart/related; type="application/dicom"; boundary=' in headers["Content-Type"]
    boundary = headers["Content-Type"].rpartition("=")[2].encode()
    assert length == len(script.bodies[0])
    head, content, rest = script.bodies[0].partition(one.path.read_bytes())
    assert head == b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n"
    assert content
    assert rest == b"\r\n--" + boundary + b"--\r\n"


@pytest.mark.parametrize("content", ["", "two words", "café"])
def test_a_token_file_that_holds_no_token_is_a_settings_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    service = web("http://127.0.0.1:1", token_file=tmp_path / "token")
    with pytest.raises(ConfigError, match=r"web\.token_file"):
        stow.store(made(tmp_path), service)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, DeliveryRefused, "does not understand"),
        (401, ServiceRefused, "does not know our token"),
        (403, ServiceRefused, "does not let us store"),
        (404, ServiceRefused, "no STOW-RS service"),
        (413, DeliveryRefused, "larger than"),
        (415, DeliveryRefused, "kind or encoding"),
        (418, DeliveryRefused, "HTTP 418"),
        (302, ServiceRefused, "another URL"),
        (408, PeerBusy, "HTTP 408"),
        (429, PeerBusy, "HTTP 429"),
        (500, PeerFailed, "HTTP 500"),
        (502, PeerBusy, "HTTP 502"),
        (503, PeerBusy, "HTTP 503"),
    ],
)
def test_http_statuses_are_sorted_by_what_happens_next(
    script: Script, url: str, tmp_path: Path, status: int, kind: type[Exception], words: str
) -> None:
    script.answer(status)
    with pytest.raises(ApplianceError, match=words) as raised:
        stow.store(made(tmp_path), web(url))
    assert type(raised.value) is kind


@pytest.mark.parametrize("status", [400, 413, 415])
def test_a_request_refused_as_a_whole_is_tried_object_by_object(
    script: Script, url: str, tmp_path: Path, status: int
) -> None:
    files = made(tmp_path, 3)
    script.answer(status)
    script.answer(200, referenced(files[0]))
    script.answer(status)
    script.answer(200, referenced(files[2]))
    with pytest.raises(DeliveryRefused, match="Objects refused: 1 of 3"):
        stow.store(files, web(url))
    assert script.answers == []


@pytest.mark.parametrize("status", [401, 403, 404, 405, 301])
def test_a_service_that_does_not_want_us_is_not_asked_again(
    script: Script, url: str, tmp_path: Path, status: int
) -> None:
    script.answer(status)
    with pytest.raises(ServiceRefused):
        stow.store(made(tmp_path, 3), web(url))
    assert len(script.requests) == 1


def test_what_the_peer_asks_for_by_retry_after_is_told(
    script: Script, url: str, tmp_path: Path
) -> None:
    script.answer(503, Retry_After="7")
    with pytest.raises(PeerBusy) as raised:
        stow.store(made(tmp_path), web(url))
    assert raised.value.after_s == 7.0


def test_retry_after_is_a_number_or_a_date() -> None:
    now = 1_700_000_000.0
    assert retry_after_s("120", now=now) == 120.0
    assert retry_after_s("Tue, 14 Nov 2023 22:13:50 GMT", now=now) == 30.0
    assert retry_after_s("Tue, 14 Nov 2003 22:13:50 GMT", now=now) == 0.0
    assert retry_after_s("soon", now=now) == 0.0
    assert retry_after_s(f"Mon, 01 Jan {10**19} 00:00:00 GMT", now=now) == 0.0
    assert retry_after_s("Mon, 01 Jan 9999 00:00:00 GMT", now=now) == 86_400.0
    assert retry_after_s("9" * 400, now=now) == 86_400.0
    assert retry_after_s("", now=now) == 0.0


@pytest.mark.parametrize("status", [202, 409])
@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (0xA700, PeerUnavailable),
        (0x0213, PeerUnavailable),
        (0x0110, PeerFailed),
        (0x0122, DeliveryRefused),
        (0xC000, DeliveryRefused),
        (0xA900, DeliveryRefused),
    ],
)
def test_failure_reasons_are_sorted_by_what_happens_next(
    script: Script, url: str, tmp_path: Path, status: int, reason: int, kind: type[Exception]
) -> None:
    (one,) = made(tmp_path)
    script.answer(status, failed(reason, one))
    with pytest.raises(ApplianceError) as raised:
        stow.store([one], web(url))
    assert type(raised.value) is kind


def test_one_refused_object_does_not_keep_the_others(
    script: Script, url: str, tmp_path: Path
) -> None:
    files = made(tmp_path, 3)
    told: list[tuple[int, int]] = []
    script.answer(202, referenced(files[0], files[2]) | failed(0x0122, files[1]))
    with pytest.raises(DeliveryRefused, match="Objects refused: 1 of 3"):
        stow.store(files, web(url), lambda n, n_bytes: told.append((n, n_bytes)))
    assert told == [(2, files[0].size_bytes + files[2].size_bytes)]


@pytest.mark.parametrize("body", [None, "reason"])
def test_what_is_there_already_counts_after_a_look(
    script: Script, url: str, tmp_path: Path, body: str | None
) -> None:
    (one,) = made(tmp_path)
    script.answer(409, None if body is None else failed(0x0111, one))
    script.found = [
        {
            "00080016": {"vr": "UI", "Value": [one.sop_class_uid]},
            "00080018": {"vr": "UI", "Value": [one.sop_instance_uid]},
        }
    ]
    stow.store([one], web(url))
    looked = script.requests[-1][0]
    assert "/series/" in looked
    assert looked.endswith(f"/instances?SOPInstanceUID={one.sop_instance_uid}")


@pytest.mark.parametrize("body", [None, "reason"])
@pytest.mark.parametrize("other", ["nothing", "another class"])
def test_what_is_said_to_be_there_and_is_not_found_is_refused(
    script: Script, url: str, tmp_path: Path, body: str | None, other: str
) -> None:
    (one,) = made(tmp_path)
    script.answer(409, None if body is None else failed(0x0111, one))
    if other != "nothing":
        script.found = [
            {
                "00080016": {"vr": "UI", "Value": ["1.2.3"]},
                "00080018": {"vr": "UI", "Value": [one.sop_instance_uid]},
            }
        ]
    with pytest.raises(DeliveryRefused):
        stow.store([one], web(url))


def test_an_answer_that_leaves_an_object_out_is_no_success(
    script: Script, url: str, tmp_path: Path
) -> None:
    files = made(tmp_path, 2)
    script.answer(200, referenced(files[0]))
    with pytest.raises(PeerFailed, match="leaves out"):
        stow.store(files, web(url))


def test_a_failure_without_a_name_is_a_failure_of_what_was_not_named(
    script: Script, url: str, tmp_path: Path
) -> None:
    files = made(tmp_path, 2)
    other = {"0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xC000]}}]}}
    script.answer(202, referenced(files[0]) | other)
    with pytest.raises(DeliveryRefused, match=r"0xC000\)\. Objects refused: 1 of 2"):
        stow.store(files, web(url))


def test_our_own_stow_rs_endpoint_takes_it_over_mutual_tls(
    hospital: Hospital, tmp_path: Path
) -> None:
    keys = certificates(tmp_path / "tls", "node.hospital.example")
    server = ServerTls(certificate=keys.server, key=keys.server_key, ca=keys.ca)
    client = ClientTls(
        ca=keys.ca,
        certificate=keys.client,
        key=keys.client_key,
        server_name="node.hospital.example",
    )
    files = made(tmp_path / "made", 3)
    with serving_node(hospital, tmp_path, tls=server) as node:
        service = web(node.base, tls=client, token_file=token_file(tmp_path, TOKEN))
        stow.store(files, service)
        stow.store(files, service)
        wrong = web(node.base, tls=client, token_file=token_file(tmp_path, "x" * 40))
        with pytest.raises(DeliveryRefused, match="does not know our token"):
            stow.store(files, wrong)
    assert len(hospital.stored_files()) == 3


@pytest.mark.parametrize("content", [b"", b"<xml/>", b"[]", b"null", b'{"00081199": 4}', b"\xff"])
def test_an_answer_that_is_no_data_set_says_nothing(content: bytes) -> None:
    answer = store_answer(content)
    assert not answer.stored
    assert not answer.failed


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["00081199", "00081198", "0008119A", "00081155", "00081197", "Value"]
                ),
                inner,
                max_size=3,
            )
        ),
    )
)
def test_no_answer_of_a_peer_is_a_bug_of_ours(body: Any) -> None:
    answer = store_answer(json.dumps(body).encode())
    assert not set(answer.stored) & set(answer.failed)
    assert all(isinstance(one, int) for one in (*answer.failed.values(), *answer.unnamed))
    assert isinstance(found_sets(json.dumps(body).encode()), list)


def test_an_answer_nested_without_end_says_nothing() -> None:
    assert store_answer(b"[" * 200_000).stored == set()


def test_requests_are_cut_by_length_and_by_number(tmp_path: Path) -> None:
    (one,) = made(tmp_path)
    half = Outgoing(
        path=one.path,
        sop_class_uid=one.sop_class_uid,
        sop_instance_uid=one.sop_instance_uid,
        transfer_syntax_uid=one.transfer_syntax_uid,
        size_bytes=stow.REQUEST_BYTES // 2,
    )
    assert [len(batch) for batch in stow.batches([half] * 5)] == [2, 2, 1]
    assert [len(batch) for batch in stow.batches([one] * 250)] == [100, 100, 50]
    assert list(stow.batches([])) == []


def test_a_large_object_needs_little_memory(script: Script, url: str, tmp_path: Path) -> None:
    (small,) = made(tmp_path)
    with small.path.open("r+b") as file:
        file.truncate(512 * 2**20)  # sparse
    one = outgoing(small.path)
    script.keep = False
    script.answer(200, referenced(one))
    tracemalloc.start()
    try:
        stow.store([one], web(url))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert script.requests[0][2] > 512 * 2**20
    assert peak < 16 * 2**20


def test_a_file_that_shrinks_while_it_is_sent_is_no_success(
    tmp_path: Path,
) -> None:
    (one,) = made(tmp_path)
    with one.path.open("rb") as file:
        body = StoreBody([file], "b")
        one.path.write_bytes(b"short")
        with pytest.raises(PeerUnavailable, match="became shorter"):
            list(body)


def test_a_file_that_is_gone_is_waited_for(tmp_path: Path) -> None:
    (one,) = made(tmp_path)
    one.path.unlink()
    with pytest.raises(PeerUnavailable, match="could not be read"):
        stow.store([one], web("http://127.0.0.1:1/dicom-web"))


def test_a_look_at_a_file_without_a_study_is_an_error_of_the_file(tmp_path: Path) -> None:
    from dicom_node.send.presence import keys_of

    (tmp_path / "no.dcm").write_bytes(b"nothing")
    with pytest.raises(InvalidInstance):
        keys_of(tmp_path / "no.dcm")


def test_no_line_of_the_log_names_an_object(script: Script, url: str, tmp_path: Path) -> None:
    (one,) = made(tmp_path)
    script.answer(409)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logs.set_up("deliver@pacs", file=tmp_path / "log")
        with pytest.raises(DeliveryRefused):
            stow.store([one], web(url))
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers = before
        root.setLevel(level)
    assert len(script.requests) == 2, "it was stored, and then looked for by its UID"
    assert one.sop_instance_uid not in (tmp_path / "log").read_text()

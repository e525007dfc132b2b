"""Who may send by STOW-RS, what is asked of a request's head, and what its answer says."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import ConfigError
from appliance.settings import Scanner
from dicom_node.dicomweb.answer import (
    DICOM_JSON,
    DICOM_XML,
    Failed,
    Outcome,
    Stored,
    encoded,
    response_module,
    status_of,
)
from dicom_node.dicomweb.pace import Limits, TooSlow, Wait
from dicom_node.dicomweb.request import Admitted, Gate, Head, Refused
from dicom_node.dicomweb.tokens import read_senders, sender_of
from dicom_node.send.web_answer import store_answer
from tests.dicom_node.web_scanner import CONTENT_TYPE, OTHER_TOKEN, TOKEN, token_file

PRINT = f"sha256:{'ab' * 32}"


def scanner(folder: Path, name: str = "one", token: str = TOKEN, **more: object) -> Scanner:
    return Scanner(
        name=name,
        ae_title=name.upper(),
        addresses=(ip_network("10.0.5.0/24"),),
        token_file=token_file(folder, token, name),
        **more,
    )


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    senders = read_senders([scanner(tmp_path), scanner(tmp_path, "two", OTHER_TOKEN)])
    return Gate(senders=senders)


HEAD = Head(
    method="POST",
    path="/studies",
    headers={"authorization": f"Bearer {TOKEN}", "content-type": CONTENT_TYPE},
    address="10.0.5.7",
)


def with_header(name: str, value: str) -> Head:
    return replace(HEAD, headers={**HEAD.headers, name: value})


def refusal(gate: Gate, head: Head) -> Refused:
    with pytest.raises(Refused) as caught:
        gate.admit(head)
    assert TOKEN not in caught.value.notice + caught.value.sentence
    return caught.value


def test_a_scanner_with_its_token_at_its_address_is_admitted(gate: Gate) -> None:
    admitted = gate.admit(HEAD)
    assert isinstance(admitted, Admitted)
    assert admitted.scanner.name == "one"
    assert admitted.study_instance_uid is None
    assert admitted.answer_type == DICOM_JSON
    assert TOKEN not in repr(gate)
    mapped = gate.admit(replace(HEAD, address="::ffff:10.0.5.7", path="/studies/1.2.3"))
    assert mapped.study_instance_uid == "1.2.3"


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
              TOKEN, f"Bearer x {TOKEN}", "Bearer \udce4"],
)  # fmt: skip
def test_a_wrong_token_is_asked_for_a_right_one(gate: Gate, value: str) -> None:
    refused = refusal(gate, with_header("authorization", value))
    assert refused.status == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert "10.0.5.7" in refused.notice


def test_the_scheme_of_a_token_may_be_written_in_any_case(gate: Gate) -> None:
    found = sender_of(f"bEARER  {OTHER_TOKEN} ", gate.senders)
    assert found is not None
    assert found.scanner.name == "two"


def test_a_token_at_another_address_is_forbidden(gate: Gate) -> None:
    refused = refusal(gate, replace(HEAD, address="10.0.6.7"))
    assert refused.status == 403
    assert "one" in refused.notice


def test_a_scanner_must_show_its_certificate_where_clients_show_one(tmp_path: Path) -> None:
    senders = read_senders([scanner(tmp_path, certificate=PRINT)])
    strict = Gate(senders=senders, asks_certificates=True)
    assert strict.admit(replace(HEAD, certificate=PRINT)).scanner.name == "one"
    assert refusal(strict, replace(HEAD, certificate=f"sha256:{'cd' * 32}")).status == 403
    assert refusal(strict, HEAD).status == 403
    assert Gate(senders=senders).admit(HEAD).scanner.name == "one"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("POST", "/instances", 404), ("POST", "/studies/1.2/series", 404),
     ("GET", "/studies", 405), ("DELETE", "/studies/1.2", 405), ("POST", "/studies/x", 400),
     ("POST", "/studies/" + "1" * 65, 400), ("POST", "/studies/../..", 404)],
)  # fmt: skip
def test_what_is_no_store_request_is_told_what_is_here(
    gate: Gate, method: str, path: str, status: int
) -> None:
    refused = refusal(gate, replace(HEAD, method=method, path=path))
    assert refused.status == status
    assert refused.sentence.endswith(".")
    assert (refused.headers.get("allow") == "POST") is (status == 405)


@pytest.mark.parametrize(
    "kind",
    ["", "application/dicom", "application/dicom+json", "multipart/form-data; boundary=x",
     'multipart/related; type="application/dicom+json"; boundary=x',
     'multipart/related; type="application/dicom+xml"; boundary=x',
     'multipart/related; type="image/jpeg"; boundary=x'],
)  # fmt: skip
def test_bodies_of_other_kinds_are_not_taken(gate: Gate, kind: str) -> None:
    assert refusal(gate, with_header("content-type", kind)).status == 415


def test_a_compressed_body_and_one_without_boundary_are_not_taken(gate: Gate) -> None:
    assert refusal(gate, with_header("content-encoding", "gzip")).status == 415
    assert refusal(gate, with_header("content-type", "multipart/related")).status == 400


@pytest.mark.parametrize(
    ("accept", "answer_type"),
    [("*/*", DICOM_JSON), ("application/*", DICOM_JSON), ("application/json", DICOM_JSON),
     ("text/html, application/dicom+json;q=0.5", DICOM_JSON), ("application/dicom+xml", DICOM_XML),
     ("application/dicom+json;q=0, application/dicom+xml", DICOM_XML), ("", DICOM_JSON),
     ("application/dicom+json;q=odd", DICOM_JSON)],
)  # fmt: skip
def test_the_answer_is_of_a_kind_that_is_accepted(
    gate: Gate, accept: str, answer_type: str
) -> None:
    assert gate.admit(with_header("accept", accept)).answer_type == answer_type


def test_an_answer_that_nobody_can_read_is_not_acceptable(gate: Gate) -> None:
    assert refusal(gate, with_header("accept", "text/html")).status == 406


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80))
def test_any_head_is_admitted_or_refused(kind: str, accept: str, token: str) -> None:
    headers = {"content-type": kind, "accept": accept, "authorization": token}
    with pytest.raises(Refused):
        Gate(senders=()).admit(replace(HEAD, headers=headers))


def _unreadable(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_unreadable, "does not exist"),
        (lambda path: path.chmod(0o640), "open to other users"),
        (lambda path: path.chmod(0o604), "open to other users"),
        (lambda path: path.write_text("x" * 31), "at least 32"),
        (lambda path: path.write_text("  \n" + "x" * 31 + "   \n"), "at least 32"),
        (lambda path: path.write_text("x" * 20 + " " + "y" * 20), "without spaces"),
        (lambda path: path.write_bytes(b"\xff" * 40), "cannot be read"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
    ],
)
def test_a_token_file_that_cannot_be_used_is_named(tmp_path: Path, spoil, said: str) -> None:
    one = scanner(tmp_path)
    spoil(one.token_file)
    with pytest.raises(ConfigError, match=said) as caught:
        read_senders([one])
    assert "token_file of one" in str(caught.value)
    assert "xxx" not in str(caught.value)


def test_tokens_must_exist_and_differ(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nobody could send"):
        read_senders([scanner(tmp_path).model_copy(update={"token_file": None})])
    with pytest.raises(ConfigError, match="same token"):
        read_senders([scanner(tmp_path, "one"), scanner(tmp_path, "two")])


STORED = Stored(sop_class_uid="1.2", sop_instance_uid="1.2.3")
FAILED = Failed(reason=0xA700, sop_class_uid="1.2", sop_instance_uid="1.2.4")
NAMELESS = Failed(reason=0xC000)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome(results=[STORED]), 200),
        (Outcome(results=[STORED, FAILED]), 202),
        (Outcome(results=[STORED], is_malformed=True), 202),
        (Outcome(results=[FAILED, NAMELESS]), 409),
        (Outcome(results=[FAILED], is_malformed=True), 400),
        (Outcome(), 400),
        (Outcome(results=[STORED], is_too_large=True), 413),
    ],
)
def test_the_status_says_whether_all_some_or_none_was_stored(outcome: Outcome, status: int) -> None:
    assert status_of(outcome) == status


def test_our_own_client_reads_the_answer_as_it_is_meant() -> None:
    module = response_module(Outcome(results=[STORED, FAILED, NAMELESS]))
    answer = store_answer(encoded(module, DICOM_JSON))
    assert set(answer.stored) == {"1.2.3"}
    assert answer.failed == {"1.2.4": 0xA700}
    assert module["0008119A"]["Value"] == [{"00081197": {"vr": "US", "Value": [0xC000]}}]


def test_the_answer_in_xml_says_the_same() -> None:
    content = encoded(response_module(Outcome(results=[STORED, FAILED])), DICOM_XML)
    root = ET.fromstring(content)  # noqa: S314  our own
    assert [one.get("keyword") for one in root] == [
        "RetrieveURL", "FailedSOPSequence", "ReferencedSOPSequence",
    ]  # fmt: skip
    found = root.find(".//DicomAttribute[@keyword='FailureReason']/Value")
    assert found is not None
    assert found.text == str(0xA700)


class Clock:
    """Time that passes when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


LIMITS = Limits(idle_s=60, grace_s=30, least_bytes_s=1000)


def test_a_client_that_drips_is_let_go_and_one_that_flows_is_not() -> None:
    dripping, flowing = Wait(limits=LIMITS), Wait(limits=LIMITS)
    for _ in range(29):
        dripping.note(1.0, 1)
        flowing.note(1.0, 1000)
    assert 0 < dripping.limit_s() < 2
    assert flowing.limit_s() == pytest.approx(30.0)
    dripping.note(1.1, 1)
    with pytest.raises(TooSlow):
        dripping.limit_s()
    for _ in range(10_000):
        flowing.note(1.0, 1000)
    assert flowing.limit_s() == pytest.approx(30.0)


def test_a_pause_of_a_fast_client_is_bounded_too() -> None:
    wait = Wait(limits=LIMITS)
    wait.note(1.0, 10**9)
    assert wait.limit_s() == LIMITS.idle_s


def test_a_request_that_lasts_too_long_is_let_go_however_fast_it_is() -> None:
    clock = Clock()
    wait = Wait(limits=LIMITS, maximum_s=100, clock=clock)
    clock.now = 99
    wait.note(0.0, 10**9)
    assert wait.limit_s() == pytest.approx(1.0)
    clock.now = 101
    with pytest.raises(TooSlow):
        wait.limit_s()

"""Messages cut, packed and mixed in every way: what is allowed works, all else ends well."""

import struct
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dicom_node.faults.clinic import Clinic
from tests.dicom_node.faults.neighbours import all_is_well, new_object
from tests.dicom_node.faults.speaker import (
    ASSOCIATE_AC,
    COMMAND,
    IMPLICIT,
    LAST,
    P_DATA,
    VERIFICATION,
    Context,
    Speaker,
    association_request,
    command,
    echo_request,
    item,
    p_data,
    pdu,
    store_request,
    text,
    us,
)

SUCCESS = 0x0000
ECHO = Context(number=3, abstract=VERIFICATION, syntaxes=(IMPLICIT,))
STORE = Context(number=1)
COMMITMENT = "1.2.840.10008.1.20.1"


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    command_cuts=st.lists(st.integers(0, 160), max_size=5),
    data_cuts=st.lists(st.integers(0, 1024), max_size=8),
    pdvs_in_pdu=st.integers(1, 6),
    segment_bytes=st.integers(1, 400),
)
def test_an_object_comes_whole_however_it_is_cut_and_packed(
    shared_clinic: Clinic,
    command_cuts: list[int],
    data_cuts: list[int],
    pdvs_in_pdu: int,
    segment_bytes: int,
) -> None:
    one = new_object()
    pdvs = _fragments(store_request(one.uid), command_cuts, COMMAND)
    pdvs += _fragments(one.data_set, data_cuts, 0)
    packed = [p_data(*pdvs[at : at + pdvs_in_pdu]) for at in range(0, len(pdvs), pdvs_in_pdu)]
    stream = b"".join(packed)
    with Speaker(shared_clinic.port).accepted() as speaker:
        shared_clinic.ledger.sends(one)
        for at in range(0, len(stream), segment_bytes):
            speaker.say(stream[at : at + segment_bytes])
        assert speaker.status() == SUCCESS
        shared_clinic.ledger.hears_success(one)
        assert speaker.release()
    all_is_well(shared_clinic)


def test_an_object_may_be_cut_at_every_byte(shared_clinic: Clinic) -> None:
    with Speaker(shared_clinic.port).accepted() as speaker:
        one = new_object()
        request = store_request(one.uid)
        stream = request + one.data_set
        for cut in range(1, len(stream)):
            commands = _fragments(request, [cut] if cut < len(request) else [], COMMAND)
            data = _fragments(one.data_set, [max(0, cut - len(request))], 0)
            speaker.say(p_data(*commands) + p_data(*data))
            shared_clinic.ledger.sends(one)
            assert speaker.status() == SUCCESS, cut
        shared_clinic.ledger.hears_success(one)
    all_is_well(shared_clinic)


def test_requests_that_do_not_wait_for_answers_are_answered_in_their_order(
    shared_clinic: Clinic,
) -> None:
    window = item(0x53, struct.pack(">HH", 8, 8))
    objects = [new_object() for _ in range(8)]
    with Speaker(shared_clinic.port) as speaker:
        assert speaker.associate([STORE], more=window).kind == ASSOCIATE_AC
        for one in objects:
            shared_clinic.ledger.sends(one)
            speaker.start_store(one.uid)
            speaker.say_data(one.data_set)
        for number, one in enumerate(objects, start=1):
            answer = speaker.answer()
            assert struct.unpack("<H", answer[0x0120])[0] == number
            assert struct.unpack("<H", answer[0x0900])[0] == SUCCESS
            assert answer[0x1000].rstrip(b"\0").decode() == one.uid
            shared_clinic.ledger.hears_success(one)
        assert speaker.release()
    all_is_well(shared_clinic)


@pytest.mark.parametrize(
    "more",
    [
        item(0x54, struct.pack(">H", 29) + b"1.2.840.10008.5.1.4.1.1.77.1.6"[:29] + b"\1\1"),
        item(0x55, b"SCANNER_1"),
        item(0x56, struct.pack(">H", 30) + b"1.2.840.10008.5.1.4.1.1.77.1.6" + b"\2\0\0\0\0\0"),
        item(0x58, b"\1\0" + struct.pack(">H", 4) + b"user" + struct.pack(">H", 0)),
        item(0x77, b"an item of a later edition"),
        item(0x51, b""),
        item(0x55, b"\xff" * 64),
    ],
    ids=["role", "version", "extended", "user", "unknown", "short", "not ASCII"],
)
def test_whatever_else_is_negotiated_the_next_scanner_is_served(
    shared_clinic: Clinic, more: bytes
) -> None:
    with Speaker(shared_clinic.port) as speaker:
        speaker.say(association_request([STORE], calling="SCANNER", called="COVERSLIP", more=more))
        speaker.hear()
    all_is_well(shared_clinic)


def test_a_cancel_of_nothing_is_passed_over(shared_clinic: Clinic) -> None:
    cancel = command({0x0100: us(0x0FFF), 0x0120: us(5), 0x0800: us(0x0101)})
    with Speaker(shared_clinic.port).accepted(STORE, ECHO) as speaker:
        speaker.say(p_data((1, COMMAND | LAST, cancel)))
        assert speaker.echo(3) == SUCCESS
        assert speaker.release()
    all_is_well(shared_clinic)


def test_an_echo_between_objects_is_answered(shared_clinic: Clinic) -> None:
    with Speaker(shared_clinic.port).accepted(STORE, ECHO) as speaker:
        for _ in range(3):
            one = new_object()
            shared_clinic.ledger.sends(one)
            assert speaker.store(one.uid, one.data_set) == SUCCESS
            shared_clinic.ledger.hears_success(one)
            assert speaker.echo(3) == SUCCESS
        assert speaker.release()
    all_is_well(shared_clinic)


def _action() -> bytes:
    return command(
        {
            0x0003: text(COMMITMENT), 0x0100: us(0x0130), 0x0110: us(9), 0x0800: us(0x0101),
            0x1001: text("1.2.840.10008.1.20.1.1"), 0x1008: us(1),
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    "message",
    [
        p_data((1, COMMAND | LAST, command({0x0100: us(0x1234), 0x0110: us(1), 0x0800: us(1)}))),
        p_data((1, COMMAND | LAST, b"")),
        p_data((1, COMMAND | LAST, b"\xff" * 300)),
        p_data((1, COMMAND | LAST, _action())),
        p_data((3, COMMAND | LAST, echo_request(data_set_type=1)), (3, LAST, bytes(100))),
        p_data((99, COMMAND | LAST, store_request("1.2.3"))),
        p_data((1, COMMAND | LAST, store_request("1.2.3")), (3, LAST, bytes(100))),
        p_data((1, LAST, bytes(1000))),
        p_data((1, COMMAND | LAST, store_request("1.2.3")), (1, COMMAND | LAST, echo_request())),
        p_data((1, COMMAND, store_request("1.2.3"))) + p_data((1, LAST, bytes(100))),
        pdu(P_DATA, b""),
        pdu(P_DATA, struct.pack(">I", 0)),
        pdu(P_DATA, struct.pack(">IB", 1, 1)),
        pdu(P_DATA, struct.pack(">IBB", 1_000_000, 1, LAST) + bytes(100)),
        pdu(P_DATA, bytes(3)),
        association_request([STORE], calling="SCANNER", called="COVERSLIP"),
        pdu(2, bytes(68)),
        pdu(3, bytes(4)),
        pdu(6, bytes(4)),
        pdu(0x42, bytes(100)),
        struct.pack(">BBI", P_DATA, 0, 0xFFFFFFFF) + bytes(100_000),
        struct.pack(">BBI", 5, 0, 100_000_000) + bytes(100_000),
        bytes(100_000),
    ],
    ids=[
        "an unknown command",
        "an empty command",
        "a command of ones",
        "a request for commitment in a storage context",
        "an echo with a data set",
        "a context that is not there",
        "a data set in another context",
        "a data set without a command",
        "a command inside of a data set",
        "a command that never ends",
        "an empty PDU",
        "an empty value",
        "a value without its header",
        "a value longer than its PDU",
        "a torso of a value",
        "a second association request",
        "an association accept",
        "an association reject",
        "a release answer",
        "an unknown PDU",
        "a data PDU of 4 GiB",
        "a release of 100 MB",
        "zeros",
    ],
)
def test_a_message_that_makes_no_sense_ends_its_own_association_at_most(
    shared_clinic: Clinic, message: bytes
) -> None:
    with Speaker(shared_clinic.port).accepted(STORE, ECHO) as speaker:
        with suppress(ConnectionError):
            speaker.say(message)
            speaker.say(p_data((3, COMMAND | LAST, echo_request())))
            speaker.status()
        all_is_well(shared_clinic)


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: coverslip\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        p_data((1, COMMAND | LAST, echo_request())),
        struct.pack(">BBI", 1, 0, 0xFFFFFFFF) + bytes(2_000_000),
        pdu(1, bytes(20)),
        pdu(1, struct.pack(">HH", 1, 0) + b"\xff" * 64 + item(0x10, b"") + b"\x20\0\xff\xff"),
        pdu(5, bytes(4)),
        pdu(7, bytes(4)),
    ],
    ids=["http", "tls", "data", "4 GiB", "short", "broken items", "release", "abort"],
)
def test_whoever_does_not_begin_as_dicom_is_let_go(shared_clinic: Clinic, first: bytes) -> None:
    with Speaker(shared_clinic.port) as speaker:
        with suppress(ConnectionError):
            speaker.say(first)
        speaker.ends()
    all_is_well(shared_clinic)


@pytest.mark.parametrize(
    ("change", "rejection"),
    [
        ({"calling": "STRANGER"}, (1, 1, 3)),
        ({"called": "ANYBODY"}, (1, 1, 7)),
    ],
)
def test_who_is_not_known_is_rejected_with_the_reason_of_the_standard(
    shared_clinic: Clinic, change: dict[str, str], rejection: tuple[int, int, int]
) -> None:
    with Speaker(shared_clinic.port) as speaker:
        assert speaker.associate([STORE], **change).rejection == rejection
    all_is_well(shared_clinic)


@pytest.mark.parametrize(
    "leave",
    [
        lambda speaker: speaker.abort(),
        lambda speaker: speaker.release(),
        lambda speaker: speaker.wire.close(),
        lambda speaker: speaker.say(struct.pack(">BBIIBB", 4, 0, 9_000, 8_996, 1, 0) + bytes(99)),
    ],
    ids=["abort", "release", "closed", "inside a PDU"],
)
def test_whoever_leaves_in_the_middle_of_an_object_leaves_nothing(
    shared_clinic: Clinic, leave: Callable[[Speaker], object]
) -> None:
    one = new_object(frame_bytes=300_000)
    with Speaker(shared_clinic.port).accepted() as speaker:
        speaker.start_store(one.uid)
        speaker.say_data(one.data_set[:700_000], last=False)
        with suppress(ConnectionError):
            leave(speaker)
    all_is_well(shared_clinic)


def _fragments(content: bytes, cuts: list[int], control: int) -> list[tuple[int, int, bytes]]:
    """Cut a message into presentation data values; a piece may be empty."""
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    pieces = [content[a:b] for a, b in pairwise(edges)]
    flags = [control] * (len(pieces) - 1) + [control | LAST]
    return [(1, flag, piece) for flag, piece in zip(flags, pieces, strict=True)]

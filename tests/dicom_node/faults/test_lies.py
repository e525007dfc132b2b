"""Objects that are not what they say: each is refused with a status, nothing of it is kept."""

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.dicom_node.faults.clinic import Clinic
from tests.dicom_node.faults.neighbours import all_is_well, new_object
from tests.dicom_node.faults.speaker import (
    COMMAND,
    DEFLATED,
    EXPLICIT,
    JPEG_BASELINE,
    LAST,
    VL_WSI,
    Context,
    Speaker,
    command,
    p_data,
    store_request,
    text,
    us,
)

SUCCESS = 0x0000
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = range(0xC000, 0xD000)
VL_MICROSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.2"
TRAILING_PADDING = struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 8) + bytes(8)


@pytest.mark.parametrize(
    "uid",
    [
        "../EVIL",
        "../../../../../../../../tmp/EVIL",
        "/tmp/EVIL",  # noqa: S108  that is the point
        "1.2.3/EVIL",
        "1.2.3\0EVIL",
        "EVIL",
        "1.2..3",
        ".1.2",
        "1.02.3",
        "1.2.\xe9",
        "1." + "2" * 63,
        "1." + "2" * 500,
        "",
    ],
)
def test_an_object_under_an_impossible_uid_is_kept_nowhere(shared_clinic: Clinic, uid: str) -> None:
    one = new_object()
    evil = one.data_set.replace(_element(one.uid), _element(uid))
    assert evil != one.data_set
    with Speaker(shared_clinic.port).accepted() as speaker:
        assert _store_named(speaker, uid, evil) != SUCCESS
    with Speaker(shared_clinic.port).accepted() as speaker:
        assert _store_named(speaker, one.uid, evil) != SUCCESS
    assert list(shared_clinic.folder.parent.rglob("*EVIL*")) == []
    assert not Path("/tmp/EVIL").exists()  # noqa: S108  there one of them points
    all_is_well(shared_clinic)


def test_an_object_that_is_another_than_announced_does_not_match(shared_clinic: Clinic) -> None:
    one, other = new_object(), new_object()
    with Speaker(shared_clinic.port).accepted() as speaker:
        assert speaker.store(other.uid, one.data_set) == DOES_NOT_MATCH
        other_class = one.data_set.replace(VL_WSI.encode(), VL_MICROSCOPIC.encode())
        assert speaker.store(one.uid, other_class) == DOES_NOT_MATCH
        shared_clinic.ledger.sends(one)
        assert speaker.store(one.uid, one.data_set) == SUCCESS
        shared_clinic.ledger.hears_success(one)
    all_is_well(shared_clinic)


def test_an_object_of_a_class_that_its_context_is_not_for_is_refused(shared_clinic: Clinic) -> None:
    one = new_object()
    with Speaker(shared_clinic.port).accepted(Context(abstract=VL_MICROSCOPIC)) as speaker:
        assert speaker.store(one.uid, one.data_set) != SUCCESS
    all_is_well(shared_clinic)


def test_an_object_that_is_cut_off_anywhere_is_refused(shared_clinic: Clinic) -> None:
    one = new_object()
    n_bytes = len(one.data_set)
    cuts = sorted({*range(0, n_bytes, 11), *range(n_bytes - 30, n_bytes)})
    with Speaker(shared_clinic.port).accepted() as speaker:
        for cut in cuts:
            status = speaker.store(one.uid, one.data_set[:cut])
            assert status in CANNOT_UNDERSTAND or status == DOES_NOT_MATCH, (cut, status)
        shared_clinic.ledger.sends(one)
        assert speaker.store(one.uid, one.data_set) == SUCCESS
        shared_clinic.ledger.hears_success(one)
    all_is_well(shared_clinic)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 1000,
        b"\xff" * 1000,
        b"GET / HTTP/1.1\r\n\r\n" * 50,
        struct.pack("<HH2sHI", 0x0008, 0x0005, b"UT", 0, 0xFFFFFFF0) + bytes(500),
        struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) * 400,
    ],
    ids=["nothing", "zeros", "ones", "http", "an endless element", "sequences without an end"],
)
def test_content_that_is_no_data_set_is_refused_and_the_association_goes_on(
    shared_clinic: Clinic, content: bytes
) -> None:
    one = new_object()
    with Speaker(shared_clinic.port).accepted() as speaker:
        assert speaker.store(one.uid, content) in CANNOT_UNDERSTAND
        shared_clinic.ledger.sends(one)
        assert speaker.store(one.uid, one.data_set) == SUCCESS
        shared_clinic.ledger.hears_success(one)
    all_is_well(shared_clinic)


def _lying_group_length(content: bytes) -> bytes:
    return struct.pack("<HH2sHI", 0x0008, 0x0000, b"UL", 4, 77) + content


@pytest.mark.parametrize(
    "change",
    [lambda content: content + TRAILING_PADDING, _lying_group_length],
    ids=["padding after the pixel data", "a group length that lies"],
)
def test_what_the_standard_lets_pass_is_kept_as_it_came(
    shared_clinic: Clinic, change: Callable[[bytes], bytes]
) -> None:
    made = new_object()
    one = type(made)(uid=made.uid, study=made.study, data_set=change(made.data_set))
    with Speaker(shared_clinic.port).accepted() as speaker:
        shared_clinic.ledger.sends(one)
        assert speaker.store(one.uid, one.data_set) == SUCCESS
        shared_clinic.ledger.hears_success(one)
    all_is_well(shared_clinic)


def test_what_follows_the_pixel_data_is_kept_with_it_or_refused(shared_clinic: Clinic) -> None:
    made = new_object()
    one = type(made)(uid=made.uid, study=made.study, data_set=made.data_set + b"EVIL" * 100)
    with Speaker(shared_clinic.port).accepted() as speaker:
        shared_clinic.ledger.sends(one)
        status = speaker.store(one.uid, one.data_set)
        assert status == SUCCESS or status in CANNOT_UNDERSTAND
        if status == SUCCESS:
            shared_clinic.ledger.hears_success(one)
    all_is_well(shared_clinic)


def test_a_data_set_in_another_transfer_syntax_than_was_negotiated_is_refused(
    shared_clinic: Clinic,
) -> None:
    one = new_object()
    with Speaker(shared_clinic.port).accepted(Context(syntaxes=("1.2.840.10008.1.2",))) as speaker:
        assert speaker.store(one.uid, one.data_set) in CANNOT_UNDERSTAND
    all_is_well(shared_clinic)


def test_deflated_is_not_negotiated_and_what_else_is_proposed_is(shared_clinic: Clinic) -> None:
    with Speaker(shared_clinic.port) as speaker:
        answer = speaker.associate(
            [
                Context(number=1, syntaxes=(DEFLATED,)),
                Context(number=3, syntaxes=(DEFLATED, JPEG_BASELINE)),
                Context(number=5, syntaxes=(EXPLICIT, DEFLATED)),
            ]
        )
        assert answer.accepted == {3: JPEG_BASELINE, 5: EXPLICIT}
    all_is_well(shared_clinic)


def test_an_object_in_a_context_that_was_rejected_ends_its_association(
    shared_clinic: Clinic,
) -> None:
    one = new_object()
    contexts = [Context(number=1, syntaxes=(DEFLATED,)), Context(number=3)]
    with Speaker(shared_clinic.port).accepted(*contexts) as speaker:
        assert speaker.store(one.uid, one.data_set, context=1) is None
    all_is_well(shared_clinic)


def test_a_command_whose_group_length_lies_keeps_nothing_or_is_understood(
    shared_clinic: Clinic,
) -> None:
    one = new_object()
    request = store_request(one.uid)
    lying = request[:8] + struct.pack("<I", 4_000_000_000) + request[12:]
    with Speaker(shared_clinic.port).accepted() as speaker:
        shared_clinic.ledger.sends(one)
        speaker.say(p_data((1, COMMAND | LAST, lying)))
        speaker.say_data(one.data_set)
        if speaker.status() == SUCCESS:
            shared_clinic.ledger.hears_success(one)
    all_is_well(shared_clinic)


@pytest.mark.parametrize("missing", [0x0002, 0x0100, 0x0110, 0x0800, 0x1000])
def test_a_store_request_that_lacks_an_element_keeps_nothing(
    shared_clinic: Clinic, missing: int
) -> None:
    one = new_object()
    elements = {
        0x0002: text(VL_WSI), 0x0100: us(1), 0x0110: us(1), 0x0700: us(0), 0x0800: us(0),
        0x1000: text(one.uid),
    }  # fmt: skip
    del elements[missing]
    with Speaker(shared_clinic.port).accepted() as speaker:
        speaker.say(p_data((1, COMMAND | LAST, command(elements))))
        with suppress(ConnectionError):
            speaker.say_data(one.data_set)
            assert speaker.status() != SUCCESS
    all_is_well(shared_clinic)


def _store_named(speaker: Speaker, uid: str, data_set: bytes) -> int | None:
    """Store under a UID that may not be one."""
    name = uid.encode("latin-1")
    elements = {
        0x0002: text(VL_WSI), 0x0100: us(1), 0x0110: us(1), 0x0700: us(0), 0x0800: us(0),
        0x1000: name + b"\0" * (len(name) % 2),
    }  # fmt: skip
    try:
        speaker.say(p_data((1, COMMAND | LAST, command(elements))))
        speaker.say_data(data_set)
    except ConnectionError:
        return None
    return speaker.status()


def _element(uid: str) -> bytes:
    """Encode a SOP Instance UID in Explicit VR Little Endian."""
    value = uid.encode("latin-1")
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", 0x0008, 0x0018, b"UI", len(value)) + value

"""P-DATA and C-STORE commands read by hand say what the library says about them."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filereader import dcmread
from pydicom.uid import UID, ImplicitVRLittleEndian, JPEGBaseline8Bit
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, C_STORE_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.dsutils import decode
from pynetdicom.pdu import P_DATA_TF

from appliance import IMPLEMENTATION_CLASS_UID
from dicom_node.contexts import VL_WHOLE_SLIDE_MICROSCOPY
from dicom_node.receive.file_meta import file_meta
from dicom_node.receive.pdata import (
    COMMAND,
    LAST,
    MalformedPdu,
    StoreRequest,
    command_pdus,
    read_command,
    store_response,
    values,
)

uids = st.from_regex(r"(0|[1-9][0-9]{0,9})(\.(0|[1-9][0-9]{0,9})){1,4}", fullmatch=True)
shorts = st.integers(0, 65_535)
pieces = st.lists(
    st.tuples(st.integers(0, 127).map(lambda n: 2 * n + 1), st.integers(0, 3), st.binary()),
    min_size=1,
)


def encoded(message, primitive) -> bytes:
    message.primitive_to_message(primitive)
    pdus = list(message.encode_msg(1, 0))
    return pdus[0].presentation_data_value_list[0][1][1:]


@given(uid=uids, message_id=shorts)
def test_a_store_request_of_the_library_is_read(uid: str, message_id: int) -> None:
    request = C_STORE()
    request.MessageID, request.Priority = message_id, 2
    request.AffectedSOPClassUID = UID(VL_WHOLE_SLIDE_MICROSCOPY)
    request.AffectedSOPInstanceUID = UID(uid)
    request.DataSet = io.BytesIO(b"\0\0")
    read = read_command(encoded(C_STORE_RQ(), request))
    assert read is not None
    assert read.has_data_set
    assert read.store == StoreRequest(message_id, VL_WHOLE_SLIDE_MICROSCOPY.encode(), uid.encode())
    assert read.store.has_valid_uids


def test_another_request_is_told_from_a_store_request() -> None:
    request = C_ECHO()
    request.MessageID, request.AffectedSOPClassUID = 1, UID("1.2.840.10008.1.1")
    read = read_command(encoded(C_ECHO_RQ(), request))
    assert read is not None
    assert read.store is None
    assert not read.has_data_set


@given(uid=uids, message_id=shorts, status=shorts)
def test_a_response_is_what_the_library_would_have_sent(
    uid: str, message_id: int, status: int
) -> None:
    response = C_STORE()
    response.MessageIDBeingRespondedTo, response.Status = message_id, status
    response.AffectedSOPClassUID = UID(VL_WHOLE_SLIDE_MICROSCOPY)
    response.AffectedSOPInstanceUID = UID(uid)
    request = StoreRequest(message_id, VL_WHOLE_SLIDE_MICROSCOPY.encode(), uid.encode())
    assert store_response(request, status) == encoded(C_STORE_RSP(), response)


@given(command=st.binary(min_size=1, max_size=500), maximum=st.integers(0, 400))
def test_a_command_is_wrapped_within_what_the_peer_takes(command: bytes, maximum: int) -> None:
    pdus = command_pdus(3, command, maximum_bytes=maximum)
    at, found = 0, b""
    while at < len(pdus):
        length = int.from_bytes(pdus[at + 2 : at + 6], "big")
        assert not maximum or length <= max(maximum, 7)
        one = P_DATA_TF()
        one.decode(pdus[at : at + 6 + length])
        ((context_id, value),) = one.to_primitive().presentation_data_value_list
        at += 6 + length
        assert context_id == 3
        assert value[0] == (COMMAND | LAST if at == len(pdus) else COMMAND)
        found += value[1:]
    assert found == command


def wrapped(values_of: list[tuple[int, int, bytes]]) -> bytes:
    body = b"".join(
        (len(content) + 2).to_bytes(4, "big") + bytes([context_id, control]) + content
        for context_id, control, content in values_of
    )
    return b"\x04\0" + len(body).to_bytes(4, "big") + body


@given(pieces)
def test_every_presentation_data_value_is_found(values_of: list[tuple[int, int, bytes]]) -> None:
    found = [(one, control, bytes(part)) for one, control, part in values(
        memoryview(wrapped(values_of))
    )]  # fmt: skip
    assert found == values_of


@given(pieces, st.data())
def test_a_wrong_length_inside_is_never_read_over(values_of, data: st.DataObject) -> None:
    pdu = bytearray(wrapped(values_of))
    at = data.draw(st.integers(6, 9))
    pdu[at] ^= data.draw(st.integers(1, 255))
    try:
        found = list(values(memoryview(bytes(pdu))))
    except MalformedPdu:
        return
    assert sum(6 + len(part) for _, _, part in found) == len(pdu) - 6


@given(st.binary(max_size=200))
def test_a_garbled_command_is_never_a_crash(command: bytes) -> None:
    read_command(command)


@pytest.mark.parametrize("uid", ["", "1..2", "1.02", "../1", "1." * 33, "1.2a", "1.2 3"])
def test_a_uid_against_the_rules_is_seen(uid: str) -> None:
    assert not StoreRequest(1, VL_WHOLE_SLIDE_MICROSCOPY.encode(), uid.encode()).has_valid_uids


@given(uids)
def test_file_meta_information_is_read_back(uid: str) -> None:
    content = file_meta(
        sop_class_uid=VL_WHOLE_SLIDE_MICROSCOPY,
        sop_instance_uid=uid,
        transfer_syntax_uid=JPEGBaseline8Bit,
    )
    meta = dcmread(io.BytesIO(content)).file_meta
    assert meta.MediaStorageSOPInstanceUID == uid
    assert meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.FileMetaInformationGroupLength == len(content) - 144


def test_a_response_is_read_by_pydicom_too() -> None:
    request = StoreRequest(7, b"1.2.3", b"1.2.3.4")
    read = decode(
        io.BytesIO(store_response(request, 0xA700)),
        ImplicitVRLittleEndian.is_implicit_VR,
        ImplicitVRLittleEndian.is_little_endian,
    )
    assert (read.Status, read.MessageIDBeingRespondedTo) == (0xA700, 7)

"""Bodies and files that come in fragments: where they are cut never matters."""

import io
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from appliance.errors import InvalidInstance
from dicom_node.dicomweb.multipart import MalformedBody, MultipartReader, media_type
from dicom_node.dicomweb.part10 import MAXIMUM_HEAD_BYTES, Head, HeadReader

BOUNDARY = "bound"


class Collected:
    """What came, part by part."""

    def __init__(self) -> None:
        self.parts: list[tuple[dict[str, str], bytearray]] = []
        self.n_whole = 0

    def begin(self, headers) -> None:
        self.parts.append((dict(headers), bytearray()))

    def data(self, fragment: memoryview) -> None:
        self.parts[-1][1].extend(fragment)

    def end(self) -> None:
        self.n_whole += 1


def cut(content: bytes, places: list[int]) -> list[bytes]:
    """Cut content at these places, taken round."""
    marks = sorted({0, len(content), *(one % (len(content) + 1) for one in places)})
    return [content[i:j] for i, j in pairwise(marks)]


def read(body: bytes, places: list[int]) -> Collected:
    collected = Collected()
    reader = MultipartReader(BOUNDARY, collected)
    for piece in cut(body, places):
        reader.feed(piece)
    reader.finish()
    return collected


LURES = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"-", b"--", b"\r\n-", b"\r\n--", b"\r\n--b", b"\r\n--boun",
     b"\r\n--boundx", b"\r\n--bound-x", b"--bound", b"--bound--", b"\r\r\n--bou"]
)  # fmt: skip
PIXELS = st.lists(st.one_of(st.binary(max_size=12), LURES), max_size=12).map(b"".join)


def _is_cut_by_boundary(content: bytes) -> bool:
    """Whether content holds a boundary of its own, which no reader could tell from one."""
    return any(b"\r\n--bound" + end in b"\r\n" + content + b"\r\n"
               for end in (b"\r\n", b"--", b" ", b"\t"))  # fmt: skip


@given(
    parts=st.lists(PIXELS.filter(lambda one: not _is_cut_by_boundary(one)), min_size=1, max_size=4),
    places=st.lists(st.integers(min_value=0, max_value=2000), max_size=40),
    tail=st.sampled_from([b"", b"\r\n", b"\r\nepilogue"]),
)
@settings(max_examples=400, deadline=None)
def test_parts_come_out_as_they_went_in_wherever_the_body_is_cut(
    parts: list[bytes], places: list[int], tail: bytes
) -> None:
    head = b"Content-Type: application/dicom\r\nX-Number: 1\r\n\r\n"
    body = b"".join(b"\r\n--bound\r\n" + head + one for one in parts) + b"\r\n--bound--" + tail
    found = read(body, places)
    assert [bytes(content) for _, content in found.parts] == parts
    assert found.n_whole == len(parts)
    assert found.parts[0][0] == {"content-type": "application/dicom", "x-number": "1"}


@given(body=st.binary(max_size=200), places=st.lists(st.integers(0, 200), max_size=8))
def test_garbage_is_malformed_and_nothing_else(body: bytes, places: list[int]) -> None:
    with pytest.raises(MalformedBody):
        read(b"--bound" + body.replace(b"--bound--", b""), places)


@given(keep=st.integers(min_value=0, max_value=59))
def test_a_body_that_is_cut_short_is_malformed(keep: int) -> None:
    body = b"--bound\r\nContent-Type: application/dicom\r\n\r\n" + b"x" * 20 + b"\r\n--bound--"
    assert read(body, []).n_whole == 1
    with pytest.raises(MalformedBody):
        read(body[:keep], [])


@pytest.mark.parametrize("boundary", ["", "x" * 201, "ä"])
def test_what_is_no_boundary_is_malformed(boundary: str) -> None:
    with pytest.raises(MalformedBody):
        MultipartReader(boundary, Collected())


def test_headers_and_an_epilogue_without_end_are_malformed() -> None:
    with pytest.raises(MalformedBody):
        read(b"--bound\r\n" + b"x: y\r\n" * 40, [])
    with pytest.raises(MalformedBody):
        read(b"--bound\r\nx: " + b"y" * 10_000, [])
    with pytest.raises(MalformedBody):
        read(b"--bound\r\n\r\nx\r\n--bound--" + bytes(200_000), list(range(0, 200_000, 10_000)))


def test_a_content_type_is_read_with_its_parameters() -> None:
    assert media_type('Multipart/Related; type="application/dicom"; boundary="a b"') == (
        "multipart/related",
        {"type": "application/dicom", "boundary": "a b"},
    )
    assert media_type("") == ("", {})


def meta_of(uid: str, *, more: int = 0) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if more:
        meta.PrivateInformationCreatorUID = "1.2.3"
        meta.PrivateInformation = bytes(more)
    one = Dataset()
    one.file_meta = meta
    one.SOPInstanceUID = uid
    buffer = io.BytesIO()
    one.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def feed(content: bytes, places: list[int]) -> tuple[Head | None, bytes]:
    reader, rest = HeadReader(), b""
    head: Head | None = None
    for piece in cut(content, places):
        if head is None:
            head = reader.feed(piece)
        else:
            rest += piece
    return head, rest


@given(places=st.lists(st.integers(min_value=0, max_value=600), max_size=30))
@settings(deadline=None)
def test_the_head_of_a_file_is_read_wherever_it_is_cut(places: list[int]) -> None:
    content = meta_of("1.2.3.4.5", more=200)
    head, rest = feed(content, places)
    assert head is not None
    assert head.announced.sop_instance_uid == "1.2.3.4.5"
    assert head.announced.transfer_syntax_uid == ExplicitVRLittleEndian
    assert head.data_set + rest == content[content.index(b"\x08\x00\x18\x00UI") :]


def test_a_wrong_group_length_does_not_matter() -> None:
    content = bytearray(meta_of("1.2.3.4.5"))
    content[140:144] = (7).to_bytes(4, "little")
    head, _ = feed(bytes(content), [])
    assert head is not None
    assert head.data_set.startswith(b"\x08\x00\x18\x00UI")


@given(st.binary(min_size=300, max_size=600), st.lists(st.integers(0, 600), max_size=5))
def test_garbage_is_no_dicom_file(content: bytes, places: list[int]) -> None:
    assert _head_of(content[:128] + b"DICM\x02\x00" + content, places) is None
    assert _head_of(b"\0" + content, places) is None


def _head_of(content: bytes, places: list[int]) -> Head | None:
    try:
        return feed(content, places)[0]
    except InvalidInstance:
        return None


def test_meta_information_is_bounded() -> None:
    for places in ([], list(range(0, 200_000, 500))):
        with pytest.raises(InvalidInstance):
            feed(meta_of("1.2.3", more=MAXIMUM_HEAD_BYTES), places)
    element = b"\x02\x00\x02\x01OB\0\0\x00\x10\0\0" + bytes(4096)
    with pytest.raises(InvalidInstance, match="too long"):
        feed(bytes(128) + b"DICM" + element * 30, list(range(0, 150_000, 1000)))


def test_a_head_without_a_uid_is_refused() -> None:
    uid = generate_uid()
    content = meta_of(uid)
    without = content.replace(b"\x02\x00\x03\x00", b"\x02\x00\x04\x00", 1)
    with pytest.raises(InvalidInstance, match="lacks a UID"):
        feed(without, [])
    with pytest.raises(InvalidInstance, match="lacks a UID"):
        feed(content.replace(uid.encode(), (b"../" * 40)[: len(uid)], 1), [])

"""Objects of slides as bytes, made quickly from a template: thousands of them are sent."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from tests.dicom_node.faults.ledger import Sent
from tests.dicom_node.objects import Image, dataset_of

_UID = "1.2.826.0.1.3680043.10.{kind}.9{number:011d}"
_TEMPLATE_NUMBER = 99_999_999_999


def volume(number: int, *, slide: int, frame_bytes: int = 100) -> Sent:
    """Give a level of a slide."""
    return _made(number, slide, flavour="VOLUME", rows=16, frame_bytes=frame_bytes)


def label(number: int, *, slide: int) -> Sent:
    """Give the label of a slide; the clinic's scanner sends it last."""
    return _made(number, slide, flavour="LABEL", rows=8, frame_bytes=100)


def slide_of(slide: int, *, levels: int, frame_bytes: int = 100) -> Iterator[Sent]:
    """Give a slide: levels, then the label."""
    for level in range(levels):
        yield volume(slide * 1000 + level, slide=slide, frame_bytes=frame_bytes)
    yield label(slide * 1000 + 999, slide=slide)


def _made(number: int, slide: int, *, flavour: str, rows: int, frame_bytes: int) -> Sent:
    content = _template(flavour, rows, frame_bytes)
    uid, study = _uid(1, number), _uid(2, slide)
    for kind, value in ((1, uid), (2, study), (3, _uid(3, slide)), (4, _uid(4, slide))):
        content = content.replace(_uid(kind, _TEMPLATE_NUMBER).encode(), value.encode())
    content = content.replace(b"C" + b"9" * 11, b"C%011d" % slide)
    return Sent(uid=uid, study=study, data_set=content)


def _uid(kind: int, number: int) -> str:
    return _UID.format(kind=kind, number=number)


@cache
def _template(flavour: str, rows: int, frame_bytes: int) -> bytes:
    image = Image(
        uid=_uid(1, _TEMPLATE_NUMBER),
        study=_uid(2, _TEMPLATE_NUMBER),
        series=_uid(3, _TEMPLATE_NUMBER),
        frame_of_reference=_uid(4, _TEMPLATE_NUMBER),
        container="C" + "9" * 11,
        flavour=flavour,
        rows=rows,
        columns=16,
        frame_bytes=frame_bytes,
    )
    return data_set_of(image)


def data_set_of(image: Image) -> bytes:
    """Encode an object's data set, without file meta information."""
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = False
    write_dataset(buffer, dataset_of(replace(image)))
    return buffer.getvalue()

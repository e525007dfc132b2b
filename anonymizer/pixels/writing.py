"""A DICOM file of our own around a new data set (PS3.10 7.1): nothing of the old frame stays."""

from collections.abc import Sequence
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian

from anonymizer.part10.elements import (
    TRANSFER_SYNTAX_UID,
    Element,
    Header,
    encode,
    find,
)
from anonymizer.part10.reading import PREAMBLE_BYTES
from anonymizer.pixels.frames import Progress, write_pixel_data
from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.errors import InvalidInstance
from appliance.storage import storage_errors

_FIRST_PIXEL_ATTRIBUTE = 0x7FE00001
_BUFFER_BYTES = 64 << 10
"""Frames come in larger pieces and are not buffered."""


def write_object(target: Path, header: Header, elements: Sequence[Element], done: Progress) -> None:
    """Write a new file: empty preamble, own file meta, the new data set, the streamed pixels.

    An object without pixels ends with its data set.

    Raises
    ------
    InvalidInstance
        The frames of the source cannot be copied.
    StorageFull
        The disk is full.
    """
    late = [element for element in elements if element.tag >= _FIRST_PIXEL_ATTRIBUTE]
    if late and header.pixels is not None:
        raise InvalidInstance("The object has attributes behind its pixel data.")
    with storage_errors(), target.open("xb", buffering=_BUFFER_BYTES) as file:
        file.write(bytes(PREAMBLE_BYTES) + b"DICM" + _meta(header, elements))
        file.write(encode(elements))
        if header.pixels is not None:
            write_pixel_data(header, elements, file, done)


def _meta(header: Header, elements: Sequence[Element]) -> bytes:
    native = header.pixels is None or header.pixels.length is not None
    syntax = ExplicitVRLittleEndian if native else header.transfer_syntax_uid
    meta = encode(
        (
            Element(0x00020001, "OB", b"\x00\x01"),
            Element(0x00020002, "UI", find(elements, 0x00080016)),
            Element(0x00020003, "UI", find(elements, 0x00080018)),
            Element(TRANSFER_SYNTAX_UID, "UI", syntax.encode("ascii")),
            Element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
            Element(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
        )
    )
    return encode((Element(0x00020000, "UL", len(meta).to_bytes(4, "little")),)) + meta

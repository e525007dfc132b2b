"""Objects of every kind in which every attribute and every content item holds a canary."""

import json
import struct
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian

from anonymizer.part10.elements import PIXEL_VRS, Element, element_header, encode
from anonymizer.profile.iod import iod_of
from tests.anonymizer.planted import Canaries, element, everything, with_values

_SIDE_PX = 8
_CONTENT_SEQUENCE = 0x0040A730
_RELATIONSHIP = Element(0x0040A010, "CS", b"CONTAINS")
_VALUE_VRS = {
    "TEXT": (0x0040A160, "UT"),
    "PNAME": (0x0040A123, "PN"),
    "DATE": (0x0040A121, "DA"),
    "DATETIME": (0x0040A120, "DT"),
    "UIDREF": (0x0040A124, "UI"),
}


def planted_object(sop_class_uid: str, canaries: Canaries) -> list[Element]:
    """Give an object of a SOP class, all its attributes with values to look for."""
    shape = iod_of(sop_class_uid)
    planted = [one for one in everything(shape, canaries) if one.tag not in PIXEL_VRS]
    needed = [
        Element(0x00080005, "CS", b"ISO_IR 192"),
        Element(0x00080016, "UI", sop_class_uid.encode()),
        Element(0x00080018, "UI", canaries.uid()),
        Element(0x00100020, "LO", f"{canaries.prefix}PATIENT".encode()),
        Element(0x0020000D, "UI", f"{canaries.root}900001".encode()),
    ]
    known = {one.tag for one in planted}
    if known & {0x00280010}:
        needed += _pixel_attributes(float_bits=_float_bits(sop_class_uid))
    if _CONTENT_SEQUENCE in known:
        needed.append(Element(_CONTENT_SEQUENCE, "SQ", items=tuple(content_tree(canaries))))
    return with_values(planted, *needed)


def _float_bits(sop_class_uid: str) -> int:
    return 32 if 0x7FE00008 in iod_of(sop_class_uid).attributes else 0


def _pixel_attributes(*, float_bits: int) -> list[Element]:
    bits = float_bits or 8
    numbers = {
        0x00280002: 1,
        0x00280010: _SIDE_PX,
        0x00280011: _SIDE_PX,
        0x00280100: bits,
        0x00280101: bits,
        0x00280102: bits - 1,
        0x00280103: 0,
    }
    return [
        Element(0x00080008, "CS", b"DERIVED\\PRIMARY"),
        Element(0x00280004, "CS", b"MONOCHROME2"),
        Element(0x00280008, "IS", b"1"),
        Element(0x00280301, "CS", b"NO"),
        Element(0x00280302, "CS", b"NO"),
        Element(0x00480010, "CS", b"NO"),
        *(Element(tag, "US", struct.pack("<H", value)) for tag, value in numbers.items()),
    ]


def content_tree(canaries: Canaries) -> Iterator[tuple[Element, ...]]:
    """Give an item for every row of Table E.3.4-1, every type of value, and for strangers."""
    rules = json.loads(
        files("anonymizer.profile").joinpath("content_rules.json").read_text("utf-8")
    )
    rows = [*rules["rows"], *(rule["item"] for rule in rules["rules"])]
    for row in rows:
        kind, code = row.split(" ")
        yield item(kind, _code(code.encode(), b"DCM", canaries), canaries)
    for kind in (*_VALUE_VRS, "CODE", "NUM", "CONTAINER", "IMAGE", "SCOORD", "TABLE", "CANARY"):
        inner = item("TEXT", _code(b"112039", b"DCM", canaries), canaries)
        strange = item(kind, _code(canaries.word(), b"99LOCAL", canaries), canaries)
        yield (*strange, Element(_CONTENT_SEQUENCE, "SQ", items=(inner, strange)))


def item(kind: str, name: tuple[Element, ...], canaries: Canaries) -> tuple[Element, ...]:
    """Give a content item of a value type, with every attribute that items of any type have."""
    sequence = iod_of("1.2.840.10008.5.1.4.1.1.88.34").attributes[_CONTENT_SEQUENCE]
    inside = sequence.items
    assert inside is not None
    made = [
        element(tag, attribute, canaries)
        for tag, attribute in inside.attributes.items()
        if attribute.items is None and tag != 0x0040DB73
    ]
    value = _VALUE_VRS.get(kind)
    own = [Element(value[0], value[1], canaries.value(value[1]))] if value else []
    reference = (Element(0x00081155, "UI", canaries.uid()),)
    return tuple(
        with_values(
            made,
            *own,
            _RELATIONSHIP,
            Element(0x0040A040, "CS", kind.encode()),
            Element(0x0040A043, "SQ", items=(name,)),
            Element(0x00081199, "SQ", items=(reference,)),
        )
    )


def _code(value: bytes, scheme: bytes, canaries: Canaries) -> tuple[Element, ...]:
    return (
        Element(0x00080100, "SH", value),
        Element(0x00080102, "SH", scheme),
        Element(0x00080104, "LO", canaries.word()),
    )


def write_object(path: Path, elements: list[Element], canaries: Canaries) -> Path:
    """Write a native object; one that has pixels gets some, and words behind them."""
    known = {one.tag: one.value for one in elements}
    meta = encode(
        [
            Element(0x00020001, "OB", b"\0\1"),
            Element(0x00020002, "UI", known[0x00080016]),
            Element(0x00020003, "UI", known[0x00080018]),
            Element(0x00020010, "UI", str(ExplicitVRLittleEndian).encode()),
            Element(0x00020012, "UI", canaries.uid()),
            Element(0x00020016, "AE", canaries.word()),
        ]
    )
    length = encode([Element(0x00020000, "UL", struct.pack("<I", len(meta)))])
    head = canaries.word().ljust(128, b"\0") + b"DICM" + length + meta
    path.write_bytes(head + encode(elements) + _pixels(known, canaries))
    return path


def _pixels(known: dict[int, bytes], canaries: Canaries) -> bytes:
    if 0x00280010 not in known:
        return encode([Element(0xFFFCFFFC, "OB", canaries.word() + b"\0")])
    is_float = known[0x00280100] == struct.pack("<H", 32)
    size = _SIDE_PX**2 * (4 if is_float else 1)
    tag, vr = (0x7FE00008, "OF") if is_float else (0x7FE00010, "OB")
    return element_header(tag, vr, size) + bytes(size) + canaries.word()

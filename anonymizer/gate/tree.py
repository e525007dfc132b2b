"""The second reader: pydicom opens the file, and sequences are walked here, strictly.

It shares no code with the reader and the writer whose work it checks. Only the one form that the
appliance writes is read (Explicit VR Little Endian, defined lengths, ascending tags, PS3.5 7);
values stay raw, so sixty thousand items of a sparse slide cost a second and not ten.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileDataset

PREAMBLE_BYTES = 128

Piece = tuple[int, str, bytes]
"""Tag, VR and raw value; that of a sequence is its items, still raw."""

_ITEM = 0xE000FFFE
_LONG_LENGTHS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_VRS = _LONG_LENGTHS | frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)
_NAMES = {vr: vr.decode("ascii") for vr in _VRS}
_HEAD = struct.Struct("<HH2sH")
_LONG = struct.Struct("<I")
_ITEM_HEAD = struct.Struct("<II")


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A de-identified file up to its pixels, as the second reader sees it."""

    path: Path
    preamble: bytes
    meta: Mapping[int, str]
    """File meta information as texts, by tag."""
    pieces: tuple[Piece, ...]
    pixels: int
    """Where Pixel Data starts, or the file ends."""


def read_output(path: Path) -> Output:
    """Read a file up to its pixels.

    Raises
    ------
    InvalidDicomError, ValueError, TypeError, AttributeError, NotImplementedError, struct.error
        It cannot be read, or is of a form that the appliance does not write.
    """
    with path.open("rb") as file:
        data_set = pydicom.dcmread(file, stop_before_pixels=True)
        pixels = file.tell()
    syntax = data_set.file_meta.TransferSyntaxUID
    if syntax.is_implicit_VR or not syntax.is_little_endian or syntax.is_deflated:
        raise ValueError
    _, last = max(data_set.items(), key=lambda one: one[0])
    if not isinstance(last, RawDataElement) or last.value_tell + last.length != pixels:
        raise ValueError  # pydicom passes over what is too short to be an element
    return Output(
        path=path,
        preamble=data_set.preamble or b"",
        meta={int(one.tag): str(one.value) for one in data_set.file_meta},
        pieces=_top_level(data_set),
        pixels=pixels,
    )


def items_of(value: bytes) -> list[list[Piece]]:
    """Walk the items of a sequence.

    Raises
    ------
    ValueError, struct.error
        They are of a form that the appliance does not write.
    """
    found, offset = [], 0
    while offset < len(value):
        mark, length = _ITEM_HEAD.unpack_from(value, offset)
        end = offset + 8 + length
        if mark != _ITEM or end > len(value):
            raise ValueError
        found.append(_pieces(value, offset + 8, end))
        offset = end
    return found


def _pieces(value: bytes, offset: int, end: int) -> list[Piece]:
    found, last = [], -1
    while offset < end:
        group, element, vr, length = _HEAD.unpack_from(value, offset)
        tag = group << 16 | element
        offset += 8
        if vr in _LONG_LENGTHS:
            length = _LONG.unpack_from(value, offset)[0]
            offset += 4
        stop = offset + length
        if tag <= last or vr not in _NAMES or stop > end:
            raise ValueError
        found.append((tag, _NAMES[vr], value[offset:stop]))
        last, offset = tag, stop
    return found


def _top_level(data_set: FileDataset) -> tuple[Piece, ...]:
    return tuple(_piece(element) for _, element in sorted(data_set.items()))


def _piece(element: DataElement | RawDataElement) -> Piece:
    if isinstance(element, RawDataElement):
        return int(element.tag), str(element.VR), element.value or b""
    if element.VR == "SQ":  # only of undefined length is a sequence converted already
        raise ValueError
    values = element.value if element.VM > 1 else [element.value or ""]
    return int(element.tag), str(element.VR), "\\".join(map(str, values)).encode("utf-8")

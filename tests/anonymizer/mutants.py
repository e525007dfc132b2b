"""Planted slides with faults in them: in elements and lengths, in frames, or in any byte."""

import struct
from collections.abc import Callable

from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary

from anonymizer.part10.elements import LONG_VRS, SHORT_VRS, Element, encode
from anonymizer.profile.iod import whole_slide_image
from tests.anonymizer import planted, planted_frames
from tests.anonymizer.planted import Canaries
from tests.anonymizer.planted_iods import planted_object

_WORD = Canaries().word()
_LARGEST_BYTES = 600
_COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
_CONTENT, _CONCEPT_NAME = 0x0040A730, 0x0040A043
_ITEMS = 8


def _base() -> list[Element]:
    """A slide with what fits into a few kilobytes of the whole IOD."""
    canaries = Canaries()
    every = planted.everything(whole_slide_image(), canaries)
    small = [one for one in every if len(encode([one])) < _LARGEST_BYTES]
    return planted.with_values(
        [one for one in small if one.tag not in planted.NEVER], *planted.slim(canaries)
    )


BASE = _base()
FORMATS = planted_frames.formats(Canaries())
FORMATS["native"].noted.pop()  # a header that lies about the size makes pixels of what is behind
LENGTHS = st.one_of(
    st.sampled_from([0, 1, 2, 3, 7, 0xFFFE, 0xFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 0x80000000]),
    st.integers(0, 64),
)
VRS = st.sampled_from([*sorted(SHORT_VRS | LONG_VRS), "ZZ", "\0\0"])
TAGS = st.one_of(
    st.sampled_from([one.tag for one in BASE]),
    st.sampled_from(sorted(DicomDictionary)),
    st.sampled_from([0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x7FE00010, 0x00020010, 0x00091001]),
    st.integers(0, 0xFFFFFFFF),
)
VALUES = st.one_of(
    st.just(_WORD),
    st.binary(max_size=24),
    st.sampled_from([b"", b"\\", b"\\" * 9, b"\x1b$B", b"\xff" * 8, b"-1", b"1e999", b"NaN", b"0"]),
    st.text(max_size=12).map(lambda text: text.encode("utf-8", "replace")),
)


def _encoded(tag: int, vr: str, length: int, value: bytes) -> bytes:
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode("latin-1")
    if vr in LONG_VRS:
        return start + struct.pack("<HI", 0, length) + value
    return start + struct.pack("<H", length & 0xFFFF) + value


@st.composite
def _element(draw: st.DrawFn, one: Element) -> bytes:
    """One element, with some of its parts replaced."""
    whole = encode([one])
    kind = draw(
        st.sampled_from(["vr", "tag", "length", "value", "gone", "twice", "wrapped", "cut"])
    )
    if kind == "gone":
        return b""
    if kind == "twice":
        return whole * 2
    if kind == "cut":
        return whole[: draw(st.integers(0, len(whole)))]
    if kind == "wrapped":
        return _wrapped(draw, whole)
    value = whole[12:] if one.vr in LONG_VRS else whole[8:]
    tag, vr, length = one.tag, one.vr, len(value)
    if kind == "vr":
        vr = draw(VRS)
    elif kind == "tag":
        tag = draw(TAGS)
    elif kind == "length":
        length = draw(LENGTHS)
    else:
        value = draw(VALUES)
        length = len(value)
    return _encoded(tag, vr, length, value)


def _wrapped(draw: st.DrawFn, inner: bytes) -> bytes:
    """Put an element into a sequence, whose lengths may lie."""
    length = draw(st.one_of(st.just(len(inner)), LENGTHS))
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", length) + inner
    size = draw(st.one_of(st.just(len(item)), LENGTHS))
    return _encoded(draw(TAGS), draw(st.sampled_from(["SQ", "UN", "OB"])), size, item)


@st.composite
def structured(draw: st.DrawFn) -> bytes:
    """A slide some of whose elements or frames are not as they should be."""
    made = FORMATS[draw(st.sampled_from(sorted(FORMATS)))]
    elements = planted.with_values(BASE, *made.needed)
    chosen = draw(st.lists(st.integers(0, len(elements) - 1), max_size=5, unique=True))
    parts = [
        draw(_element(one)) if number in chosen else encode([one])
        for number, one in enumerate(elements)
    ]
    pixels = made.pixels(Canaries())
    native = made.syntax == planted_frames.EXPLICIT_LITTLE_ENDIAN
    if not native and draw(st.booleans()):  # native ones that are cut go on with what is behind
        pixels = draw(damaged(pixels))
    return planted.content(b"".join(parts), pixels, canaries=Canaries(), syntax=made.syntax)


def _report() -> list[Element]:
    """A report with a small tree of content."""
    every = {one.tag: one for one in planted_object(_COMPREHENSIVE_SR, Canaries())}
    items = every[_CONTENT].items or ()
    content = sorted(items, key=lambda item: len(encode(item)))[:_ITEMS]
    small = [one for one in every.values() if len(encode([one])) < _LARGEST_BYTES]
    name = every[_CONCEPT_NAME]
    return planted.with_values(small, name, Element(_CONTENT, "SQ", items=tuple(content)))


def _report_bytes(data_set: bytes) -> bytes:
    return planted.content(data_set, b"", syntax=planted_frames.EXPLICIT_LITTLE_ENDIAN)


REPORT = _report()
REPORT_BYTES = _report_bytes(encode(REPORT))


@st.composite
def reports(draw: st.DrawFn) -> bytes:
    """A structured report of which some elements, or some bytes, are not as they should be."""
    if draw(st.booleans()):
        return draw(damaged(REPORT_BYTES))
    chosen = draw(st.lists(st.integers(0, len(REPORT) - 1), max_size=5, unique=True))
    parts = [
        draw(_element(one)) if number in chosen else encode([one])
        for number, one in enumerate(REPORT)
    ]
    return _report_bytes(b"".join(parts))


WHOLE = planted.content(
    encode(BASE), planted.encapsulated([planted.jpeg(n) for n in range(4)]), canaries=Canaries()
)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes = WHOLE) -> bytes:
    """Bytes of which some are others, are gone, came twice, or came from elsewhere."""
    changed = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(changed)))
        size = draw(st.integers(0, 40))
        _CHANGES[draw(st.sampled_from(sorted(_CHANGES)))](changed, place, size, draw)
    return bytes(changed)


def _copy(changed: bytearray, place: int, size: int, draw: st.DrawFn) -> None:
    start = draw(st.integers(0, len(changed)))
    changed[place:place] = changed[start : start + size]


_CHANGES: dict[str, Callable[[bytearray, int, int, st.DrawFn], None]] = {
    "flip": lambda changed, place, size, draw: changed.__setitem__(
        slice(place, place + 1), draw(st.binary(min_size=1, max_size=1))
    ),
    "number": lambda changed, place, size, draw: changed.__setitem__(
        slice(place, place + 4), struct.pack("<I", draw(LENGTHS))
    ),
    "remove": lambda changed, place, size, draw: changed.__delitem__(slice(place, place + size)),
    "insert": lambda changed, place, size, draw: changed.__setitem__(
        slice(place, place), draw(st.binary(max_size=16))
    ),
    "copy": _copy,
    "cut": lambda changed, place, size, draw: changed.__delitem__(slice(place, None)),
}

"""The part of the gate that trusts no reader: bytes of the header, heads and tails of frames."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from anonymizer.gate.needles import SHORTEST_IN_BYTES, Needles, words_of
from appliance.errors import IdentityDoubt

_HEAD_BYTES = 4096
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0" + bytes(4)
_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "latin-1")
_ELEMENT_HEAD_BYTES = 12
_EOI = b"\xff\xd9"
_JPEG, _J2K = b"\xff\xd8", b"\xff\x4f"
_COLOUR = (b"JFIF\0", b"Adobe\0", b"mrfx")
_LAST = {_JPEG: b"\xff\xda", _J2K: b"\xff\x90"}


def check_header_bytes(path: Path, pixels: int, needles: Needles, harmless: frozenset[str]) -> None:
    """Search everything before Pixel Data for whole values, in every encoding.

    Parameters
    ----------
    path
        A de-identified file.
    pixels
        Where its Pixel Data element starts.
    needles
        What must not be found.
    harmless
        Words that tables brought in; a value of nothing else is not sought.

    Raises
    ------
    IdentityDoubt
        A value was found.
    """
    with path.open("rb") as file:
        header = file.read(pixels).lower()
    for phrase, origin in (needles.uids | needles.phrases).items():
        if len(phrase) < SHORTEST_IN_BYTES or set(words_of(phrase)) <= harmless:
            continue
        if any(_stands_in(header, spelling) for spelling in _spellings(phrase)):
            raise IdentityDoubt(origin.sentence("the header"))


def check_pixels(path: Path, pixels: int, *, encapsulated: bool) -> None:
    """Check that frames carry no notes, and that nothing follows the pixels.

    Raises
    ------
    IdentityDoubt
        A frame has a comment or application segment, or does not end where it should.
    """
    start = pixels + _ELEMENT_HEAD_BYTES
    with path.open("rb", buffering=0) as file:
        descriptor = file.fileno()
        if encapsulated:
            end = _check_frames(descriptor, start)
        else:
            end = start + int(struct.unpack("<I", os.pread(descriptor, 4, start - 4))[0])
        size = os.fstat(descriptor).st_size
    if end != size:
        raise IdentityDoubt("There are bytes behind the pixels of the de-identified object.")


def _spellings(phrase: str) -> frozenset[bytes]:
    """Give a phrase in every encoding that has its letters."""
    names = [name for name in _ENCODINGS if name != "latin-1" or _is_latin(phrase)]
    return frozenset(phrase.encode(name, "surrogatepass") for name in names)


def _is_latin(phrase: str) -> bool:
    return all(ord(letter) <= 0xFF for letter in phrase)  # noqa: PLR2004


def _stands_in(header: bytes, needle: bytes) -> bool:
    """Whether the bytes hold the needle; digits do not count in the middle of a number."""
    place = header.find(needle)
    while place >= 0:
        around = header[max(0, place - 1) : place] + header[place + len(needle) :][:1]
        if not needle.isdigit() or not any(one in b"0123456789." for one in around):
            return True
        place = header.find(needle, place + 1)
    return False


def _check_frames(descriptor: int, offset: int) -> int:
    """Walk the items of Pixel Data, one read an item; give where the sequence ends."""
    seen: set[bytes] = set()
    table = True
    block = os.pread(descriptor, 8 + _HEAD_BYTES, offset)
    while block[:4] == _ITEM:
        length = int(struct.unpack_from("<I", block, 4)[0])
        following = os.pread(descriptor, 3 + 8 + _HEAD_BYTES, offset + 8 + length - 3)
        if not table:
            seen.add(_frame_head(block[8 : 8 + length], following[:3]))
        offset, block, table = offset + 8 + length, following[3:], False
    for head in seen:
        _check_head(head)
    if block[:8] != _SEQUENCE_END:
        raise IdentityDoubt("The pixels of the de-identified object cannot be read back.")
    return offset + 8


def _frame_head(head: bytes, tail: bytes) -> bytes:
    """Bytes of a frame up to its entropy-coded part; its last bytes must be the end marker."""
    last = _LAST.get(head[:2])
    if last is None:
        return b""
    if not tail.rstrip(b"\0").endswith(_EOI):
        raise IdentityDoubt("A frame of the de-identified object does not end where it should.")
    return head[: head.find(last)] if last in head else head


def _check_head(head: bytes) -> None:
    jpeg = head[:2] == _JPEG
    for marker, body in _segments(head):
        note = marker == 0xFE or 0xE0 <= marker <= 0xEF if jpeg else marker == 0x64  # noqa: PLR2004
        if note and not (jpeg and body.startswith(_COLOUR) and len(body) <= 14):  # noqa: PLR2004
            raise IdentityDoubt("A frame of the de-identified object still carries a comment.")


def _segments(head: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 2
    while offset + 4 <= len(head):
        length = int(struct.unpack_from(">H", head, offset + 2)[0])
        yield head[offset + 1], head[offset + 4 : offset + 2 + length]
        offset += 2 + length

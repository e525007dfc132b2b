"""What a file holds outside its data set: preamble, notes in frames, bytes behind the pixels.

Texts of it are needles too. Reading is bounded: a few kilobytes of a few frames.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from anonymizer.gate.readable import texts_in
from anonymizer.part10.elements import Header

_PREAMBLE_BYTES = 128
_HEAD_BYTES = 4096
_MOST_FRAMES = 16
_LONGEST_TAIL_BYTES = 1 << 16
_ITEM = b"\xfe\xff\x00\xe0"
_ITEM_HEAD_BYTES = 8
_SEQUENCE_END = b"\xfe\xff\xdd\xe0" + bytes(4)
_NOTES = frozenset((0xFE, 0x64, *range(0xE0, 0xF0)))
_SCANS = frozenset((0xDA, 0x90))
"""Where the entropy-coded part of a JPEG or JPEG 2000 codestream starts."""
_END = b"\xff\xd9"
_TAIL_BYTES = 512


def texts_outside(header: Header) -> Iterator[tuple[str, str]]:
    """Give what can be read outside the data set of a file, each with the place it stands in."""
    yield from (("file name", text) for text in _names(header.path))
    with header.path.open("rb", buffering=0) as file:
        descriptor = file.fileno()
        preamble = os.pread(descriptor, _PREAMBLE_BYTES, 0)
        yield from (("preamble", text) for text in texts_in(preamble))
        if header.pixels is None:
            return
        if header.pixels.length is not None:
            end = header.pixels.offset + header.pixels.length
            tail = os.pread(descriptor, _LONGEST_TAIL_BYTES, end)
        else:
            for note in _frames(descriptor, header.pixels.offset):
                yield from (("a frame", text) for text in texts_in(note))
            tail = _tail(descriptor)
        yield from (("bytes behind the pixels", text) for text in texts_in(tail))


def _names(path: Path) -> Iterator[str]:
    yield path.stem
    yield path.name


def _frames(descriptor: int, offset: int) -> Iterator[bytes]:
    """Give the notes in the first frames."""
    for _ in range(_MOST_FRAMES + 1):
        mark = os.pread(descriptor, _ITEM_HEAD_BYTES, offset)
        if len(mark) < _ITEM_HEAD_BYTES or mark[:4] != _ITEM:
            return
        length = struct.unpack_from("<I", mark, 4)[0]
        yield from _notes(os.pread(descriptor, min(length, _HEAD_BYTES), offset + 8))
        short = min(length, _TAIL_BYTES)
        yield _behind(os.pread(descriptor, short, offset + 8 + length - short))
        offset += _ITEM_HEAD_BYTES + length


def _behind(tail: bytes) -> bytes:
    """Give what follows the end marker of a codestream."""
    return tail.rpartition(_END)[2] if _END in tail else b""


def _notes(head: bytes) -> Iterator[bytes]:
    """Bodies of the segments that are notes; tables of a codestream look like texts too."""
    offset = 2
    while offset + 4 <= len(head) and head[offset] == 0xFF:  # noqa: PLR2004
        marker, length = head[offset + 1], int.from_bytes(head[offset + 2 : offset + 4], "big")
        if marker in _NOTES:
            yield head[offset + 4 : offset + 2 + length]
        if marker in _SCANS or length < 2:  # noqa: PLR2004
            return
        offset += 2 + length


def _tail(descriptor: int) -> bytes:
    """Give what stands behind the last item of a file; found from its end, which may be far."""
    size = os.fstat(descriptor).st_size
    last = os.pread(descriptor, _LONGEST_TAIL_BYTES, max(0, size - _LONGEST_TAIL_BYTES))
    end = last.rfind(_SEQUENCE_END)
    return last[end + len(_SEQUENCE_END) :] if end >= 0 else last

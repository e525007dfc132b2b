"""What can be read in raw bytes: texts by their character set, and texts hidden in binary values.

Bounded: no blob makes more than a fixed amount of text or nests deeper than a few levels.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO

from pydicom.charset import convert_encodings, decode_bytes

LARGEST_BLOB_BYTES = 1 << 20
"""Of a longer binary value the rest is not read."""

_LARGEST_INFLATED_BYTES = 4 << 20
_DEEPEST = 3
_MOST_MEMBERS = 50
_MOST_RUNS = 500
_LONGEST_RUN_BYTES = 4096
_TEXT_SHARE = 0.7
_RUN = re.compile(rb"[\x20-\x7e\xc3][\x20-\x7e\x80-\xc3]{5,}")
_WIDE_RUN = re.compile(rb"(?:[\x20-\x7e\xa0-\xff]\x00){4,}|(?:\x00[\x20-\x7e\xa0-\xff]){4,}")
_MARKUP = re.compile(r"[<>\"{}\[\]\t\r\n;|&]|='?|'(?= ?[/>])|, ?|: ")
_GZIP, _ZIP = b"\x1f\x8b\x08", b"PK\x03\x04"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_ESCAPE = re.compile(r"\x1b[ -/]+[0-~]")
"""Of ISO 2022; pydicom leaves that of GB 2312 in."""
_DELIMITERS = {0x09, 0x0A, 0x0C, 0x0D, 0x5C, 0x5E, 0x3D}  # PS3.5 6.1.2.5.3: reset of ISO 2022


def encodings_of(specific_character_set: str) -> tuple[str, ...]:
    """Name the encodings of a Specific Character Set (PS3.3 C.12.1.1.2) in pydicom's words."""
    terms = [term.strip() for term in specific_character_set.split("\\")]
    try:
        return tuple(convert_encodings(terms))
    except (LookupError, ValueError):
        return tuple(convert_encodings(None))


def decoded(value: bytes, encodings: Sequence[str]) -> frozenset[str]:
    """Read a text in its character set, and in others that writers use without saying so."""
    if value.isascii() and b"\x1b" not in value:
        return frozenset((value.decode("ascii"),))
    found = {decode_bytes(value, list(encodings), _DELIMITERS)}
    for name in ("utf-8", "latin-1"):
        try:
            found.add(value.decode(name))
        except UnicodeDecodeError:
            continue
    return frozenset(_ESCAPE.sub("", one) for one in found)


def pieces(text: str) -> Iterator[str]:
    """Give a text, and what stands between its markup when it is XML, JSON or a list."""
    stripped = text.strip(" \0\r\n\t")
    if stripped:
        yield stripped
    if _MARKUP.search(stripped):
        yield from filter(None, (piece.strip() for piece in _MARKUP.split(stripped)))


def texts_in(blob: bytes) -> Iterator[str]:
    """Give what can be read in a binary value, in compressed and archived parts of it too."""
    for part in _opened(blob[:LARGEST_BLOB_BYTES], _DEEPEST):
        yield from _runs(part)


def _runs(part: bytes) -> Iterator[str]:
    count = 0
    for pattern in (_RUN, _WIDE_RUN):
        for match in pattern.finditer(part):
            for start in range(match.start(), match.end(), _LONGEST_RUN_BYTES):
                text = _text(part[start : min(match.end(), start + _LONGEST_RUN_BYTES)]).strip()
                if _is_text(text):
                    count += 1
                    yield text
                if count > _MOST_RUNS:
                    return


def _is_text(run: str) -> bool:
    """Whether a run of readable bytes is more than chance among binary ones."""
    return sum(one.isalnum() or one in " ^-._" for one in run) >= _TEXT_SHARE * len(run)


def _text(run: bytes) -> str:
    if run[:1] == b"\0":
        return run.decode("utf-16-be", "replace")
    if run[1:2] == b"\0":
        return run.decode("utf-16-le", "replace")
    try:
        return run.decode("utf-8")
    except UnicodeDecodeError:
        return run.decode("latin-1")


def _opened(blob: bytes, depth: int) -> Iterator[bytes]:
    yield blob
    if depth == 0:
        return
    for inner in _unpacked(blob):
        yield from _opened(inner, depth - 1)


def _unpacked(blob: bytes) -> Iterator[bytes]:
    if _ZIP in blob:
        yield from _members(blob)
    starts = {blob.find(_GZIP): 31} | {blob.find(magic): 15 for magic in _ZLIB}
    if 0 not in starts:
        starts[0] = -15  # deflate without a header
    for start, window_bits in starts.items():
        if start >= 0:
            inflated = _inflated(blob[start:], window_bits)
            if inflated:
                yield inflated


def _inflated(data: bytes, window_bits: int) -> bytes:
    try:
        return zlib.decompressobj(window_bits).decompress(data, _LARGEST_INFLATED_BYTES)
    except zlib.error:
        return b""


def _members(blob: bytes) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(BytesIO(blob)) as archive:
            for info in archive.infolist()[:_MOST_MEMBERS]:
                yield info.filename.encode("utf-8", "replace")
                with archive.open(info) as member:
                    yield member.read(_LARGEST_INFLATED_BYTES)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, zlib.error):
        return

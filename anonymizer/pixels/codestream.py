"""Codestreams without their notes: what a decoder needs stays, everything else goes.

JPEG (T.81, T.87): APPn, COM and bytes after EOI go; APP14 (colour transform), JFIF and the mrfx
segment of JPEG-LS mean colour and are written anew in their one form. JPEG 2000 (T.800, T.814):
COM goes and a JP2 wrapper is taken off. Nothing is decoded, so pixels cannot change.

Only headers are walked; entropy-coded bytes are passed over by one search for the next marker.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.errors import InvalidInstance

_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_EOI, _SOS, _COM, _DNL, _DRI = 0xD9, 0xDA, 0xFE, 0xDC, 0xDD
_DQT, _DHT, _LSE, _SOF55 = 0xDB, 0xC4, 0xF8, 0xF7
_J2K_COM = 0x64
_TLM = b"\x55"
_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC3, _SOF55))
_APP0, _APP8, _APP14, _APP15 = 0xE0, 0xE8, 0xEE, 0xEF
_J2K_MAIN = frozenset((0x50, 0x51, 0x52, 0x53, 0x55, 0x57, 0x59, 0x5C, 0x5D, 0x5E, 0x5F, 0x60))
_J2K_TILE = frozenset((0x52, 0x53, 0x58, 0x5C, 0x5D, 0x5E, 0x5F, 0x61))
_J2K_CRG = 0x63

_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_ADOBE_BYTES = 12
_MRFX_BYTES = 5

# Bytes that make a marker of an FF before them: in JPEG all but 00 and restart markers (T.81
# F.1.2.3), in JPEG-LS those from 80 on (T.87 A.1), in JPEG 2000 those from 90 on but packet
# markers (T.800 A.8). An FF behind an FF is fill.
_Table = npt.NDArray[np.bool_]
_ENDS_JPEG: _Table = np.ones(256, np.bool_)
_ENDS_JPEG[[0x00, *range(0xD0, 0xD8), 0xFF]] = False
_ENDS_JPEG_LS: _Table = np.arange(256) >= 0x80  # noqa: PLR2004
_ENDS_JPEG_LS[[*range(0xD0, 0xD8), 0xFF]] = False
_ENDS_J2K: _Table = np.arange(256) >= 0x90  # noqa: PLR2004
_ENDS_J2K[[0x91, 0x92]] = False

_DAMAGED = "A frame of the slide is damaged: its codestream is not well formed."
_ODD = "A frame of the slide holds a codestream segment that is not allowed in slides."


class Stripper:
    """Strips one frame after another; frames of one slide mostly share their header."""

    def __init__(self) -> None:
        self._first_scan = _Scan(raw=b"", clean=b"", ends=_ENDS_JPEG)

    def strip(self, frame: bytes) -> bytes:
        """Take out of one encoded frame what is not needed to decode it.

        Parameters
        ----------
        frame
            One whole frame, padding included.

        Returns
        -------
        bytes
            The codestream alone, without padding; decodes to the same pixels.

        Raises
        ------
        InvalidInstance
            It is neither JPEG, JPEG-LS nor JPEG 2000, or damaged, or holds a segment that could
            hide something and that no scanner writes.
        """
        try:
            if frame[:2] == b"\xff\xd8":
                return self._strip_jpeg(frame)
            return _strip_j2k(frame if frame[:4] == b"\xff\x4f\xff\x51" else _unwrapped(frame))
        except (IndexError, struct.error) as error:
            raise InvalidInstance(_DAMAGED) from error

    def _strip_jpeg(self, frame: bytes) -> bytes:
        scan = self._first_scan
        if not scan.raw or not frame.startswith(scan.raw):
            scan = self._first_scan = _read_scan(frame, 2, b"\xff\xd8", _ENDS_JPEG)
        parts, offset = [scan.clean], len(scan.raw)
        while not scan.is_last:
            end = _next_marker(frame, offset, scan.ends)
            parts.append(frame[offset:end].rstrip(b"\xff"))
            scan = _read_scan(frame, end, b"", scan.ends)
            parts.append(scan.clean)
            offset = len(scan.raw)
        return b"".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """Segments of a JPEG up to the entropy-coded bytes of a scan, or up to the end."""

    raw: bytes
    """The frame up to there, as it was."""
    clean: bytes
    """What stays of the segments since the scan before."""
    ends: _Table
    """Which bytes after an FF end the entropy-coded bytes."""
    is_last: bool = False


def strip(frame: bytes) -> bytes:
    """Strip a single frame, as `Stripper.strip` does."""
    return Stripper().strip(frame)


def check_rle(frame: bytes) -> bytes:
    """Check the header of an RLE frame and give the frame back (PS3.5 G.5).

    Raises
    ------
    InvalidInstance
        The header has other bytes than the count and offsets of its segments.
    """
    if len(frame) < 64:  # noqa: PLR2004  the header has 16 numbers of 4 bytes
        raise InvalidInstance(_DAMAGED)
    count, *offsets = struct.unpack("<16I", frame[:64])
    used = offsets[:count]
    sound = 1 <= count <= len(offsets) and used == sorted(used) and not any(offsets[count:])
    if not sound or used[0] != 64 or used[-1] > len(frame):  # noqa: PLR2004
        raise InvalidInstance(_DAMAGED)
    return frame


def _read_scan(frame: bytes, offset: int, start: bytes, ends: _Table) -> _Scan:
    parts = [start]
    while True:
        marker, offset = _marker(frame, offset)
        if marker == _EOI:
            parts.append(b"\xff\xd9")
            return _Scan(raw=frame[:offset], clean=b"".join(parts), ends=ends, is_last=True)
        length = _length(frame, offset)
        segment = frame[offset - 2 : offset + length]
        parts.append(_jpeg_segment(marker, frame[offset + 2 : offset + length], segment))
        offset += length
        if marker == _SOF55:
            ends = _ENDS_JPEG_LS
        if marker == _SOS:
            return _Scan(raw=frame[:offset], clean=b"".join(parts), ends=ends)


def _next_marker(frame: bytes, offset: int, ends: _Table) -> int:
    """Find the marker that ends entropy-coded bytes."""
    data = np.frombuffer(frame, np.uint8, offset=offset)
    after_ff = np.flatnonzero(data[:-1] == 0xFF) + 1  # noqa: PLR2004
    found = after_ff[ends[data[after_ff]]]
    if not found.size:
        raise InvalidInstance("A frame of the slide ends before its codestream does.")
    return offset + int(found[0]) - 1


def _marker(frame: bytes, offset: int) -> tuple[int, int]:
    """Read a marker; fill bytes before it are passed over."""
    if frame[offset] != 0xFF:  # noqa: PLR2004  every marker starts with FF
        raise InvalidInstance(_DAMAGED)
    while frame[offset] == 0xFF:  # noqa: PLR2004
        offset += 1
    return frame[offset], offset + 1


def _length(frame: bytes, offset: int) -> int:
    length = int(struct.unpack_from(">H", frame, offset)[0])
    if length < 2 or offset + length > len(frame):  # noqa: PLR2004  the length counts itself
        raise InvalidInstance(_DAMAGED)
    return length


def _jpeg_segment(marker: int, body: bytes, segment: bytes) -> bytes:
    """Give a segment in the form in which it may stay, or nothing."""
    if marker == _COM or _APP0 <= marker <= _APP15:
        return _colour_segment(marker, body)
    if marker in _FRAMES:
        exact = len(body) == 6 + 3 * body[5]
    elif marker in _BODIES:
        exact = _BODIES[marker](body)
    else:
        raise InvalidInstance(_ODD)
    if not exact:
        raise InvalidInstance(_ODD)
    return b"\xff" + segment[1:]


def _colour_segment(marker: int, body: bytes) -> bytes:
    if marker == _APP0 and body[:5] == b"JFIF\0":
        return _JFIF
    if marker == _APP14 and body[:5] == b"Adobe" and len(body) >= _ADOBE_BYTES:
        return b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + body[11:12]
    if marker == _APP8 and body[:4] == b"mrfx" and len(body) >= _MRFX_BYTES:
        return b"\xff\xe8\x00\x07mrfx" + body[4:5]
    return b""


def _is_dqt(body: bytes) -> bool:
    offset = 0
    while offset < len(body):
        offset += 129 if body[offset] >> 4 else 65
    return offset == len(body)


def _is_dht(body: bytes) -> bool:
    offset = 0
    while offset < len(body):
        offset += 17 + sum(body[offset + 1 : offset + 17])
    return offset == len(body)


_BODIES: dict[int, Callable[[bytes], bool]] = {
    _DQT: _is_dqt,
    _DHT: _is_dht,
    _DRI: lambda body: len(body) == 2,  # noqa: PLR2004
    _DNL: lambda body: len(body) == 2,  # noqa: PLR2004
    _SOS: lambda body: len(body) == 4 + 2 * body[0],
    _LSE: lambda body: (body[0] == 1 and len(body) == 11) or body[0] in (2, 3),  # noqa: PLR2004
}


def _unwrapped(frame: bytes) -> bytes:
    """Take the contiguous codestream out of a JP2 file (T.800 I.5.4)."""
    if not frame.startswith(_JP2_SIGNATURE):
        raise InvalidInstance("A frame of the slide is in no format that slides have.")
    offset = 0
    while offset + 8 <= len(frame):
        length, kind = struct.unpack_from(">I4s", frame, offset)
        head = 8
        if length == 1:
            length, head = struct.unpack_from(">Q", frame, offset + 8)[0], 16
        end = len(frame) if length == 0 else offset + length
        if kind == b"jp2c":
            return frame[offset + head : end]
        if end <= offset:
            break
        offset = end
    raise InvalidInstance(_DAMAGED)


def _strip_j2k(frame: bytes) -> bytes:
    parts, offset, removed_in_tile = [b"\xff\x4f"], 2, False
    while frame[offset : offset + 2] != b"\xff\x90":
        kept, offset = _j2k_segment(frame, offset, _J2K_MAIN | {_J2K_CRG})
        parts.append(kept)
    main = parts
    parts = []
    while frame[offset : offset + 2] == b"\xff\x90":
        kept, end = _tile_part(frame, offset)
        removed_in_tile = removed_in_tile or len(kept) != end - offset
        parts.append(kept)
        offset = end
    if frame[offset : offset + 2] != b"\xff\xd9":
        raise InvalidInstance(_DAMAGED)
    if removed_in_tile:  # the lengths that TLM lists are no longer true; it is optional
        main = [segment for segment in main if segment[1:2] != _TLM]
    return b"".join((*main, *parts, b"\xff\xd9"))


def _j2k_segment(frame: bytes, offset: int, allowed: frozenset[int]) -> tuple[bytes, int]:
    """Give a marker segment, or nothing for a comment, and where the next one starts."""
    marker = frame[offset + 1]
    end = offset + 2 + _length(frame, offset + 2)
    if frame[offset] != 0xFF or marker not in allowed | {_J2K_COM}:  # noqa: PLR2004
        raise InvalidInstance(_ODD)
    return (b"" if marker == _J2K_COM else frame[offset:end]), end


def _tile_part(frame: bytes, start: int) -> tuple[bytes, int]:
    """Give one tile-part without comments, its length corrected, and where it ended."""
    head = frame[start : start + 12]
    stated = int(struct.unpack_from(">I", head, 6)[0])
    kept, offset = [], start + 12
    while frame[offset : offset + 2] != b"\xff\x93":
        segment, offset = _j2k_segment(frame, offset, _J2K_TILE)
        kept.append(segment)
    end = _end_of_tile_part(frame, offset + 2, start, stated)
    body = b"".join((*kept, frame[offset:end]))
    length = 0 if stated == 0 else len(head) + len(body)
    return head[:6] + struct.pack(">I", length) + head[10:] + body, end


def _end_of_tile_part(frame: bytes, data: int, start: int, stated: int) -> int:
    found = _next_marker(frame, data, _ENDS_J2K)
    if stated and found != start + stated:
        raise InvalidInstance(_DAMAGED)
    return found

"""JPEG and JPEG-LS frames without their notes (T.81, T.87).

APPn, COM and bytes behind EOI go. APP14 (colour transform), JFIF and the mrfx segment of JPEG-LS
mean colour and are written anew in their one form. Entropy-coded bytes stay as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass

from anonymizer.pixels.markers import JPEG, JPEG_LS, Block, Stuffing
from appliance.errors import InvalidInstance

START = b"\xff\xd8"

_END = b"\xff\xd9"
_EOI, _SOS, _COM, _DNL, _DRI = 0xD9, 0xDA, 0xFE, 0xDC, 0xDD
_DQT, _DHT, _LSE, _SOF55 = 0xDB, 0xC4, 0xF8, 0xF7
_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC3, _SOF55))
_APP0, _APP8, _APP14, _APP15 = 0xE0, 0xE8, 0xEE, 0xEF
_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_ADOBE_BYTES = 12
_MRFX_BYTES = 5

_DAMAGED = "A frame of the slide is damaged: its codestream is not well formed."
_ODD = "A frame of the slide holds a codestream segment that is not allowed in slides."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """Segments up to the entropy-coded bytes of a scan, or up to the end."""

    raw: bytes
    """As they were."""
    clean: bytes
    """What stays of them."""
    stuffing: Stuffing = JPEG
    is_last: bool = False


class JpegCleaner:
    """Cleans one frame after another; frames of one slide mostly share their header."""

    def __init__(self) -> None:
        self._header = _Scan(raw=b"", clean=b"")

    def clean(self, block: Block, start: int, end: int) -> int | bytes:
        """Clean a frame; see `codestream.Cleaner.clean`."""
        scan = self._header
        if not scan.raw or not block.data.startswith(scan.raw, start, end):
            scan = self._header = _read_scan(block, start + 2, end, _Scan(raw=START, clean=START))
        parts: list[bytes | memoryview] = [scan.clean]
        is_clean = scan.raw == scan.clean
        offset = start + len(scan.raw)
        while not scan.is_last:
            marker = block.next_marker(offset, end, scan.stuffing)
            if is_clean and _ends_clean(block.data, offset, marker):
                return marker + 2
            entropy_coded = block.view[offset : _without_fill(block.data, offset, marker)]
            scan = _read_scan(block, marker, end, _Scan(raw=b"", clean=b"", stuffing=scan.stuffing))
            is_clean &= offset + len(entropy_coded) == marker and scan.raw == scan.clean
            parts += (entropy_coded, scan.clean)
            offset = marker + len(scan.raw)
        return offset if is_clean else b"".join(parts)


def _read_scan(block: Block, offset: int, end: int, before: _Scan) -> _Scan:
    """Read segments from an offset on; `before` is what was read in front of it."""
    data, start, stuffing = block.data, offset, before.stuffing
    kept = [before.clean]
    marker = 0
    while marker not in (_SOS, _EOI):
        marker, offset = _marker(data, offset)
        if marker == _EOI:
            kept.append(_END)
        else:
            body = _body(data, offset, end)
            kept.append(_segment(marker, body))
            offset += 2 + len(body)
        if marker == _SOF55:
            stuffing = JPEG_LS
    if offset > end:
        raise InvalidInstance(_DAMAGED)
    raw = before.raw + data[start:offset]
    return _Scan(raw=raw, clean=b"".join(kept), stuffing=stuffing, is_last=marker == _EOI)


def _ends_clean(data: bytes | bytearray, offset: int, marker: int) -> bool:
    """Whether a marker is EOI, with no fill before; so end all frames but progressive ones."""
    return data[marker + 1] == _EOI and (marker == offset or data[marker - 1] != 0xFF)  # noqa: PLR2004


def _without_fill(data: bytes | bytearray, offset: int, marker: int) -> int:
    """Give where entropy-coded bytes end, without the FFs with which a writer filled up."""
    while marker > offset and data[marker - 1] == 0xFF:  # noqa: PLR2004
        marker -= 1
    return marker


def _marker(data: bytes | bytearray, offset: int) -> tuple[int, int]:
    """Read a marker; fill bytes before it are passed over."""
    if data[offset] != 0xFF:  # noqa: PLR2004  every marker starts with FF
        raise InvalidInstance(_DAMAGED)
    while data[offset] == 0xFF:  # noqa: PLR2004
        offset += 1
    return data[offset], offset + 1


def _body(data: bytes | bytearray, offset: int, end: int) -> bytes:
    length = int.from_bytes(data[offset : offset + 2], "big")
    if length < 2 or offset + length > end:  # noqa: PLR2004  the length counts itself
        raise InvalidInstance(_DAMAGED)
    return bytes(data[offset + 2 : offset + length])


def _segment(marker: int, body: bytes) -> bytes:
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
    return bytes((0xFF, marker)) + (2 + len(body)).to_bytes(2, "big") + body


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

"""What a JPEG codestream says about itself (ITU-T T.81 B.2); the DICOM header is not believed."""

import re
import struct
from dataclasses import dataclass

_SOI = b"\xff\xd8"
_START_OF_SCAN = 0xFFDA
_SEGMENT = struct.Struct(">HH")
_FILL = re.compile(rb"\xff+(?=\xff)")
"""Bytes that may stand before any marker (T.81 B.1.1.2)."""
_FRAME = struct.Struct(">BHHB")
HUFFMAN_FRAMES = frozenset((0xFFC0, 0xFFC1, 0xFFC2))
LOSSLESS_FRAME = 0xFFC3
JPEG_LS_FRAME = 0xFFF7
"""ITU-T T.87 C.2.2."""
_FRAMES = frozenset(
    (*range(0xFFC0, 0xFFC4), *range(0xFFC5, 0xFFC8), *range(0xFFC9, 0xFFCC), *range(0xFFCD, 0xFFD0))
) | {JPEG_LS_FRAME}
_ADOBE = 0xFFEE
_JFIF = 0xFFE0
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
"""An APP14 segment whose colour transform is 0: three components are RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegFacts:
    """What the segments before the scan say."""

    bits: int
    components: int
    names_colour: bool
    """A JFIF or Adobe segment says how the colours are coded."""
    says_rgb: bool
    """An Adobe segment says that the components are RGB."""
    frame: int
    """The start-of-frame marker, which names the process."""
    rows: int
    columns: int


def jpeg_facts(codestream: bytes) -> JpegFacts | None:
    """Read the segments of a Huffman-coded JPEG; None when it is anything else."""
    facts = any_jpeg_facts(codestream)
    return facts if facts is not None and facts.frame in HUFFMAN_FRAMES else None


def any_jpeg_facts(codestream: bytes) -> JpegFacts | None:
    """Read the segments of a JPEG of any process, or of a JPEG-LS; None when it is neither."""
    if not codestream.startswith(_SOI):
        return None
    position, found, colour, rgb = len(_SOI), None, False, False
    while True:
        fill = _FILL.match(codestream, position)
        position = fill.end() if fill else position
        if position + 10 > len(codestream):
            break
        marker, length = _SEGMENT.unpack_from(codestream, position)
        if marker in _FRAMES:
            found = marker, *_FRAME.unpack_from(codestream, position + 4)
        colour |= marker in {_ADOBE, _JFIF}
        rgb |= marker == _ADOBE and codestream[position + 15 : position + 16] == b"\0"
        if marker == _START_OF_SCAN or marker < 0xFF01:  # noqa: PLR2004
            break
        position += 2 + length
    if found is None:
        return None
    frame, bits, rows, columns, components = found
    return JpegFacts(
        bits=bits,
        components=components,
        names_colour=colour,
        says_rgb=rgb,
        frame=frame,
        rows=rows,
        columns=columns,
    )


def marked_rgb(codestream: bytes) -> bytes:
    """Insert the marker that makes decoders take the three components as RGB."""
    return _SOI + _ADOBE_RGB + codestream[len(_SOI) :]

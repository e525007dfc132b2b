"""What a JPEG codestream says about itself (ITU-T T.81 B.2); the DICOM header is not believed."""

import struct
from dataclasses import dataclass

_SOI = b"\xff\xd8"
_START_OF_SCAN = 0xFFDA
_HUFFMAN_FRAMES = (0xFFC0, 0xFFC1, 0xFFC2)
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


def jpeg_facts(codestream: bytes) -> JpegFacts | None:
    """Read the segments of a Huffman-coded JPEG; None when it is anything else."""
    if not codestream.startswith(_SOI):
        return None
    position, size, colour = len(_SOI), None, False
    while position + 10 <= len(codestream):
        marker, length = struct.unpack_from(">HH", codestream, position)
        if marker in _HUFFMAN_FRAMES:
            size = (codestream[position + 4], codestream[position + 9])
        colour |= marker in {_ADOBE, _JFIF}
        if marker == _START_OF_SCAN or marker < 0xFF01:  # noqa: PLR2004
            break
        position += 2 + length
    if size is None:
        return None
    return JpegFacts(bits=size[0], components=size[1], names_colour=colour)


def marked_rgb(codestream: bytes) -> bytes:
    """Insert the marker that makes decoders take the three components as RGB."""
    return _SOI + _ADOBE_RGB + codestream[len(_SOI) :]

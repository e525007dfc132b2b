"""From one encoded frame to RGB: the only door to libjpeg-turbo and to wsidicom's decoders.

JPEG of 8 bits goes to libjpeg-turbo straight, everything else through wsidicom. The codec is chosen
by the frame's own first bytes. What a frame may become in memory is known before a codec sees it,
so that a few lying bytes cannot ask for gigabytes.
"""

import struct
from types import MappingProxyType
from typing import Protocol

import cv2
import numpy as np
import simplejpeg
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)
from wsidicom.codec import Decoder
from wsidicom.geometry import Size
from wsidicom.options import DecoderOption
from wsidicom.uid import JPEGXL

from appliance.errors import DamagedImage, UnreadableEncoding
from appliance.slides.codestreams import Codestream, Kind, rle_segments, sniff
from appliance.slides.grey import MOST_FRAME_PX, PixelForm, Pixels, Samples
from appliance.slides.jpeg import marked_rgb

CORRUPT = "One frame of the slide is damaged and cannot be decoded."
UNKNOWN = "The frames of this slide are compressed in a way that cannot be read here."
_BELIED = "The frames of this slide are much larger than its header says."
_COLOUR = 3
_EXCESS = 4
"""A codestream may hold this many times the pixels of a tile; what is beyond the tile is cut."""
_HEAD_BYTES = 16
_EIGHT_BITS = 8
_SYNTAXES: MappingProxyType[Kind, UID] = MappingProxyType(
    {
        Kind.JPEG_12: JPEGExtended12Bit,
        Kind.JPEG_LOSSLESS: JPEGLossless,
        Kind.JPEG_LS: JPEGLSLossless,
        Kind.JPEG_2000: JPEG2000,
        Kind.HTJ2K: HTJ2K,
        Kind.JPEG_XL: JPEGXL,
        Kind.RLE: RLELossless,
    }
)
"""One syntax of each family: wsidicom chooses its decoder by that."""
_FOREIGN = (
    ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError, cv2.error,
    struct.error,
)  # fmt: skip
"""What codecs raise on damaged codestreams."""
_END = b"\xff\xd9"
"""EOI of JPEG, EOC of JPEG 2000."""
_WITHOUT_END = frozenset((Kind.JPEG, Kind.RLE, Kind.JPEG_XL))
"""Decoders of these tell a cut codestream; OpenJPEG pads it, CharLS takes 16 s to say so."""


class Decode(Protocol):
    """Decode one frame."""

    def __call__(self, frame: bytes, shrink: int) -> Pixels:
        """Give `(rows, columns, 3)` uint8 RGB, `shrink` times smaller along each side."""


def encoded(form: PixelForm) -> Decode:
    """Make the decoder of encapsulated frames.

    Parameters
    ----------
    form
        What the header says of the samples.

    Returns
    -------
    Decode
        Thread-safe. It raises `DamagedImage` on a damaged frame, and `UnreadableEncoding` on one
        that no codec here knows.
    """

    def decode(frame: bytes, shrink: int) -> Pixels:
        stream = _checked(frame, form)
        try:
            if stream.kind is Kind.JPEG and stream.components in (1, _COLOUR):
                pixels = _jpeg(frame, stream, form, shrink)
            else:
                pixels = _by_wsidicom(frame, stream, form)
        except _FOREIGN as error:
            raise DamagedImage(CORRUPT) from error
        rows, columns = form.tile_rows // shrink, form.tile_columns // shrink
        if stream.kind is not Kind.JPEG:
            pixels = shrunk(pixels[: form.tile_rows, : form.tile_columns], shrink)
        return pixels[: max(1, rows), : max(1, columns)]

    return decode


def native(form: PixelForm) -> Decode:
    """Make the decoder of frames that are not compressed (PS3.5 8.1.1)."""

    def decode(frame: bytes, shrink: int) -> Pixels:
        samples: Samples = np.frombuffer(frame, form.dtype)  # type: ignore[assignment]
        if samples.size * samples.itemsize != form.frame_bytes:
            raise DamagedImage(CORRUPT)
        shaped = _shaped(samples, form, planar=form.is_planar)
        return shrunk(form.rgb(shaped, bits=0, is_rgb=False), shrink)

    return decode


def shrunk(pixels: Pixels, shrink: int) -> Pixels:
    """Average squares of `shrink` pixels; the last row and column of squares may be smaller."""
    if shrink == 1:
        return pixels
    rows, columns = -(-pixels.shape[0] // shrink), -(-pixels.shape[1] // shrink)
    below, right = rows * shrink - pixels.shape[0], columns * shrink - pixels.shape[1]
    if below or right:
        pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def refuse_unknown(frame: bytes, form: PixelForm) -> None:
    """Refuse a slide by its first frame, before anything is decoded.

    Raises
    ------
    UnreadableEncoding
        No codec here knows it, or it has colours where the header says grey.
    """
    stream = sniff(frame)
    if stream is None and not any(frame[:_HEAD_BYTES]):
        raise DamagedImage(CORRUPT)
    if stream is None or stream.components not in (0, form.samples_per_pixel):
        raise UnreadableEncoding(UNKNOWN)
    if stream.kind is Kind.RLE and form.samples_per_pixel > 1 and form.bits_allocated > _EIGHT_BITS:
        raise UnreadableEncoding(UNKNOWN)  # no decoder of wsidicom takes it


def _checked(frame: bytes, form: PixelForm) -> Codestream:
    stream = sniff(frame)
    if stream is None or stream.components not in (0, form.samples_per_pixel):
        raise DamagedImage(CORRUPT)
    believed_px = min(_EXCESS * form.tile_rows * form.tile_columns, MOST_FRAME_PX)
    if stream.rows * stream.columns > believed_px:
        raise DamagedImage(_BELIED)
    if stream.kind not in _WITHOUT_END and not frame.rstrip(b"\0").endswith(_END):
        raise DamagedImage(CORRUPT)
    n_segments = form.samples_per_pixel * form.bits_allocated // _EIGHT_BITS
    if stream.kind is Kind.RLE and rle_segments(frame) != n_segments:
        raise DamagedImage(CORRUPT)
    return stream


def _jpeg(frame: bytes, stream: Codestream, form: PixelForm, shrink: int) -> Pixels:
    """Decode 8 bits by libjpeg-turbo, which averages in the DCT when it shrinks."""
    if stream.components == 1:
        grey = _turbo(frame, "GRAY", stream, shrink)
        return form.rgb(grey, bits=stream.bits, is_rgb=True)
    if form.photometric_interpretation == "RGB" and not stream.names_colour:
        frame = marked_rgb(frame)
    return _turbo(frame, "RGB", stream, shrink)


def _turbo(frame: bytes, colours: str, stream: Codestream, shrink: int) -> Pixels:
    pixels: Pixels = simplejpeg.decode_jpeg(  # type: ignore[attr-defined]
        frame,
        colorspace=colours,
        min_height=-(-stream.rows // shrink),
        min_width=-(-stream.columns // shrink),
    )
    return pixels


def _by_wsidicom(frame: bytes, stream: Codestream, form: PixelForm) -> Pixels:
    """Decode by wsidicom, told what the codestream is, not what the header calls it."""
    samples = np.asarray(_decoder(stream, form).decode(frame))
    is_rgb = stream.says_rgb if stream.kind is Kind.JPEG_LOSSLESS else stream.names_colour
    return form.rgb(samples, bits=stream.bits, is_rgb=is_rgb)


def _decoder(stream: Codestream, form: PixelForm) -> Decoder:
    """Choose wsidicom's decoder; it takes colour of more than 8 bits when it is not told so."""
    is_rgb = form.photometric_interpretation == "RGB" and not stream.names_colour
    as_stored = is_rgb or stream.kind is Kind.JPEG_LOSSLESS
    return Decoder.create(
        _SYNTAXES[stream.kind],
        form.samples_per_pixel,
        _EIGHT_BITS if form.samples_per_pixel == _COLOUR else form.bits_allocated,
        Size(form.tile_columns, form.tile_rows),
        "RGB" if as_stored and form.samples_per_pixel == _COLOUR else "",
        DecoderOption.IMAGECODECS_RLE if stream.kind is Kind.RLE else DecoderOption.IMAGECODECS,
    )


def _shaped(samples: Samples, form: PixelForm, *, planar: bool) -> Samples:
    rows, columns, n = form.tile_rows, form.tile_columns, form.samples_per_pixel
    if n == 1:
        return samples.reshape(rows, columns)
    if planar:
        return np.moveaxis(samples.reshape(n, rows, columns), 0, -1)
    return samples.reshape(rows, columns, n)

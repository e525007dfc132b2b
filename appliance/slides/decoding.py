"""From one encoded frame to RGB: the only door to libjpeg-turbo and imagecodecs.

The codec is chosen by the frame's own first bytes. What a frame may become in memory is known
before a codec sees it, so that a few lying bytes cannot ask for gigabytes.
"""

import struct
from collections.abc import Callable
from typing import Any, Protocol

import cv2
import imagecodecs
import numpy as np
import simplejpeg

from appliance.errors import DamagedImage, UnreadableEncoding
from appliance.slides.codestreams import Codestream, Kind, sniff
from appliance.slides.grey import PixelForm, Pixels, Samples
from appliance.slides.jpeg import marked_rgb

CORRUPT = "One frame of the slide is damaged and cannot be decoded."
UNKNOWN = "The frames of this slide are compressed in a way that cannot be read here."
_BELIED = "The frames of this slide are much larger than its header says."
_COLOUR = 3
_EXCESS = 4
"""A codestream may hold this many times the pixels of a tile; what is beyond the tile is cut."""
_HEAD_BYTES = 16
_FOREIGN = (
    ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError, cv2.error,
    struct.error,
)  # fmt: skip
"""What codecs raise on damaged codestreams."""
_END = b"\xff\xd9"
"""EOC of JPEG 2000: OpenJPEG is content without it, and pads with black."""


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
                pixels = _other(frame, stream, form)
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


def _checked(frame: bytes, form: PixelForm) -> Codestream:
    stream = sniff(frame)
    if stream is None or stream.components not in (0, form.samples_per_pixel):
        raise DamagedImage(CORRUPT)
    if stream.rows * stream.columns > _EXCESS * form.tile_rows * form.tile_columns:
        raise DamagedImage(_BELIED)
    if stream.kind in (Kind.JPEG_2000, Kind.HTJ2K) and not frame.rstrip(b"\0").endswith(_END):
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


def _other(frame: bytes, stream: Codestream, form: PixelForm) -> Pixels:
    if stream.kind is Kind.RLE:
        content = imagecodecs.dicomrle_decode(frame, form.dtype)
        samples: Samples = np.frombuffer(content, form.dtype)  # type: ignore[assignment]
        shaped = _shaped(samples[: form.frame_bytes // form.dtype.itemsize], form, planar=True)
        return form.rgb(shaped, bits=0, is_rgb=False)
    if stream.kind in (Kind.JPEG, Kind.JPEG_12, Kind.JPEG_LOSSLESS):
        return _wide_jpeg(frame, stream, form)
    decode: Callable[[bytes], Any] = {
        Kind.JPEG_LS: imagecodecs.jpegls_decode,
        Kind.JPEG_2000: imagecodecs.jpeg2k_decode,
        Kind.HTJ2K: imagecodecs.htj2k_decode,
        Kind.JPEG_XL: imagecodecs.jpegxl_decode,
    }[stream.kind]
    return form.rgb(decode(frame), bits=stream.bits, is_rgb=stream.names_colour)


def _wide_jpeg(frame: bytes, stream: Codestream, form: PixelForm) -> Pixels:
    """Decode JPEG of 12 bits, and lossless JPEG, whose colours stay as they are stored."""
    if stream.components == 1:
        return form.rgb(imagecodecs.jpeg8_decode(frame), bits=stream.bits, is_rgb=True)
    if stream.kind is Kind.JPEG_LOSSLESS:
        samples = imagecodecs.jpeg8_decode(frame, colorspace="RGB", outcolorspace="RGB")
        return form.rgb(samples, bits=stream.bits, is_rgb=stream.says_rgb)
    if form.photometric_interpretation == "RGB" and not stream.names_colour:
        frame = marked_rgb(frame)
    samples = imagecodecs.jpeg8_decode(frame, outcolorspace="RGB")
    return form.rgb(samples, bits=stream.bits, is_rgb=True)


def _shaped(samples: Samples, form: PixelForm, *, planar: bool) -> Samples:
    rows, columns, n = form.tile_rows, form.tile_columns, form.samples_per_pixel
    if n == 1:
        return samples.reshape(rows, columns)
    if planar:
        return np.moveaxis(samples.reshape(n, rows, columns), 0, -1)
    return samples.reshape(rows, columns, n)

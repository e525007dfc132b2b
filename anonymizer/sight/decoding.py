"""Decoding of small images that no reader of slides opens: labels, overviews, single pictures."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from anonymizer.quiet import quiet_pydicom
from anonymizer.sight.found import Picture

_LARGEST_PX: Final = 40_000_000
_COLOURS: Final = 3
_LARGEST_BYTES: Final = _COLOURS * _LARGEST_PX + (16 << 20)
"""Of a file: such pixels, not compressed, and a header. A larger one is not even read."""
_UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom and the decoders under it raise on pixels that they cannot read."""


def decoded(file: Path) -> Sequence[Picture]:
    """Decode an image into RGB pictures; none when it cannot be decoded or is large.

    Tiles are joined when they are all there; frames of anything else come each by itself.
    """
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            return ()
        with quiet_pydicom():
            header = pydicom.dcmread(file)
            count = int(header.get("NumberOfFrames") or 1)
            if int(header.Rows) * int(header.Columns) * count > _LARGEST_PX:
                return ()
            pixels = header.pixel_array
            return _joined([_as_rgb(one) for one in (pixels if count > 1 else [pixels])], header)
    except _UNREADABLE:
        return ()


def _joined(frames: Sequence[Picture], header: Dataset) -> Sequence[Picture]:
    rows, columns = int(header.Rows), int(header.Columns)
    across = -(-int(header.get("TotalPixelMatrixColumns") or columns) // columns)
    down = -(-int(header.get("TotalPixelMatrixRows") or rows) // rows)
    if len(frames) != across * down:
        return frames
    lines = [np.hstack(frames[line * across : (line + 1) * across]) for line in range(down)]
    return (np.vstack(lines),)


def _as_rgb(pixels: Any) -> Picture:
    """Give any pixels 8 bits and three colours; the brightest becomes white."""
    scaled = pixels
    if pixels.dtype != np.uint8:
        scaled = (pixels * (255.0 / max(1, int(pixels.max())))).clip(0, 255).astype(np.uint8)
    if scaled.ndim == _COLOURS:
        return np.asarray(scaled[..., :_COLOURS], np.uint8)
    return np.repeat(scaled[..., None], _COLOURS, axis=2)

"""Samples of 8 to 16 bits become 8-bit RGB, by rules that are written down here.

* Colour of more than 8 bits, and greys without a window: black is 0 and white the largest value
  that Bits Stored allows; everything between in proportion.
* Greys with a window in the header: Window Centre and Width of the first Frame VOI LUT item, the
  LINEAR function of PS3.3 C.11.2.1.2.1.
* MONOCHROME1 is inverted: its lowest value is white.
* YBR_FULL that the codec left as it is: PS3.3 C.7.6.3.1.2.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from appliance.errors import UnreadableEncoding

MOST_FRAME_PX = 32 << 20
"""An image may come as one frame; a larger one would take hundreds of megabytes to decode."""

Pixels = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_COLOURS = frozenset(
    ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420", "XYB")
)
_GREYS = frozenset(("MONOCHROME1", "MONOCHROME2"))
_EIGHT_BITS, _SIXTEEN_BITS = 8, 16
_COLOUR = 3
_FROM_YBR = np.array(
    [[1.0, 0.0, 1.402], [1.0, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587], [1.0, 1.772, 0.0]]
)


@dataclass(frozen=True, kw_only=True)
class PixelForm:
    """What the header says of the samples."""

    photometric_interpretation: str
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    is_planar: bool
    tile_rows: int
    """Rows of a frame."""
    tile_columns: int
    window: tuple[float, float] | None = None
    """Centre and width, in stored values."""

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """Of stored samples, little endian."""
        return np.dtype("<u2") if self.bits_allocated > _EIGHT_BITS else np.dtype("u1")

    @property
    def frame_bytes(self) -> int:
        """Size of a frame that is not compressed."""
        pixels = self.tile_rows * self.tile_columns * self.samples_per_pixel
        return pixels * self.dtype.itemsize

    def rgb(self, samples: Samples, *, bits: int, is_rgb: bool) -> Pixels:
        """Turn decoded samples into RGB.

        Parameters
        ----------
        samples
            `(rows, columns)` or `(rows, columns, 3)`, uint8 or uint16.
        bits
            Precision that the codestream names, 0 when it names none.
        is_rgb
            The decoder has undone every colour transform.

        Returns
        -------
        numpy.ndarray
            `(rows, columns, 3)` uint8.

        Raises
        ------
        ValueError
            The samples have another shape or type.
        """
        if samples.dtype not in (np.uint8, np.uint16):
            raise ValueError("samples that are no numbers of 8 or 16 bits")
        precision = min(bits or self.bits_stored, self.bits_stored, samples.dtype.itemsize * 8)
        if samples.ndim == 3 and samples.shape[2] == 1:  # noqa: PLR2004 - axes
            samples = samples[:, :, 0]
        if samples.ndim == 2:  # noqa: PLR2004 - axes
            grey = self._table(precision)[np.minimum(samples, (1 << precision) - 1)]
            return np.repeat(grey[:, :, np.newaxis], _COLOUR, axis=2)
        if samples.ndim != 3 or samples.shape[2] != _COLOUR:  # noqa: PLR2004 - axes
            raise ValueError("neither one nor three samples a pixel")
        if precision > _EIGHT_BITS or samples.dtype != np.uint8:
            samples = _proportion(precision)[np.minimum(samples, (1 << precision) - 1)]
        if not is_rgb and self.photometric_interpretation.startswith("YBR"):
            return _from_ybr(samples)
        return np.ascontiguousarray(samples, np.uint8)

    def _table(self, precision: int) -> Pixels:
        if precision not in self._tables:
            self._tables[precision] = _greys(self, precision)
        return self._tables[precision]

    @cached_property
    def _tables(self) -> dict[int, Pixels]:
        return {}


def pixel_form(header: Dataset) -> PixelForm:
    """Read how an image's samples are stored.

    Raises
    ------
    UnreadableEncoding
        In a way that nobody reads here.
    AttributeError, TypeError, ValueError
        The header is damaged.
    """
    form = PixelForm(
        photometric_interpretation=str(header.PhotometricInterpretation),
        samples_per_pixel=int(header.SamplesPerPixel),
        bits_allocated=int(header.BitsAllocated),
        bits_stored=int(header.get("BitsStored") or header.BitsAllocated),
        is_planar=bool(int(header.get("PlanarConfiguration") or 0)),
        tile_rows=int(header.Rows),
        tile_columns=int(header.Columns),
        window=_window(header),
    )
    expected = _COLOURS if form.samples_per_pixel == _COLOUR else _GREYS
    if form.photometric_interpretation not in expected or form.samples_per_pixel not in (
        1,
        _COLOUR,
    ):
        raise UnreadableEncoding("The colours of this slide are stored in a way not read here.")
    if (
        form.bits_allocated not in (_EIGHT_BITS, _SIXTEEN_BITS)
        or not _EIGHT_BITS <= form.bits_stored <= form.bits_allocated
        or int(header.get("PixelRepresentation") or 0)
    ):
        raise UnreadableEncoding("The pixels of this slide are not numbers of 8 to 16 bits.")
    return form


def _window(header: Dataset) -> tuple[float, float] | None:
    shared: Any = header.get("SharedFunctionalGroupsSequence") or []
    for group in shared[:1]:
        for voi in (group.get("FrameVOILUTSequence") or [])[:1]:
            centre, width = _first(voi.get("WindowCenter")), _first(voi.get("WindowWidth"))
            if centre is not None and width is not None and width > 1:
                return centre, width
    return None


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    return float(value[0] if isinstance(value, list | tuple) or hasattr(value, "append") else value)


def _greys(form: PixelForm, precision: int) -> Pixels:
    if form.window is None:
        table = _proportion(precision)
    else:
        centre, width = form.window
        values = np.arange(1 << precision, dtype=np.float64)
        share = (values - (centre - 0.5)) / (width - 1) + 0.5
        table = np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return 255 - table if form.photometric_interpretation == "MONOCHROME1" else table


def _proportion(precision: int) -> Pixels:
    most = (1 << precision) - 1
    values = np.arange(most + 1, dtype=np.uint32)
    return ((values * 255 + most // 2) // most).astype(np.uint8)


def _from_ybr(samples: Samples) -> Pixels:
    offset = samples.astype(np.float32) - np.array([0, 128, 128], np.float32)
    rgb = offset @ _FROM_YBR.T.astype(np.float32)
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8)

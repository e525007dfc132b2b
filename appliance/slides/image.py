"""One VOLUME instance: its header, its spacing, its samples, and where its frames lie.

pydicom sees the header without pixel data and with the first item only of the Per-Frame Functional
Groups; the positions of all frames are read raw.
"""

import mmap
import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
import pydicom.errors
from pydicom.dataset import FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from appliance.errors import DamagedImage, UnfitScan, UnreadableEncoding
from appliance.slides.elements import (
    ITEM,
    UNDEFINED,
    Buffer,
    Place,
    after,
    element,
    item_leaves,
)
from appliance.slides.frame_groups import PER_FRAME_GROUPS, FrameGroups, read_frame_groups
from appliance.slides.frames import EncodedFrames, Frames, NativeFrames
from appliance.slides.grey import MOST_FRAME_PX, PixelForm, pixel_form
from appliance.slides.tiling import Grid

PIXEL_DATA = 0x7FE00010
_PIXELS = frozenset((PIXEL_DATA, 0x7FE00008, 0x7FE00009))
_PREAMBLE_BYTES = 128
_PREFIX = b"DICM"
_META_GROUP = 0x0002
_TRANSFER_SYNTAX = 0x00020010
_MOST_HEADER_BYTES = 256 << 20
_MOST_TILES = 5_000_000
"""A scan of 152 mm by 102 mm at 0.25 µm/px has 3.8 million of 256 px; tiny ones would take days."""
_LONGEST_SIDE_UM, _SHORTER_SIDE_UM = 160_000.0, 130_000.0
"""Whole-mount slides are 152 mm by 102 mm or 127 mm square at most."""
_ANISOTROPY = 0.01
"""Row and column spacing may differ by this share; the models know square pixels only."""
_PLAUSIBLE_UM_PX = (0.02, 2000.0)
"""Spacings outside are a scanner's mistake. Tiny top levels of a pyramid are coarse by right."""
_ABSURD = "The pixel spacing that the scanner wrote cannot be true."
_FOREIGN = (
    pydicom.errors.BytesLengthException, pydicom.errors.InvalidDicomError, AttributeError,
    EOFError, LookupError, NotImplementedError, OSError, OverflowError, RecursionError, TypeError,
    ValueError, struct.error,
)  # fmt: skip
"""What pydicom and the walk over the elements raise on damaged headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameOrder:
    """What the header says of the frames, their focal planes and optical paths."""

    n_frames: int
    """Number of Frames (0028,0008)."""
    is_tiled_full: bool
    planes: int
    """Total Pixel Matrix Focal Planes."""
    n_paths: int
    """Number of Optical Paths."""
    paths: tuple[str, ...]
    """Identifiers in the order of the Optical Path Sequence."""
    z_um: float
    """Z Offset in Slide Coordinate System of the whole image; 0 when not given."""
    concatenation_uid: str
    """Empty for an image in one piece."""
    first_frame: int
    """Concatenation Frame Offset Number: frames in the parts before."""
    n_parts: int
    """In-concatenation Total Number; 0 when not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeImage:
    """One VOLUME instance."""

    path: Path
    header: FileDataset
    """Without pixel data, and with one item of the Per-Frame Functional Groups at most."""
    pixels: Place
    groups: FrameGroups | None
    grid: Grid
    um_px: float
    """Micrometres per pixel, mean of row and column spacing."""
    form: PixelForm
    frame_order: FrameOrder
    origin_um: tuple[float, float] | None
    """X and Y Offset in Slide Coordinate System of the matrix; None when not given."""
    extended_offsets: bytes
    """Extended Offset Table (7FE0,0001) as stored, or empty."""

    @property
    def n_frames(self) -> int:
        """Number of Frames (0028,0008)."""
        return self.frame_order.n_frames

    @property
    def is_encapsulated(self) -> bool:
        """The frames are compressed, each in a fragment or more."""
        return self.pixels.length == UNDEFINED

    def frames(self) -> Frames:
        """Map the file's frames.

        Raises
        ------
        DamagedImage
            They cannot be located.
        """
        if self.is_encapsulated:
            return EncodedFrames(
                self.path,
                pixel_data_at=self.pixels.at,
                n_frames=self.n_frames,
                extended_offsets=self.extended_offsets,
            )
        return NativeFrames(
            self.path,
            value_at=self.pixels.value_at,
            value_bytes=self.pixels.length,
            n_frames=self.n_frames,
            frame_bytes=self.form.frame_bytes,
        )


def volume_image(path: Path) -> VolumeImage | None:
    """Read one file's header; None when it is no VOLUME image.

    Raises
    ------
    DamagedImage
        The file is damaged.
    UnreadableEncoding
        Its data set or its samples are stored in a way that nobody reads here.
    UnfitScan
        It has no pixel spacing, or one that cannot be true.
    """
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            header, pixels, groups = _header(data)
            return _described(path, header, pixels, groups) if _is_volume(header) else None
    except _FOREIGN as error:
        raise DamagedImage("One image file of the slide is damaged.") from error


def _header(data: Buffer) -> tuple[FileDataset, Place | None, FrameGroups | None]:
    """Walk the top level of the data set up to its pixels, then let pydicom read what is small."""
    if data[_PREAMBLE_BYTES : _PREAMBLE_BYTES + len(_PREFIX)] != _PREFIX:
        raise ValueError("no DICOM file")
    syntax, at = _transfer_syntax(data)
    if syntax in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian):
        raise UnreadableEncoding("The images of this slide are stored in a way not read here.")
    explicit = syntax != ImplicitVRLittleEndian
    pixels, groups, kept, start = None, None, [], 0
    while at < len(data):
        place = element(data, at, explicit=explicit)
        if place.tag in _PIXELS:
            pixels = place
            break
        if place.tag == PER_FRAME_GROUPS:
            kept += [data[start:at], _first_item(data, place, explicit=explicit)]
            groups, start = read_frame_groups(data, place, explicit=explicit)
            at = start
        else:
            at = after(data, place, explicit=explicit)
        if at - start > _MOST_HEADER_BYTES:
            raise ValueError("a header of hundreds of megabytes")
    content = b"".join((*kept, data[start:at]))
    return pydicom.dcmread(BytesIO(content)), pixels, groups


def _transfer_syntax(data: Buffer) -> tuple[str, int]:
    """Read the File Meta Information (PS3.10 7.1): the syntax, and where the data set begins."""
    syntax, at = str(ExplicitVRLittleEndian), _PREAMBLE_BYTES + len(_PREFIX)
    while int.from_bytes(data[at : at + 2], "little") == _META_GROUP:
        place = element(data, at, explicit=True)
        if place.tag == _TRANSFER_SYNTAX:
            value = data[place.value_at : place.value_at + place.length]
            syntax = value.decode("ascii").strip(" \0")
        at = after(data, place, explicit=True)
    return syntax, at


def _first_item(data: Buffer, place: Place, *, explicit: bool) -> bytes:
    """Write a sequence again that has its first item alone."""
    content = b""
    if place.length and int.from_bytes(data[place.value_at + 2 : place.value_at + 4], "little") == (
        ITEM & 0xFFFF
    ):
        _, end = item_leaves(data, place.value_at, explicit=explicit)
        content = data[place.value_at : end]
    head = struct.pack("<HH", place.tag >> 16, place.tag & 0xFFFF)
    vr = b"SQ\0\0" if explicit else b""
    return head + vr + struct.pack("<I", len(content)) + content


def _is_volume(header: FileDataset) -> bool:
    return "VOLUME" in list(header.get("ImageType") or [])


def _described(
    path: Path, header: FileDataset, pixels: Place | None, groups: FrameGroups | None
) -> VolumeImage:
    if pixels is None or pixels.tag != PIXEL_DATA:
        raise ValueError("an image without pixel data")
    grid = Grid(
        rows=int(header.TotalPixelMatrixRows),
        columns=int(header.TotalPixelMatrixColumns),
        tile_rows=int(header.Rows),
        tile_columns=int(header.Columns),
    )
    if min(grid.rows, grid.columns, grid.tile_rows, grid.tile_columns) < 1:
        raise ValueError("an image without pixels")
    if grid.tile_rows * grid.tile_columns > MOST_FRAME_PX:
        raise UnreadableEncoding("The frames of this slide are larger than can be read here.")
    um_px = _um_px(header, grid)
    if grid.down * grid.across > _MOST_TILES:
        raise UnfitScan("The slide is cut into more tiles than can be read here.")
    return VolumeImage(
        path=path,
        header=header,
        pixels=pixels,
        groups=groups,
        grid=grid,
        um_px=um_px,
        form=pixel_form(header),
        frame_order=_frame_order(header),
        origin_um=_origin_um(header),
        extended_offsets=bytes(header.get("ExtendedOffsetTable") or b""),
    )


def _frame_order(header: FileDataset) -> FrameOrder:
    paths = tuple(
        str(path.get("OpticalPathIdentifier") or "")
        for path in header.get("OpticalPathSequence") or []
    )
    origin = next(iter(header.get("TotalPixelMatrixOriginSequence") or []), None)
    z_offset = origin.get("ZOffsetInSlideCoordinateSystem") if origin is not None else None
    return FrameOrder(
        n_frames=int(header.get("NumberOfFrames") or 1),
        is_tiled_full=header.get("DimensionOrganizationType") == "TILED_FULL",
        planes=int(header.get("TotalPixelMatrixFocalPlanes") or 1),
        n_paths=int(header.get("NumberOfOpticalPaths") or len(paths) or 1),
        paths=paths,
        z_um=float(z_offset or 0),
        concatenation_uid=str(header.get("ConcatenationUID") or ""),
        first_frame=int(header.get("ConcatenationFrameOffsetNumber") or 0),
        n_parts=int(header.get("InConcatenationTotalNumber") or 0),
    )


def _origin_um(header: FileDataset) -> tuple[float, float] | None:
    for origin in (header.get("TotalPixelMatrixOriginSequence") or [])[:1]:
        x_mm = origin.get("XOffsetInSlideCoordinateSystem")
        y_mm = origin.get("YOffsetInSlideCoordinateSystem")
        if x_mm is not None and y_mm is not None:
            return float(x_mm) * 1000, float(y_mm) * 1000
    return None


def _um_px(header: FileDataset, grid: Grid) -> float:
    spacing = _spacing_um(header, grid)
    if spacing is None:
        raise UnfitScan("The scanner wrote no pixel spacing, so nothing can be measured.")
    row_um, column_um = spacing
    um_px = (row_um + column_um) / 2
    lowest, highest = _PLAUSIBLE_UM_PX
    if not lowest <= um_px <= highest or abs(row_um - column_um) > _ANISOTROPY * um_px:
        raise UnfitScan(_ABSURD)
    sides = sorted((grid.rows * row_um, grid.columns * column_um))
    if min(sides) > _SHORTER_SIDE_UM or max(sides) > _LONGEST_SIDE_UM:
        raise UnfitScan("The scan is larger than any glass slide, which cannot be true.")
    return um_px


def _spacing_um(header: FileDataset, grid: Grid) -> tuple[float, float] | None:
    """Spacing between rows and columns from Pixel Measures, else from the imaged volume."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (header.get(groups) or [])[:1]:
            for measures in group.get("PixelMeasuresSequence") or []:
                if measures.get("PixelSpacing"):
                    row_mm, column_mm = measures.PixelSpacing
                    return float(row_mm) * 1000, float(column_mm) * 1000
    height_mm, width_mm = header.get("ImagedVolumeHeight"), header.get("ImagedVolumeWidth")
    if height_mm and width_mm:
        return float(height_mm) * 1000 / grid.rows, float(width_mm) * 1000 / grid.columns
    return None

"""The instances of one level: the parts of a concatenation, and which of several is shown.

Scanners send one instance a level, or one for each optical path or focal plane. Shown is the first
optical path, and of that the middle focal plane.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from appliance.errors import DamagedImage
from appliance.slides.decoding import encoded, native, refuse_unknown
from appliance.slides.image import VolumeImage
from appliance.slides.sources import TiledSource
from appliance.slides.tiling import FrameIndex, full_index, sparse_index

_MISSING = "A part of an image of the slide is missing."


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelImages:
    """All instances of one level."""

    parts: tuple[VolumeImage, ...]
    """The image that is shown: one instance, or the parts of a concatenation in their order."""
    others: tuple[VolumeImage, ...]
    """Other optical paths and focal planes of the same size."""

    @property
    def all(self) -> tuple[VolumeImage, ...]:
        """What is shown, then the others."""
        return self.parts + self.others


def levels_of(images: Sequence[VolumeImage]) -> list[LevelImages]:
    """Group the instances into levels, finest first; equal instances by file name.

    Raises
    ------
    DamagedImage
        A part of a concatenation is missing.
    """
    by_shape: dict[tuple[int, int], dict[str, list[VolumeImage]]] = {}
    for image in sorted(images, key=lambda image: str(image.path)):
        whole = str(image.header.get("ConcatenationUID") or image.path)
        same_shape = by_shape.setdefault((image.grid.rows, image.grid.columns), {})
        same_shape.setdefault(whole, []).append(image)
    levels = [_level([_ordered(parts) for parts in shape.values()]) for shape in by_shape.values()]
    return sorted(levels, key=lambda level: level.parts[0].um_px)


def level_source(level: LevelImages) -> TiledSource:
    """Open the pixels of one level.

    Raises
    ------
    DamagedImage
        The frames cannot be located, or are fewer than the header tells.
    UnreadableEncoding
        No codec here knows them, or they lie on no grid.
    """
    parts = level.parts
    first = parts[0]
    index = _index(parts)
    with ExitStack() as opened:
        frames = []
        for part in parts:
            frames.append(part.frames())
            opened.callback(frames[-1].close)
        if first.is_encapsulated:
            refuse_unknown(frames[0].frame(0), first.form)
        opened.pop_all()
    decode = encoded(first.form) if first.is_encapsulated else native(first.form)
    return TiledSource(frames, index, decode)


def _ordered(parts: Sequence[VolumeImage]) -> tuple[VolumeImage, ...]:
    """Put the parts of a concatenation in order (PS3.3 C.7.6.16.2.2.4); all must be there."""
    if len(parts) == 1 and not int(parts[0].header.get("ConcatenationFrameOffsetNumber") or 0):
        total = int(parts[0].header.get("InConcatenationTotalNumber") or 1)
        if total == 1 or "ConcatenationUID" not in parts[0].header:
            return tuple(parts)
    ordered = sorted(
        parts, key=lambda part: int(part.header.get("ConcatenationFrameOffsetNumber") or 0)
    )
    expected = 0
    for part in ordered:
        if int(part.header.get("ConcatenationFrameOffsetNumber") or 0) != expected:
            raise DamagedImage(_MISSING)
        expected += part.n_frames
    total = int(parts[0].header.get("InConcatenationTotalNumber") or len(parts))
    if total != len(parts) or len({part.form for part in parts}) != 1:
        raise DamagedImage(_MISSING)
    return tuple(ordered)


def _level(wholes: Sequence[tuple[VolumeImage, ...]]) -> LevelImages:
    path = _path(wholes[0][0])
    same_path = [parts for parts in wholes if _path(parts[0]) == path]
    same_path.sort(key=lambda parts: _z(parts[0]))
    shown = same_path[(len(same_path) - 1) // 2]
    others = tuple(part for parts in wholes if parts is not shown for part in parts)
    return LevelImages(parts=shown, others=others)


def _paths(image: VolumeImage) -> list[str]:
    paths = image.header.get("OpticalPathSequence") or []
    return [str(path.get("OpticalPathIdentifier") or "") for path in paths]


def _path(image: VolumeImage) -> str:
    return next(iter(_paths(image)), "")


def _z(image: VolumeImage) -> float:
    for origin in image.header.get("TotalPixelMatrixOriginSequence") or []:
        return float(origin.get("ZOffsetInSlideCoordinateSystem") or 0)
    return 0.0


def _index(parts: Sequence[VolumeImage]) -> FrameIndex:
    """Believe positions when every frame has one, except where the header says TILED_FULL."""
    header, grid = parts[0].header, parts[0].grid
    groups = [part.groups for part in parts if part.groups is not None]
    is_full = header.get("DimensionOrganizationType") == "TILED_FULL"
    if not is_full and len(groups) == len(parts) and all(each.has_positions for each in groups):
        together = groups[0].joined(groups[1:])
        if len(together.row) != sum(part.n_frames for part in parts):
            raise DamagedImage(_MISSING)
        return sparse_index(grid, together, _paths(parts[0]))
    return full_index(
        grid,
        n_frames=sum(part.n_frames for part in parts),
        planes=int(header.get("TotalPixelMatrixFocalPlanes") or 1),
        paths=int(header.get("NumberOfOpticalPaths") or len(_paths(parts[0])) or 1),
    )

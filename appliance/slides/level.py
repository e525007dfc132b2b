"""The instances of one level: the parts of a concatenation, and which of several is shown.

Scanners send one instance a level, or one for each optical path or focal plane. Shown is one
optical path, the same on every level, and of that the middle focal plane. All of them must show the
same area of the glass: a slide may hold several scanned areas, which are no levels of each other.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from appliance.errors import DamagedImage, UnfitScan
from appliance.slides.decoding import encoded, native, refuse_unknown
from appliance.slides.image import VolumeImage
from appliance.slides.recent import RecentTiles
from appliance.slides.sources import TiledSource
from appliance.slides.tiling import FrameIndex, full_index, sparse_index

_MISSING = "A part of an image of the slide is missing."
_SEVERAL_AREAS = "The images of this slide show different areas of the glass."
_SLACK_PX, _SLACK_SHARE = 1.5, 0.01
"""What sides and origins of levels may differ by: pixels of the coarser, plus a share of a side."""


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
    UnfitScan
        The images show more than one area of the glass.
    """
    by_shape: dict[tuple[int, int], dict[str, list[VolumeImage]]] = {}
    for image in sorted(images, key=lambda image: str(image.path)):
        whole = image.frame_order.concatenation_uid or str(image.path)
        same_shape = by_shape.setdefault((image.grid.rows, image.grid.columns), {})
        same_shape.setdefault(whole, []).append(image)
    levels = [[_ordered(parts) for parts in shape.values()] for shape in by_shape.values()]
    levels.sort(key=lambda wholes: wholes[0][0].um_px)
    base = levels[0][0][0]
    if not all(_is_same_area(image, base) for image in images):
        raise UnfitScan(_SEVERAL_AREAS)
    path = min(map(_path, levels[0]))
    return [_level(wholes, path) for wholes in levels]


def level_source(level: LevelImages, recent: RecentTiles) -> TiledSource:
    """Open the pixels of one level; tiles that were decoded are kept in `recent`.

    Raises
    ------
    DamagedImage
        The frames cannot be located, or are fewer than the header tells.
    UnreadableEncoding
        No codec here knows them, or they lie on no grid.
    """
    parts = level.parts
    first = parts[0]
    with ExitStack() as opened:
        frames = []
        for part in parts:
            frames.append(part.frames())
            opened.callback(frames[-1].close)
        if first.is_encapsulated:
            refuse_unknown(frames[0].frame(0), first.form)
        index = _index(parts)  # by now the number of frames is known to be true
        opened.pop_all()
    decode = encoded(first.form) if first.is_encapsulated else native(first.form)
    return TiledSource(frames, index, decode, recent)


def _ordered(parts: Sequence[VolumeImage]) -> tuple[VolumeImage, ...]:
    """Put the parts of a concatenation in order (PS3.3 C.7.6.16.2.2.4); all must be there."""
    if not parts[0].frame_order.concatenation_uid:
        return tuple(parts)
    ordered = sorted(parts, key=lambda part: part.frame_order.first_frame)
    expected = 0
    for part in ordered:
        if part.frame_order.first_frame != expected or part.form != parts[0].form:
            raise DamagedImage(_MISSING)
        expected += part.n_frames
    if parts[0].frame_order.n_parts not in {0, len(parts)}:
        raise DamagedImage(_MISSING)
    return tuple(ordered)


def _is_same_area(image: VolumeImage, base: VolumeImage) -> bool:
    slack_um = _SLACK_PX * image.um_px
    height_um, width_um = base.grid.rows * base.um_px, base.grid.columns * base.um_px
    differences = [
        (image.grid.rows * image.um_px - height_um, height_um),
        (image.grid.columns * image.um_px - width_um, width_um),
    ]
    if image.origin_um is not None and base.origin_um is not None:
        longer_um = max(height_um, width_um)  # the matrix may lie turned on the glass
        differences += [
            (one - other, longer_um)
            for one, other in zip(image.origin_um, base.origin_um, strict=True)
        ]
    return all(
        abs(difference) <= slack_um + _SLACK_SHARE * side_um for difference, side_um in differences
    )


def _level(wholes: Sequence[tuple[VolumeImage, ...]], path: str) -> LevelImages:
    """Choose what is shown; a level that lacks the path of the base shows its own first one."""
    if path not in map(_path, wholes):
        path = min(map(_path, wholes))
    same_path = [parts for parts in wholes if _path(parts) == path]
    same_path.sort(key=lambda parts: parts[0].frame_order.z_um)
    shown = same_path[(len(same_path) - 1) // 2]
    others = tuple(part for parts in wholes if parts is not shown for part in parts)
    return LevelImages(parts=shown, others=others)


def _path(parts: tuple[VolumeImage, ...]) -> str:
    return next(iter(parts[0].frame_order.paths), "")


def _index(parts: Sequence[VolumeImage]) -> FrameIndex:
    """Believe positions when every frame has one, except where the header says TILED_FULL."""
    order, grid = parts[0].frame_order, parts[0].grid
    n_frames = sum(part.n_frames for part in parts)
    groups = [part.groups for part in parts if part.groups is not None]
    has_positions = len(groups) == len(parts) and all(each.has_positions for each in groups)
    if order.is_tiled_full or not has_positions:
        return full_index(grid, n_frames=n_frames, planes=order.planes, paths=order.n_paths)
    together = groups[0].joined(groups[1:])
    if len(together.row) != n_frames:
        raise DamagedImage(_MISSING)
    return sparse_index(grid, together, order.paths)

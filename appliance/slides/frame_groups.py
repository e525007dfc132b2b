"""Where the frames of a sparse slide lie: the Per-Frame Functional Groups, read raw.

All items of one writer look alike but for the lengths of a few numbers. So the first item of each
kind is walked, becomes a pattern, and the pattern reads the others (PS3.3 C.7.6.16.2, C.8.12.6.1).
"""

import re
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.slides.elements import (
    ITEM,
    ITEM_BYTES,
    SEQUENCE_END,
    UNDEFINED,
    Buffer,
    Leaf,
    Place,
    item,
    item_leaves,
)

PER_FRAME_GROUPS = 0x52009230
_PLANE_POSITION = 0x0048021A
_OPTICAL_PATH = 0x00480207
_COLUMN = (_PLANE_POSITION, 0x0048021E)
_ROW = (_PLANE_POSITION, 0x0048021F)
_Z = (_PLANE_POSITION, 0x0040074A)
_PATH = (_OPTICAL_PATH, 0x00480106)
_WANTED = (_ROW, _COLUMN, _Z, _PATH)
_MOST_PATTERNS = 512
"""Beyond that every item is walked: slower, and memory stays bounded."""

_Values = tuple[bytes, bytes, bytes, bytes]
_Reader = Callable[[Buffer, int], tuple[_Values, int] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameGroups:
    """What the functional groups say of each frame, in the order of the frames."""

    row: npt.NDArray[np.int64]
    """`(n,)` Row Position In Total Image Pixel Matrix, from 1; 0 when not given."""
    column: npt.NDArray[np.int64]
    z_um: npt.NDArray[np.float64]
    """`(n,)` Z Offset in Slide Coordinate System; 0 when not given."""
    path: npt.NDArray[np.int64]
    """`(n,)` index into `path_names`."""
    path_names: tuple[str, ...]
    """Optical Path Identifiers met, empty text for frames without one."""

    @property
    def has_positions(self) -> bool:
        """Every frame says where it lies."""
        return len(self.row) > 0 and bool((self.row > 0).all() and (self.column > 0).all())

    def joined(self, others: Sequence["FrameGroups"]) -> "FrameGroups":
        """Put the frames of further parts of a concatenation behind these."""
        parts = (self, *others)
        names = tuple(dict.fromkeys(name for part in parts for name in part.path_names))
        paths = [
            np.array([names.index(name) for name in part.path_names], np.int64)[part.path]
            for part in parts
        ]
        return FrameGroups(
            row=np.concatenate([part.row for part in parts]),
            column=np.concatenate([part.column for part in parts]),
            z_um=np.concatenate([part.z_um for part in parts]),
            path=np.concatenate(paths),
            path_names=names,
        )


def read_frame_groups(data: Buffer, place: Place, *, explicit: bool) -> tuple[FrameGroups, int]:
    """Read the Per-Frame Functional Groups Sequence.

    Parameters
    ----------
    data
        The whole file.
    place
        Where the sequence lies.
    explicit
        The file is in Explicit VR.

    Returns
    -------
    FrameGroups, int
        What it says, and the position behind it.

    Raises
    ------
    ValueError, struct.error
        The sequence is damaged.
    """
    collected = _Collected()
    readers: list[_Reader] = []
    at = place.value_at
    end = len(data) if place.length == UNDEFINED else at + place.length
    while at < end:
        if place.length == UNDEFINED and item(data, at)[0] == SEQUENCE_END:
            return collected.groups(), at + ITEM_BYTES
        values, at = _item(data, at, readers, explicit=explicit)
        collected.add(values)
    if place.length == UNDEFINED or at != end:
        raise ValueError("functional groups without their end")
    return collected.groups(), at


class _Collected:
    """Grows by one frame at a time in a few bytes each."""

    def __init__(self) -> None:
        self._rows, self._columns, self._paths = array("q"), array("q"), array("q")
        self._zs = array("d")
        self._names: dict[bytes, int] = {}

    def add(self, values: _Values) -> None:
        row, column, z_um, path = values
        self._rows.append(int.from_bytes(row, "little", signed=True))
        self._columns.append(int.from_bytes(column, "little", signed=True))
        self._zs.append(float(z_um.strip(b" \0") or 0))
        self._paths.append(self._names.setdefault(path, len(self._names)))

    def groups(self) -> FrameGroups:
        return FrameGroups(
            row=np.array(self._rows, np.int64),
            column=np.array(self._columns, np.int64),
            z_um=np.nan_to_num(np.array(self._zs, np.float64)),
            path=np.array(self._paths, np.int64),
            path_names=tuple(name.decode("ascii", "replace").strip(" \0") for name in self._names),
        )


def _item(data: Buffer, at: int, readers: list[_Reader], *, explicit: bool) -> tuple[_Values, int]:
    """Read one item by the pattern that fits; the last that did is tried first."""
    for number, read in enumerate(readers):
        found = read(data, at)
        if found is not None:
            if number:
                readers.insert(0, readers.pop(number))
            return found
    if item(data, at)[0] != ITEM:
        raise ValueError("not an item")
    leaves, end = item_leaves(data, at, explicit=explicit)
    if len(readers) < _MOST_PATTERNS:
        readers.insert(0, _reader(data, at, leaves, end))
    places = _places(leaves)
    row, column, z_um, path = (
        data[leaf.at : leaf.at + leaf.length] if leaf else b"" for leaf in places
    )
    return (row, column, z_um, path), end


def _places(leaves: Sequence[Leaf]) -> list[Leaf | None]:
    known = {(leaf.parent, leaf.tag): leaf for leaf in reversed(leaves)}
    return [known.get(wanted) for wanted in _WANTED]


def _reader(data: Buffer, at: int, leaves: Sequence[Leaf], end: int) -> _Reader:
    """Make a pattern of one item: heads literally, values by their length."""
    places = _places(leaves)
    order = [leaf for leaf in leaves if leaf in places]
    parts, position = [], at
    for leaf in leaves:
        parts.append(re.escape(data[position : leaf.at]))
        parts.append(b"(.{%d})" % leaf.length if leaf in order else b".{%d}" % leaf.length)
        position = leaf.at + leaf.length
    parts.append(re.escape(data[position:end]))
    pattern = re.compile(b"".join(parts), re.DOTALL)
    numbers = [order.index(leaf) + 1 if leaf else None for leaf in places]

    def read(data: Buffer, at: int) -> tuple[_Values, int] | None:
        match = pattern.match(data, at)
        if match is None:
            return None
        row, column, z_um, path = (b"" if n is None else match[n] for n in numbers)
        return (row, column, z_um, path), match.end()

    return read

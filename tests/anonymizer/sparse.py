"""Slides whose every frame says where it lies (TILED_SPARSE, PS3.3 C.8.12.9)."""

import struct
from pathlib import Path

from anonymizer.part10.elements import Element
from tests.anonymizer import planted
from tests.anonymizer.planted import TILE_PX, Canaries


def write(path: Path, frames: int) -> Path:
    """Write a sparse slide of so many small frames."""
    side = int(frames**0.5) + 1
    size = struct.pack("<I", side * TILE_PX)
    elements = planted.with_values(
        planted.slim(Canaries()),
        Element(0x00209311, "CS", b"TILED_SPARSE"),
        Element(0x00280008, "IS", str(frames).encode()),
        Element(0x00480006, "UL", size),
        Element(0x00480007, "UL", size),
        Element(0x52009230, "SQ", items=tuple(_groups(n, side) for n in range(frames))),
    )
    return planted.write(path, elements, [planted.jpeg(1)] * frames)


def _groups(number: int, side: int) -> tuple[Element, ...]:
    """Functional groups of one frame."""
    row, column = divmod(number, side)
    place = (
        Element(0x0040072A, "DS", f"{row * 0.032:.3f}".encode()),
        Element(0x0040073A, "DS", f"{column * 0.032:.3f}".encode()),
        Element(0x0040074A, "DS", b"0"),
        Element(0x0048021E, "SL", struct.pack("<i", column * TILE_PX + 1)),
        Element(0x0048021F, "SL", struct.pack("<i", row * TILE_PX + 1)),
    )
    index = (Element(0x00209157, "UL", struct.pack("<II", column + 1, row + 1)),)
    path = (Element(0x00480106, "SH", b"1"),)
    return (
        Element(0x00209111, "SQ", items=(index,)),
        Element(0x0048021A, "SQ", items=(place,)),
        Element(0x00480207, "SQ", items=(path,)),
    )

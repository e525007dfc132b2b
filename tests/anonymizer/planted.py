"""Slides in which every place that can hold a text, a UID or a date holds one to look for."""

import io
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from anonymizer.part10.elements import Element, encode
from anonymizer.profile.iod import Attribute, Shape, whole_slide_image

UID_ROOT = "1.2.826.0.1.3680043.10.99999."
WORD = "CANARY"
TILE_PX = 64

_TEXTS = {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
_NUMBERS = {"AT": 4, "FL": 4, "FD": 8, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
_NEVER = {0x7FE00010, 0x7FE00001, 0x7FE00002, 0x7FE00003}


@dataclass
class Canaries:
    """Gives every place a value of its own and remembers how many there are."""

    words: int = 0
    uids: int = 0
    days: set[str] = field(default_factory=set)

    def word(self) -> bytes:
        self.words += 1
        return f"{WORD}{self.words:05d}".encode()

    def uid(self) -> bytes:
        self.uids += 1
        return f"{UID_ROOT}{self.uids}".encode()

    def day(self) -> bytes:
        """A day of 2025: shifted by 52 weeks or more it is in 2024 or before."""
        number = len(self.days) % 300
        day = f"2025{1 + number // 28:02d}{1 + number % 28:02d}"
        self.days.add(day)
        return day.encode()

    def value(self, vr: str) -> bytes:
        if vr in _TEXTS:
            return self.word()
        if vr in _NUMBERS:
            return bytes(_NUMBERS[vr])
        fixed = {"CS": b"NONE", "DS": b"1.5", "IS": b"1", "TM": b"101500", "AS": b"047Y"}
        if vr in fixed:
            return fixed[vr]
        if vr == "UI":
            return self.uid()
        if vr == "DA":
            return self.day()
        return self.day() + b"101500" if vr == "DT" else self.word() + b"\0"


def everything(shape: Shape, canaries: Canaries, depth: int = 0) -> list[Element]:
    """One element for every attribute of the IOD, at every depth, and strangers among them."""
    made = [
        _element(tag, attribute, canaries, depth)
        for tag, attribute in shape.attributes.items()
        if tag not in _NEVER
    ]
    made += [
        Element(0x00090010, "LO", canaries.word()),
        Element(0x00091001, "UN", canaries.word()),
        Element(0x00091002, "SQ", items=((Element(0x00091003, "LT", canaries.word()),),)),
        Element(0x00509998, "LO", canaries.word()),
    ]
    return sorted(made, key=lambda one: one.tag)


def _element(tag: int, attribute: Attribute, canaries: Canaries, depth: int) -> Element:
    if attribute.vr == "SQ" and attribute.items is None:
        return Element(tag, "SQ", items=((Element(0x00100010, "PN", canaries.word()),),))
    if attribute.items is None:
        return Element(tag, attribute.vr, canaries.value(attribute.vr))
    inside = tuple(everything(attribute.items, canaries, depth + 1))
    return Element(tag, "SQ", items=(inside,))


def volume(canaries: Canaries, *, tiles: int = 2, flavor: str = "VOLUME") -> list[Element]:
    """The whole IOD with canaries, and what an image needs to be one."""
    side = tiles * TILE_PX
    image_type = f"ORIGINAL\\PRIMARY\\{flavor}\\NONE".encode()
    needed = [
        Element(0x00080005, "CS", b"ISO_IR 192"),
        Element(0x00080008, "CS", image_type),
        Element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.77.1.6"),
        Element(0x00080060, "CS", b"SM"),
        Element(0x00100020, "LO", b"CANARYPATIENT"),
        Element(0x0020000D, "UI", f"{UID_ROOT}900001".encode()),
        Element(0x00200052, "UI", f"{UID_ROOT}900002".encode()),
        Element(0x00080050, "SH", b"CANARYACCESSION"),
        Element(0x00280002, "US", struct.pack("<H", 3)),
        Element(0x00280004, "CS", b"YBR_FULL_422"),
        Element(0x00280006, "US", struct.pack("<H", 0)),
        Element(0x00280008, "IS", str(tiles * tiles).encode()),
        Element(0x00280010, "US", struct.pack("<H", TILE_PX)),
        Element(0x00280011, "US", struct.pack("<H", TILE_PX)),
        Element(0x00280100, "US", struct.pack("<H", 8)),
        Element(0x00280101, "US", struct.pack("<H", 8)),
        Element(0x00280102, "US", struct.pack("<H", 7)),
        Element(0x00280103, "US", struct.pack("<H", 0)),
        Element(0x00280301, "CS", b"NO"),
        Element(0x00400512, "LO", b"CANARYCONTAINER"),
        Element(0x00480006, "UL", struct.pack("<I", side)),
        Element(0x00480007, "UL", struct.pack("<I", side)),
        Element(0x00480010, "CS", b"NO"),
        Element(0x50000010, "US", bytes(2)),
        Element(0x50003000, "OW", canaries.word() + b"\0"),
        Element(0x60003000, "OW", canaries.word() + b"\0"),
        Element(0x60004000, "LT", canaries.word()),
        Element(0x52009229, "SQ", items=(_groups(image_type),)),
    ]
    elements = {one.tag: one for one in everything(whole_slide_image(), canaries)}
    elements.pop(0x52009230, None)
    elements |= {one.tag: one for one in needed}
    return sorted(elements.values(), key=lambda one: one.tag)


def _groups(image_type: bytes) -> tuple[Element, ...]:
    measures = (Element(0x00180050, "DS", b"0.004"), Element(0x00280030, "DS", b"0.0005\\0.0005"))
    return (
        Element(0x00289110, "SQ", items=(measures,)),
        Element(0x00400710, "SQ", items=((Element(0x00089007, "CS", image_type),),)),
    )


def with_values(elements: list[Element], *values: Element) -> list[Element]:
    """Replace or add elements by tag."""
    known = {one.tag: one for one in elements} | {one.tag: one for one in values}
    return sorted(known.values(), key=lambda one: one.tag)


def sibling(elements: list[Element], canaries: Canaries, tiles: int, flavor: str) -> list[Element]:
    """Another image of the same slide."""
    image_type = f"ORIGINAL\\PRIMARY\\{flavor}\\NONE".encode()
    return with_values(
        elements,
        Element(0x00080008, "CS", image_type),
        Element(0x00080018, "UI", canaries.uid()),
        Element(0x00280008, "IS", str(tiles * tiles).encode()),
        Element(0x00480006, "UL", struct.pack("<I", tiles * TILE_PX)),
        Element(0x00480007, "UL", struct.pack("<I", tiles * TILE_PX)),
        Element(0x52009229, "SQ", items=(_groups(image_type),)),
    )


def jpeg(seed: int, *, side_px: int = TILE_PX) -> bytes:
    """A tile of smooth noise as baseline JPEG with JFIF."""
    noise = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((side_px, side_px)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def noted(frame: bytes, canaries: Canaries) -> bytes:
    """Plant a word into every place of a JPEG that can hold one."""
    notes = b"".join(
        _segment(marker, start + canaries.word())
        for marker, start in ((0xE0, b"JFXX\0"), (0xE1, b"Exif\0\0"), (0xE2, b"ICC_PROFILE\0"))
    )
    notes += _segment(0xFE, canaries.word()) + _segment(0xED, canaries.word())
    return frame[:2] + notes + frame[2:] + canaries.word()


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def write(
    path: Path, elements: list[Element], frames: list[bytes], canaries: Canaries | None = None
) -> Path:
    """Write a JPEG instance; with canaries also into preamble, file meta and behind the pixels."""
    uid = next(one.value for one in elements if one.tag == 0x00080018)
    meta = [
        Element(0x00020001, "OB", b"\0\1"),
        Element(0x00020002, "UI", b"1.2.840.10008.5.1.4.1.1.77.1.6"),
        Element(0x00020003, "UI", uid),
        Element(0x00020010, "UI", b"1.2.840.10008.1.2.4.50"),
        Element(0x00020012, "UI", canaries.uid() if canaries else b"1.2.3"),
    ]
    preamble, trailing = bytes(128), b""
    if canaries:
        meta += [
            Element(tag, vr, canaries.word())
            for tag, vr in ((0x00020013, "SH"), (0x00020016, "AE"), (0x00020017, "AE"))
        ]
        meta.append(Element(0x00020100, "UI", canaries.uid()))
        meta.append(Element(0x00020102, "OB", canaries.word() + b"\0"))
        preamble = canaries.word().ljust(128, b"\0")
        trailing = encode([Element(0xFFFCFFFC, "OB", canaries.word() + b"\0")]) + canaries.word()
    body = encode(meta)
    head = preamble + b"DICM" + encode([Element(0x00020000, "UL", struct.pack("<I", len(body)))])
    path.write_bytes(head + body + encode(elements) + encapsulated(frames) + trailing)
    return path


def encapsulated(frames: list[bytes]) -> bytes:
    """Pixel Data with an empty basic offset table."""
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    fragments = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(one)) + one for one in padded)
    start = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0" + bytes(4)
    return start + fragments + b"\xfe\xff\xdd\xe0" + bytes(4)


def planted_slide(folder: Path, canaries: Canaries) -> list[Path]:
    """Two levels, a label and an overview of one slide, canaries everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    base = volume(canaries)
    for number, (tiles, flavor) in enumerate(((2, "VOLUME"), (1, "VOLUME"), (1, "LABEL"))):
        elements = sibling(base, canaries, tiles, flavor)
        frames = [noted(jpeg(seed), canaries) for seed in range(tiles * tiles)]
        made.append(write(folder / f"{WORD}{number}.dcm", elements, frames, canaries))
    return made

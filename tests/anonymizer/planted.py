"""Slides in which every place that can hold a text, a UID or a date holds one to look for."""

import io
import random
import re
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
JPEG_BASELINE = b"1.2.840.10008.1.2.4.50"

TEXTS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
_NUMBERS = {"AT": 4, "FL": 4, "FD": 8, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
NEVER = {0x7FE00010, 0x7FE00001, 0x7FE00002, 0x7FE00003}


@dataclass
class Canaries:
    """Gives every place a value of its own and remembers how many there are.

    Those of a seed look otherwise, and stand in other places too: nobody who wrote a rule saw them.
    """

    seed: int = 0
    words: int = 0
    uids: int = 0
    days: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311  the same places every time
        self.prefix, self.root, self.year = WORD, UID_ROOT, 2025
        if self.seed:
            self.prefix = "".join(self.random.choices("BCDFGHJKLMNPQRSTVWXZ", k=7))
            self.root = f"1.3.6.1.4.1.{self.random.randrange(10**8, 10**9)}."
            self.year = self.random.randrange(1990, 2012)

    def word(self) -> bytes:
        self.words += 1
        return f"{self.prefix}{self.words:05d}".encode()

    def uid(self) -> bytes:
        self.uids += 1
        return f"{self.root}{self.uids}".encode()

    def day(self) -> bytes:
        """A day of the year: shifted by 52 weeks or more it is in the year before or earlier."""
        number = len(self.days) % 300
        day = f"{self.year}{1 + number // 28:02d}{1 + number % 28:02d}"
        self.days.add(day)
        return day.encode()

    def words_in(self, path: Path) -> set[bytes]:
        """Give every word of it that a file holds."""
        return set(re.findall(self.prefix.encode() + rb"\d{5,}", path.read_bytes()))

    def left_in(self, content: bytes) -> list[str]:
        """Tell what of it stands in some bytes, in whatever case and encoding."""
        upper = content.upper()
        spellings = (self.prefix.encode(name) for name in ("ascii", "utf-16-le", "utf-16-be"))
        found = ["a word"] * any(one in upper for one in spellings)
        found += ["a word, reversed"] * (self.prefix[::-1].encode() in upper)
        found += ["a UID"] * (self.root.encode() in content)
        return found + [f"the day {day}" for day in self.days if day.encode() in content]

    def value(self, vr: str) -> bytes:
        if vr in TEXTS:
            return self.word()
        if vr in _NUMBERS:
            return bytes(_NUMBERS[vr])
        fixed = {"DS": b"1.5", "IS": b"1", "TM": b"101500", "AS": b"047Y"}
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
        element(tag, attribute, canaries, depth)
        for tag, attribute in shape.attributes.items()
        if tag not in NEVER
    ]
    return with_values(made, *strangers(canaries))


def strangers(canaries: Canaries) -> list[Element]:
    """Private and unknown attributes; with a seed, of other groups and forms."""
    group, unknown = 0x0009, 0x0050
    if canaries.seed:
        group = canaries.random.randrange(0x0011, 0x5FFF, 2)
        unknown = canaries.random.choice([0x0050, 0x1001 - 1, 0x3002, 0x7000])
    start = group << 16
    inner = (Element(start | 0x1003, "LT", canaries.word()),)
    deeper = (Element(start | 0x1004, "SQ", items=(inner, inner)),)
    return [
        Element(start | 0x0010, "LO", canaries.word()),
        Element(start | 0x1001, "UN", canaries.word()),
        Element(start | 0x1002, "SQ", items=(inner,)),
        Element(start | 0x1005, "OB", implicit(list(inner))),
        Element(start | 0x1006, "SQ", items=(deeper,)),
        Element(start | 0x1107, "UT", canaries.word()),
        Element(unknown << 16 | 0x9998, "LO", canaries.word()),
    ]


def implicit(elements: list[Element]) -> bytes:
    """Encode a data set in Implicit VR Little Endian."""
    parts = []
    for one in elements:
        value = one.value
        if one.items is not None:
            inside = (implicit(list(item)) for item in one.items)
            value = b"".join(b"\xfe\xff\0\xe0" + struct.pack("<I", len(it)) + it for it in inside)
        value += b"\0" * (len(value) % 2)
        parts.append(struct.pack("<HHI", one.tag >> 16, one.tag & 0xFFFF, len(value)) + value)
    return b"".join(parts)


def element(tag: int, attribute: Attribute, canaries: Canaries, depth: int = 0) -> Element:
    """Give one attribute as the IOD has it, a value of its own at every leaf."""
    if attribute.vr == "SQ" and attribute.items is None:
        return Element(tag, "SQ", items=((Element(0x00100010, "PN", canaries.word()),),))
    if attribute.items is None:
        return Element(tag, attribute.vr, canaries.value(attribute.vr))
    inside = tuple(everything(attribute.items, canaries, depth + 1))
    return Element(tag, "SQ", items=(inside,))


def volume(canaries: Canaries, *, tiles: int = 2, flavor: str = "VOLUME") -> list[Element]:
    """The whole IOD with canaries, and what an image needs to be one."""
    elements = {one.tag: one for one in everything(whole_slide_image(), canaries)}
    elements.pop(0x52009230, None)
    return with_values(list(elements.values()), *slim(canaries, tiles=tiles, flavor=flavor))


def slim(canaries: Canaries, *, tiles: int = 2, flavor: str = "VOLUME") -> list[Element]:
    """Only what an image needs to be one, its identifiers, a curve and an overlay."""
    side = tiles * TILE_PX
    image_type = f"ORIGINAL\\PRIMARY\\{flavor}\\NONE".encode()
    return [
        *(Element(tag, "CS", canaries.word()) for tag in (0x00041130, 0x00041430)),
        Element(0x00080005, "CS", b"ISO_IR 192"),
        Element(0x00080008, "CS", image_type),
        Element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.77.1.6"),
        Element(0x00080018, "UI", canaries.uid()),
        Element(0x00080050, "SH", f"{canaries.prefix}ACCESSION".encode()),
        Element(0x00080060, "CS", b"SM"),
        Element(0x00100020, "LO", f"{canaries.prefix}PATIENT".encode()),
        Element(0x0020000D, "UI", f"{canaries.root}900001".encode()),
        Element(0x00200052, "UI", f"{canaries.root}900002".encode()),
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
        Element(0x00400512, "LO", f"{canaries.prefix}CONTAINER".encode()),
        Element(0x00480006, "UL", struct.pack("<I", side)),
        Element(0x00480007, "UL", struct.pack("<I", side)),
        Element(0x00480010, "CS", b"NO"),
        Element(0x50000010, "US", bytes(2)),
        Element(0x50003000, "OW", canaries.word() + b"\0"),
        Element(0x60003000, "OW", canaries.word() + b"\0"),
        Element(0x60004000, "LT", canaries.word()),
        Element(0x52009229, "SQ", items=(_groups(image_type),)),
    ]


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
    starts = {0xE0: b"JFXX\0", 0xE1: b"Exif\0\0", 0xE2: b"ICC_PROFILE\0"}
    if canaries.seed:  # those that mean colour stay, in their one form
        starts |= {0xE8: b"mrfx\0", 0xEE: b"Adobe\0\x64\0\0\0\0\1"}
    notes = b"".join(
        _segment(marker, starts.get(marker, b"") + canaries.word())
        for marker in (*range(0xE0, 0xEE), 0xEF, 0xFE, 0xFE)
    )
    return frame[:2] + notes + b"\xff" * 5 + frame[2:] + canaries.word()


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def write(
    path: Path, elements: list[Element], frames: list[bytes], canaries: Canaries | None = None
) -> Path:
    """Write a JPEG instance; with canaries also into preamble, file meta and behind the pixels."""
    path.write_bytes(content(encode(elements), encapsulated(frames), uid_of(elements), canaries))
    return path


def uid_of(elements: list[Element]) -> bytes:
    """SOP Instance UID of an instance."""
    return next(one.value for one in elements if one.tag == 0x00080018)


def content(
    data_set: bytes,
    pixels: bytes,
    uid: bytes = b"1.2.3.4",
    canaries: Canaries | None = None,
    syntax: bytes = JPEG_BASELINE,
) -> bytes:
    """A file around an encoded data set and its Pixel Data."""
    meta = [
        Element(0x00020001, "OB", b"\0\1"),
        Element(0x00020002, "UI", b"1.2.840.10008.5.1.4.1.1.77.1.6"),
        Element(0x00020003, "UI", uid),
        Element(0x00020010, "UI", syntax),
        Element(0x00020012, "UI", canaries.uid() if canaries else b"1.2.3"),
    ]
    preamble, trailing = bytes(128), b""
    if canaries:
        meta += [
            Element(tag, vr, canaries.word())
            for tag, vr in (
                *((0x00020013, "SH"), (0x00020016, "AE"), (0x00020017, "AE")),
                *((0x00020018, "AE"), (0x00020026, "UR"), (0x00020027, "UR")),
                *((0x00020028, "UR"), (0x00020035, "LO"), (0x00020077, "LO")),
            )
        ]
        meta.append(Element(0x00020100, "UI", canaries.uid()))
        meta.append(Element(0x00020102, "OB", canaries.word() + b"\0"))
        preamble = canaries.word().ljust(128, b"\0")
        trailing = encode([Element(0xFFFCFFFC, "OB", canaries.word() + b"\0")]) + canaries.word()
    body = encode(meta)
    head = preamble + b"DICM" + encode([Element(0x00020000, "UL", struct.pack("<I", len(body)))])
    return head + body + data_set + pixels + trailing


def encapsulated(frames: list[bytes]) -> bytes:
    """Pixel Data with an empty basic offset table."""
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    fragments = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(one)) + one for one in padded)
    start = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0" + bytes(4)
    return start + fragments + b"\xfe\xff\xdd\xe0" + bytes(4)


def planted_slide(
    folder: Path, canaries: Canaries, base: list[Element] | None = None
) -> list[Path]:
    """Two levels and a label of one slide, canaries everywhere or in the attributes given."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    base = base or volume(canaries)
    for number, (tiles, flavor) in enumerate(((2, "VOLUME"), (1, "VOLUME"), (1, "LABEL"))):
        elements = sibling(base, canaries, tiles, flavor)
        frames = [noted(jpeg(seed), canaries) for seed in range(tiles * tiles)]
        made.append(write(folder / f"{WORD}{number}.dcm", elements, frames, canaries))
    return made

"""Frames of every format that slides have, with words in every place that no decoder reads."""

import io
import struct
from dataclasses import dataclass
from itertools import pairwise

import jpeg_ls
import numpy as np
from PIL import Image

from anonymizer.part10.elements import Element
from tests.anonymizer import planted
from tests.anonymizer.planted import TILE_PX, Canaries

EXPLICIT_LITTLE_ENDIAN = b"1.2.840.10008.1.2.1"
_SOC_AND_SIZ_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One transfer syntax: how its frames are made, and where words fit into them."""

    syntax: bytes
    photometric: bytes
    frames: list[bytes]
    noted: list[bytes]

    @property
    def needed(self) -> tuple[Element, ...]:
        """What the header has to say of such frames."""
        return (Element(0x00280004, "CS", self.photometric),)

    def pixels(self, canaries: Canaries) -> bytes:
        """Pixel Data of the noted frames, with a word in the offset table."""
        if self.syntax == EXPLICIT_LITTLE_ENDIAN:
            value = b"".join(self.noted)
            return b"\xe0\x7f\x10\0OB\0\0" + struct.pack("<I", len(value)) + value
        table = canaries.word().ljust(16)[:16]
        parts = [table, *(one + b"\0" * (len(one) % 2) for one in self.noted)]
        items = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(one)) + one for one in parts)
        start = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
        return start + items + b"\xfe\xff\xdd\xe0" + bytes(4)


def formats(canaries: Canaries) -> dict[str, Format]:
    """Give four frames in each format, by the name of the format."""
    arrays = [_array(seed) for seed in range(4)]
    plain = {
        "JPEG": [planted.jpeg(seed) for seed in range(4)],
        "JPEG 2000": [_j2k(one, no_jp2=True) for one in arrays],
        "JP2 file": [_j2k(one, no_jp2=False) for one in arrays],
        "JPEG-LS": [
            bytes(jpeg_ls.encode_buffer(one.tobytes(), TILE_PX, TILE_PX, 3, 8, 0, 2))
            for one in arrays
        ],
        "RLE": [_rle(one) for one in arrays],
        "native": [one.tobytes() for one in arrays],
    }
    described = {
        "JPEG": (b"1.2.840.10008.1.2.4.50", b"YBR_FULL_422", planted.noted),
        "JPEG 2000": (b"1.2.840.10008.1.2.4.90", b"RGB", j2k_noted),
        "JP2 file": (b"1.2.840.10008.1.2.4.90", b"RGB", jp2_noted),
        "JPEG-LS": (b"1.2.840.10008.1.2.4.80", b"RGB", jpeg_ls_noted),
        "RLE": (b"1.2.840.10008.1.2.5", b"RGB", rle_noted),
        "native": (EXPLICIT_LITTLE_ENDIAN, b"RGB", lambda frame, _: frame),
    }
    made = {}
    for name, (syntax, photometric, note) in described.items():
        noted = [note(frame, canaries) for frame in plain[name]]
        if name == "native":
            noted.append(canaries.word() + b"\0")
        made[name] = Format(syntax=syntax, photometric=photometric, frames=plain[name], noted=noted)
    return made


def _array(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((TILE_PX, TILE_PX)))


def _j2k(array: np.ndarray, *, no_jp2: bool) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG2000", no_jp2=no_jp2, irreversible=False)
    return buffer.getvalue()


def _rle(array: np.ndarray) -> bytes:
    """Plane after plane in literal runs (PS3.5 G.3)."""
    planes = []
    for band in range(3):
        raw = array[..., band].tobytes()
        runs = [raw[start : start + 128] for start in range(0, len(raw), 128)]
        planes.append(b"".join(bytes([len(run) - 1]) + run for run in runs))
    return _with_rle_header([one + b"\0" * (len(one) % 2) for one in planes])


def _with_rle_header(segments: list[bytes]) -> bytes:
    offsets = [64 + sum(map(len, segments[:n])) for n in range(len(segments))]
    header = struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(segments)))
    return header + b"".join(segments)


def j2k_noted(frame: bytes, canaries: Canaries) -> bytes:
    """Comments in the main header and in the header of the tile-part, bytes behind the end."""
    size = struct.unpack_from(">H", frame, _SOC_AND_SIZ_BYTES)[0]
    main = _SOC_AND_SIZ_BYTES + size
    tile = frame.index(b"\xff\x90")
    length = struct.unpack_from(">I", frame, tile + 6)[0]
    inside = _comment(canaries)
    head = frame[tile : tile + 6] + struct.pack(">I", length + len(inside) if length else 0)
    return (
        frame[:main]
        + _comment(canaries)
        + frame[main:tile]
        + _comment(canaries)
        + head
        + frame[tile + 10 : tile + 12]
        + inside
        + frame[tile + 12 :]
        + canaries.word()
    )


def _comment(canaries: Canaries) -> bytes:
    body = b"\0\1" + canaries.word()
    return b"\xff\x64" + struct.pack(">H", len(body) + 2) + body


def jp2_noted(frame: bytes, canaries: Canaries) -> bytes:
    """Boxes around the codestream that hold texts, and comments in it."""
    start = frame.index(b"jp2c") - 4
    codestream = j2k_noted(frame[start + 8 :], canaries)
    boxes = b"".join(
        _box(kind, before + canaries.word())
        for kind, before in ((b"xml ", b"<name>"), (b"uuid", bytes(16)), (b"jp2i", b""))
    )
    whole = _box(b"jp2c", codestream)
    return frame[:start] + boxes + whole + _box(b"xml ", canaries.word()) + canaries.word()


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def jpeg_ls_noted(frame: bytes, canaries: Canaries) -> bytes:
    """Application segments, a comment, bytes behind the end."""
    notes = b"".join(
        b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
        for marker, body in (
            (0xE8, b"SPIFF\0" + canaries.word()),
            (0xE8, canaries.word()),
            (0xE1, canaries.word()),
            (0xFE, canaries.word()),
        )
    )
    return frame[:2] + notes + frame[2:] + canaries.word()


def rle_noted(frame: bytes, canaries: Canaries) -> bytes:
    """Words behind every segment, where a decoder has all its pixels already."""
    count, *offsets = struct.unpack_from("<16I", frame)
    starts = [*offsets[:count], len(frame)]
    segments = [frame[start:end] + canaries.word().ljust(16) for start, end in pairwise(starts)]
    return _with_rle_header(segments)


def jpeg_ls_picture(frame: bytes) -> np.ndarray:
    """Decode a JPEG-LS frame."""
    return jpeg_ls.decode(np.frombuffer(frame.rstrip(b"\0"), np.uint8))

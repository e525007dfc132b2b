"""WebDataset shards: a plain tar of images and `<id>.json`, the same bytes every time."""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One tile as it leaves."""

    jpeg: bytes
    """The image file; PNG where servers of the site get the very pixels."""
    um_px: float
    stain: str

    def to_bytes(self) -> bytes:
        """Encode for the vault's pool: one line of JSON, then the JPEG file."""
        line = json.dumps({"stain": self.stain, "um_px": self.um_px}, sort_keys=True)
        return line.encode() + b"\n" + self.jpeg

    @classmethod
    def from_bytes(cls, content: bytes) -> "Tile":
        """Decode what `to_bytes` made."""
        line, _, jpeg = content.partition(b"\n")
        facts = json.loads(line)
        return cls(jpeg=jpeg, um_px=float(facts["um_px"]), stain=str(facts["stain"]))


def shard(tiles: Mapping[str, Tile], *, ending: Literal["jpg", "png"] = "jpg") -> bytes:
    """Pack tiles into a WebDataset shard.

    Parameters
    ----------
    tiles
        By tile id. Packed in the order of their ids, which is a random order.
    ending
        What the image files are: `<id>.jpg` or `<id>.png`.

    Returns
    -------
    bytes
        An ustar file without owner, group or time.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for tile_id, tile in sorted(tiles.items()):
            facts = {"id": tile_id, "stain": tile.stain, "um_px": tile.um_px}
            _add(tar, f"{tile_id}.{ending}", tile.jpeg)
            _add(tar, f"{tile_id}.json", json.dumps(facts, sort_keys=True).encode())
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o644
    tar.addfile(entry, io.BytesIO(content))

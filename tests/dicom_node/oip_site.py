"""What tests of model servers need: a route to doubles, and parcels of tiles for it."""

import hashlib
import io
import secrets
import tarfile
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from appliance.manifest import ListedFile, Manifest, VerifiedParcel
from appliance.settings import Route
from tests.dicom_node.oip_double import INPUT, MODEL, NAME, OUTPUT, SIDE_PX, Tiles, digest

STATEMENT = "Does not protect against who holds the original."


def site_route(
    servers: Sequence[str | Mapping[str, Any]], name: str = "gpu", **model: Any
) -> Route:
    """Make a route of site compute to servers, by their URLs or tables."""
    pinned = hashlib.sha256((MODEL / "model.toml").read_bytes()).hexdigest()
    says = {
        "folder": MODEL,
        "digest": f"sha256:{pinned}",
        "name": NAME,
        "input": INPUT,
        "output": OUTPUT,
        "batch": 8,
        "timeout_s": 20.0,
    }
    return Route.model_validate(
        {
            "name": name,
            "recipient": f"{name}-rack",
            "place": "site",
            "kind": "model_servers",
            "carries": ("tiles",),
            "addresses": (ip_network("127.0.0.0/8"),),
            "servers": tuple({"url": one} if isinstance(one, str) else one for one in servers),
            "model": says | model,
            "policy": {
                "mechanism": "every_tile",
                "statement": STATEMENT,
                "um_px": 0.97,
                "tile_px": SIDE_PX,
            },
        }
    )


def some_tiles(n: int, *, seed: int = 1, side_px: int = SIDE_PX) -> dict[str, Tiles]:
    """Make tiles of coloured noise, each another one, by random ids in their order."""
    chance = np.random.default_rng(seed)
    coarse = chance.integers(0, 256, (n, 6, 6, 3), dtype=np.uint8)
    ids = sorted(secrets.token_hex(16) for _ in range(n))
    sized = [cv2.resize(one, (side_px, side_px), interpolation=cv2.INTER_CUBIC) for one in coarse]
    return dict(zip(ids, sized, strict=True))


def shard(tiles: Mapping[str, Tiles], kind: str = "png") -> bytes:
    """Pack tiles as release does."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for tile_id, pixels in sorted(tiles.items()):
            _, encoded = cv2.imencode(f".{kind}", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
            for name, content in ((kind, encoded.tobytes()), ("json", b"{}")):
                entry = tarfile.TarInfo(f"{tile_id}.{name}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def parcel_of(content: bytes, route: Route, parcel_id: str = "parcel-1") -> VerifiedParcel:
    """Give a parcel as deliver has it once it was verified."""
    name = f"{parcel_id}.tar"
    listed = ListedFile(
        name=name,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        kind="tiles",
    )
    now = time.time()
    manifest = Manifest(
        parcel_id=parcel_id,
        route=route.name,
        recipient=route.recipient,
        place=route.place,
        kind="tiles",
        policy_digest=route.policy_digest,
        files=(listed,),
        created_at=now,
        expires_at=now + 3600.0,
        key_id="none",
    )
    return VerifiedParcel(manifest=manifest, files={name: io.BytesIO(content)})


def digests(tiles: Mapping[str, Tiles]) -> list[int]:
    return sorted(map(digest, tiles.values()))


def kept_files(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())

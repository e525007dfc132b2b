"""Tiles whose truth is known, for tests of the attacker."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from anonymizer.attack.tile_set import RGB, TileSet, TrueTile, Truth
from anonymizer.tiles.cut import turned
from anonymizer.tiles.shards import Tile, shard

Release = tuple[TileSet, Truth]


def smooth(rows: int, columns: int, *, seed: int, grain_px: int = 12) -> RGB:
    """A picture without a repeat in which neighbours continue each other."""
    noise = np.random.default_rng(seed).random((rows, columns, 3), dtype=np.float32)
    coarse, fine = (cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (grain_px, 2))
    mixed = 3 * (coarse - 0.5) * grain_px + (fine - 0.5) * 3
    return np.clip(128 + 60 * mixed, 0, 255).astype(np.uint8)


def release(
    picture: RGB,
    *,
    cell_px: int,
    crop_px: int,
    are_turned: bool,
    colour: tuple[int, int] | None = None,
    slide: str = "one",
    recipient: str = "",
    seed: int = 0,
    least_tissue: float = 0.0,
) -> Release:
    """Cut one tile a cell, at random inside it, in the order of random ids.

    A colour (row parity, column parity) keeps one of four cells.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, tuple[RGB, TrueTile]] = {}
    for row in range(picture.shape[0] // cell_px):
        for column in range(picture.shape[1] // cell_px):
            if colour is not None and (row % 2, column % 2) != colour:
                continue
            top, left = (int(rng.integers(0, cell_px - crop_px + 1)) for _ in range(2))
            place = TrueTile(
                slide=slide,
                row_px=row * cell_px + top,
                column_px=column * cell_px + left,
                turn=int(rng.integers(8)) if are_turned else 0,
                recipient=recipient,
            )
            tile = picture[place.row_px :, place.column_px :][:crop_px, :crop_px]
            if (tile.mean(axis=2) < 220).mean() >= least_tissue:
                found[f"{rng.integers(1 << 62):032x}"] = (turned(tile, place.turn), place)
    ids = sorted(found)
    truth = Truth(cell_px=cell_px, tiles={name: found[name][1] for name in ids})
    return tile_set(np.stack([found[name][0] for name in ids]), ids), truth


def tile_set(pixels: RGB, ids: list[str]) -> TileSet:
    """Tiles that came with nothing but a name."""
    n = len(ids)
    return TileSet(
        pixels=pixels,
        names=tuple(f"{name}.jpg" for name in ids),
        ids=tuple(ids),
        sizes_bytes=np.zeros(n, np.int64),
        times=np.zeros(n),
        tables=("",) * n,
    )


def together(*releases: Release) -> Release:
    """Mix releases in the order of their ids."""
    pixels = np.concatenate([tiles.pixels for tiles, _ in releases])
    ids = [name for tiles, _ in releases for name in tiles.ids]
    truth = {name: tile for _, truth in releases for name, tile in truth.tiles.items()}
    mixed = tile_set(pixels, ids).take(np.argsort(ids))
    return mixed, Truth(cell_px=releases[0][1].cell_px, tiles=truth)


def of_recipient(one: Release, recipient: str) -> Release:
    tiles, truth = one
    given = {name: replace(tile, recipient=recipient) for name, tile in truth.tiles.items()}
    return tiles, replace(truth, tiles=given)


def jpeg(pixels: RGB, *, quality: int = 90) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def leave_as_shards(folder: Path, tiles: TileSet, *, per_shard: int) -> None:
    """Write shards as the release daemon packs them."""
    packed = {
        name: Tile(jpeg=jpeg(pixels), um_px=0.5, stain="H&E")
        for name, pixels in zip(tiles.ids, tiles.pixels, strict=True)
    }
    ids = sorted(packed)
    for start in range(0, len(ids), per_shard):
        some = {name: packed[name] for name in ids[start : start + per_shard]}
        (folder / f"parcel{start:04}.tar").write_bytes(shard(some))

"""What recipients would hold of tissue: without a plan, shuffled only, and by a release plan.

A plan's tiles are chosen, cut, turned and encoded by the very code that release uses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from anonymizer.attack.released import read_released
from anonymizer.attack.tile_set import RGB, TileSet, TrueTile, Truth
from anonymizer.privacy.tissue import MAP_PX, Piece, Tissue
from anonymizer.tiles.cut import encode, turned
from anonymizer.tiles.plan import Sampler, candidate_cells, plan_tiles
from anonymizer.tiles.shards import Tile, shard
from appliance.settings import ColouredTiles

Release = tuple[TileSet, Truth]

_QUALITY: Final = 90
_TURNS: Final = 8
_EVERYTHING: Final = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    tile_id: str
    jpeg: bytes
    truth: TrueTile


def n_cells(tissue: Tissue, cell_px: int) -> int:
    """Count the cells of clean tissue."""
    return sum(len(_cells(one, cell_px)) for one in tissue.pieces)


def without_plan(tissue: Tissue, *, tile_px: int) -> Release:
    """Give every tile, touching, upright, in raster order, under its place as its name."""
    cuts = [
        _Cut(
            tile_id=f"{number:03}_{row:04}_{column:04}",
            jpeg=encode(_pixels(one, row, column, tile_px), _QUALITY),
            truth=_true(one, row, column, tile_px=tile_px, cell_px=tile_px),
        )
        for number, one in enumerate(tissue.pieces)
        for row, column in _cells(one, tile_px)
    ]
    with TemporaryDirectory() as folder:
        for cut in cuts:
            (Path(folder) / f"{cut.tile_id}.jpg").write_bytes(cut.jpeg)
        return _read(Path(folder), cuts, cell_px=tile_px)


def shuffled(tissue: Tissue, *, tile_px: int, seed: int) -> Release:
    """Give every tile, touching, turned at random, in random order, under a random id."""
    draw = np.random.default_rng(seed)
    cuts = []
    for one in tissue.pieces:
        for row, column in _cells(one, tile_px):
            turn = int(draw.integers(_TURNS))
            pixels = turned(_pixels(one, row, column, tile_px), turn)
            cuts.append(
                _Cut(
                    tile_id=draw.bytes(16).hex(),
                    jpeg=encode(pixels, _QUALITY),
                    truth=_true(one, row, column, tile_px=tile_px, cell_px=tile_px, turn=turn),
                )
            )
    return _sealed(cuts, cell_px=tile_px)


def planned(tissue: Tissue, policy: ColouredTiles, *, key: bytes) -> Release:
    """Give the tiles of all colours of a plan, each colour to a recipient of its own.

    Parameters
    ----------
    tissue
        Its pixels count as they are, whatever their spacing.
    policy
        Grid, crop, colours and quality; its colour is not looked at.
    key
        Sampling key: another key gives another sample.
    """
    cuts = [
        cut
        for one in tissue.pieces
        for colour in range(policy.colours)
        for cut in _planned(one, policy.model_copy(update={"colour": colour}), key)
    ]
    return _sealed(cuts, cell_px=policy.cell_px)


def each_recipient(tissue: Tissue, policy: ColouredTiles, *, key: bytes) -> tuple[Release, ...]:
    """Give what every single recipient of a plan holds; who got less than two tiles is left out."""
    release = planned(tissue, policy, key=key)
    held = [of_recipient(release, name) for name in recipients(release)]
    return tuple((tiles, truth) for tiles, truth in held if len(tiles) > 1)


def of_recipient(release: Release, recipient: str) -> Release:
    """Keep what one recipient got."""
    tiles, truth = release
    kept = [i for i, name in enumerate(tiles.ids) if truth.tiles[name].recipient == recipient]
    return tiles.take(kept), truth


def recipients(release: Release) -> tuple[str, ...]:
    """Name who got tiles."""
    return tuple(sorted({tile.recipient for tile in release[1].tiles.values()}))


def _planned(one: Piece, policy: ColouredTiles, key: bytes) -> Iterator[_Cut]:
    recipient = f"colour {policy.colour}"
    sampler = Sampler.derive(key, container=f"{one.slide}/{one.name}", recipient=recipient)
    placements = plan_tiles(
        one.class_map,
        class_map_um_px=policy.um_px * MAP_PX,
        policy=policy,
        sampler=sampler,
        n_at_most=_EVERYTHING,
    )
    for placement in placements:
        row, column, side = placement.row_px, placement.column_px, placement.side_px
        pixels = one.pixels[row : row + side, column : column + side]
        yield _Cut(
            tile_id=placement.tile_id,
            jpeg=encode(turned(pixels, placement.turn), policy.jpeg_quality),
            truth=TrueTile(
                slide=one.slide,
                piece=one.name,
                row_px=row,
                column_px=column + one.column_cells * policy.cell_px,
                turn=placement.turn,
                recipient=recipient,
            ),
        )


def _cells(one: Piece, tile_px: int) -> Sequence[tuple[int, int]]:
    """Cells of clean tissue, by rows: the same that a plan of this cell would choose from."""
    terms = ColouredTiles.model_construct(um_px=1.0, cell_px=tile_px)
    found = candidate_cells(one.class_map, class_map_um_px=float(MAP_PX), policy=terms)
    return sorted(found)


def _pixels(one: Piece, row: int, column: int, tile_px: int) -> RGB:
    top, left = row * tile_px, column * tile_px
    return one.pixels[top : top + tile_px, left : left + tile_px]


def _true(
    one: Piece, row: int, column: int, *, tile_px: int, cell_px: int, turn: int = 0
) -> TrueTile:
    return TrueTile(
        slide=one.slide,
        piece=one.name,
        row_px=row * tile_px,
        column_px=(column + one.column_cells) * cell_px,
        turn=turn,
        recipient="everything",
    )


def _sealed(cuts: Sequence[_Cut], *, cell_px: int) -> Release:
    """Pack cuts as release packs them, and read them as a recipient does."""
    stain = "H&E"
    tiles = {cut.tile_id: Tile(jpeg=cut.jpeg, um_px=1.0, stain=stain) for cut in cuts}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "shard.tar"
        path.write_bytes(shard(tiles))
        return _read(path, cuts, cell_px=cell_px)


def _read(path: Path, cuts: Sequence[_Cut], *, cell_px: int) -> Release:
    truth = Truth(cell_px=cell_px, tiles={cut.tile_id: cut.truth for cut in cuts})
    return read_released([path]), truth

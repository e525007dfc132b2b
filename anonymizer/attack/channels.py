"""What beside the pixels tells where a tile comes from.

Permutation tests: the true places are shuffled within each slide (and the slides among all tiles)
some thousand times, to see how often chance tells as much.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from anonymizer.attack.figures import NOT_COUNTED, Channel, Figure
from anonymizer.attack.tile_set import TileSet, TrueTile

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_N_SHUFFLES: Final = 4999
_DOUBT: Final = 0.01
"""Divided by the number of tests (Bonferroni)."""
_EXPLAINED: Final = 0.98
"""Rank correlation from which on the length of files follows from their pixels."""
_FEWEST: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    name: str
    rank: Floats
    """`(n,)`: tied values share their mean rank."""
    is_constant: bool


def channels(tiles: TileSet, placed: Sequence[TrueTile]) -> tuple[Channel, ...]:
    """Test every channel for the place on the slide, and, with two slides or more, for the slide.

    A tile's length in bytes says no more than its pixels do when encoding the pixels again gives
    that length; then the channel is shown and is not open.
    """
    told = list(_told(tiles))
    slides = np.unique(np.array([tile.slide for tile in placed]), return_inverse=True)[1]
    # Raster order in bands of a tile's height, as a scan line by line would send them.
    bands = np.array([tile.row_px // tiles.side_px for tile in placed])
    columns = np.array([tile.column_px for tile in placed])
    raster = np.lexsort((columns, bands)).argsort().astype(np.float64)
    has_slides = slides.max(initial=0) > 0
    n_tests = sum(not one.is_constant for one in told) * (1 + int(has_slides))
    doubt = _DOUBT / max(1, n_tests)
    found = []
    for one in told:
        tests: list[tuple[Literal["place", "slide"], Figure, float | None]] = [
            ("place", *_place(one, raster, slides))
        ]
        if has_slides:
            tests.append(("slide", *_slide(one, slides)))
        follows = one.name == "size" and _is_explained(tiles)
        found += [
            Channel(
                name=one.name,
                tells=tells,
                strength=strength,
                p=p,
                follows_from_pixels=follows,
                is_open=p is not None and p <= doubt and not follows,
            )
            for tells, strength, p in tests
        ]
    return tuple(found)


def ranks(values: Sequence[object]) -> Floats:
    """Rank values `(n,)`: as numbers when all are, otherwise as texts; ties get their mean rank."""
    texts = [str(value) for value in values]
    try:
        array = np.array([float(text) for text in texts])
    except ValueError:
        array = np.array(texts)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[inverse], dtype=np.float64)


def _told(tiles: TileSet) -> Iterator[_Told]:
    columns: list[tuple[str, Sequence[object]]] = [
        ("order", range(len(tiles))),
        ("name", tiles.names),
        ("size", tiles.sizes_bytes.tolist()),
        ("time", tiles.times.tolist()),
        ("encoding", tiles.tables),
        *tiles.facts.items(),
    ]
    for name, values in columns:
        rank = ranks(values)
        yield _Told(name=name, rank=rank, is_constant=bool(np.ptp(rank) == 0))


def _place(told: _Told, raster: Floats, slides: Ints) -> tuple[Figure, float | None]:
    """|Spearman's rho| of the channel and the raster index, mean over slides by their tiles."""
    rng = np.random.default_rng(0)
    true, by_chance, n = 0.0, np.zeros(_N_SHUFFLES), 0
    for slide in np.unique(slides):
        here = np.flatnonzero(slides == slide)
        first, second = _unit(ranks(told.rank[here].tolist())), _unit(raster[here])
        if len(here) < _FEWEST or first is None or second is None:
            continue
        shuffled = rng.permuted(np.tile(second, (_N_SHUFFLES, 1)), axis=1)
        true += len(here) * float(first @ second)
        by_chance += len(here) * (shuffled @ first)
        n += len(here)
    if n == 0:
        return NOT_COUNTED, None
    return _compared(abs(true) / n, np.abs(by_chance) / n, n)


def _slide(told: _Told, slides: Ints) -> tuple[Figure, float | None]:
    """Share of tiles that are followed, in the order of the channel, by one of their own slide."""
    if told.is_constant or len(slides) < _FEWEST:
        return NOT_COUNTED, None
    rng = np.random.default_rng(1)
    order = np.lexsort((rng.random(len(slides)), told.rank))
    shuffled = rng.permuted(np.tile(slides.astype(np.int32), (_N_SHUFFLES, 1)), axis=1)
    by_chance = (shuffled[:, 1:] == shuffled[:, :-1]).mean(axis=1)
    ordered = slides[order]
    return _compared(float((ordered[1:] == ordered[:-1]).mean()), by_chance, len(slides) - 1)


def _compared(true: float, by_chance: Floats, n: int) -> tuple[Figure, float]:
    p = (1 + int((by_chance >= true - 1e-12).sum())) / (1 + len(by_chance))
    return Figure(value=true, chance=float(by_chance.mean()), n=n), p


def _unit(values: Floats) -> Floats | None:
    centred = values - values.mean()
    length = float(np.sqrt((centred**2).sum()))
    return centred / length if length > 0 else None


def _is_explained(tiles: TileSet) -> bool:
    if tiles.plain_sizes_bytes is None:
        return False
    first = _unit(ranks(tiles.sizes_bytes.tolist()))
    second = _unit(ranks(tiles.plain_sizes_bytes.tolist()))
    return first is not None and second is not None and float(first @ second) >= _EXPLAINED

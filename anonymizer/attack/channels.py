"""What beside the pixels tells where a tile comes from.

Permutation tests: the true places are shuffled within each slide (and the slides among all tiles)
some thousand times, to see how often chance tells as much.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from anonymizer.attack.figures import NOT_COUNTED, Channel, Figure
from anonymizer.attack.tile_set import TileSet, TrueTile

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_N_SHUFFLES: Final = 1999
_DOUBT: Final = 0.01
"""Divided by the number of tests (Bonferroni)."""
_FOLLOWS: Final = 0.98
"""Rank correlation from which on the length of files follows from their pixels."""
_FEWEST: Final = 8
_RARE: Final = 3
"""Shuffles that give as much, from which on they are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    name: str
    rank: Floats
    """`(n,)`: tied values share their mean rank."""
    is_constant: bool


def channels(tiles: TileSet, placed: Sequence[TrueTile]) -> tuple[Channel, ...]:
    """Test every channel for the place on the slide, and, with two slides or more, for the slide.

    A tile's length in bytes, or how much it was compressed, says no more than its pixels do when
    encoding the pixels again gives the same; then the channel is shown and is not open.
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
        follows = _follows_from_pixels(one, tiles)
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
    """Give every channel; a fact that sorts the tiles as an earlier one does is that one again."""
    columns: list[tuple[str, Sequence[object]]] = [
        ("order", range(len(tiles))),
        ("name", tiles.names),
        ("size", tiles.sizes_bytes.tolist()),
        ("time", tiles.times.tolist()),
        ("encoding", tiles.tables),
    ]
    seen: set[bytes] = set()
    for number, (name, values) in enumerate([*columns, *tiles.facts.items()]):
        rank = ranks(values)
        if number < len(columns) or rank.tobytes() not in seen:
            yield _Told(name=name, rank=rank, is_constant=bool(np.ptp(rank) == 0))
        seen.add(rank.tobytes())


def _place(told: _Told, raster: Floats, slides: Ints) -> tuple[Figure, float | None]:
    """|Spearman's rho| of the channel and the raster index, mean over slides by their tiles."""
    rng = np.random.default_rng(0)
    true, by_chance, n = 0.0, np.zeros(_N_SHUFFLES), 0
    for slide in np.unique(slides):
        here = np.flatnonzero(slides == slide)
        first, second = _unit(ranks(told.rank[here].tolist())), _unit(raster[here])
        if len(here) < _FEWEST or first is None or second is None:
            continue
        shuffled = rng.permuted(np.tile(second.astype(np.float32), (_N_SHUFFLES, 1)), axis=1)
        true += len(here) * float(first @ second)
        by_chance += len(here) * (shuffled @ first)
        n += len(here)
    if n == 0:
        return NOT_COUNTED, None
    strength = Figure(value=abs(true) / n, chance=float(np.abs(by_chance).mean()) / n, n=n)
    return strength, min(1.0, 2 * min(_p(true, by_chance), _p(-true, -by_chance)))


def _slide(told: _Told, slides: Ints) -> tuple[Figure, float | None]:
    """Tell slides by their tiles' following each other in the channel's order, or lying in a part.

    The strength is the share of tiles that are followed by one of their own slide, or the share of
    the variance of the ranks that the slides explain, whichever chance gives less often.
    """
    if told.is_constant or len(slides) < _FEWEST:
        return NOT_COUNTED, None
    rng = np.random.default_rng(1)
    order = np.lexsort((rng.random(len(slides)), told.rank))
    sorted_slides, rank = slides[order].astype(np.int32), told.rank[order]
    shuffled = rng.permuted(np.tile(sorted_slides, (_N_SHUFFLES, 1)), axis=1)
    found = [
        (float(true[0]), by_chance)
        for true, by_chance in (
            (_followed(sorted_slides[None]), _followed(shuffled)),
            (_explained(sorted_slides[None], rank), _explained(shuffled, rank)),
        )
    ]
    # The third root makes a sum of squares nearly normal (Wilson and Hilferty, 1931).
    likely = [_p(*found[0]), _p(np.cbrt(found[1][0]), np.cbrt(found[1][1]))]
    true, by_chance = found[int(np.argmin(likely))]
    strength = Figure(value=true, chance=float(by_chance.mean()), n=len(slides))
    return strength, min(1.0, 2 * min(likely))


def _followed(slides: npt.NDArray[np.int32]) -> Floats:
    """Share of tiles `(m,)`, for rows of slides `(m, n)`, that one of their own slide follows."""
    return np.asarray((slides[:, 1:] == slides[:, :-1]).mean(axis=1), dtype=np.float64)


def _explained(slides: npt.NDArray[np.int32], rank: Floats) -> Floats:
    """Share of the variance of the ranks `(m,)` that the slides explain."""
    centred = (rank - rank.mean()).astype(np.float32)
    between = np.zeros(len(slides))
    for slide in np.unique(slides[0]):
        here = slides == slide
        between += (here @ centred) ** 2 / here.sum(axis=1)
    return between / float((centred**2).sum())


def _p(true: float, by_chance: Floats) -> float:
    """How often chance gives as much: counted, and beyond what can be counted by a normal tail."""
    n_as_much = int((by_chance >= true - 1e-12).sum())
    counted = (1 + n_as_much) / (1 + len(by_chance))
    spread = float(by_chance.std())
    if n_as_much > _RARE or spread == 0:
        return counted
    return min(counted, math.erfc((true - float(by_chance.mean())) / spread / 2**0.5) / 2)


def _unit(values: Floats) -> Floats | None:
    centred = values - values.mean()
    length = float(np.sqrt((centred**2).sum()))
    return centred / length if length > 0 else None


def _follows_from_pixels(told: _Told, tiles: TileSet) -> bool:
    """Tell whether a channel is the length of the encoded pixels, or goes down as that goes up."""
    if tiles.plain_sizes_bytes is None:
        return False
    first, second = _unit(told.rank), _unit(ranks(tiles.plain_sizes_bytes.tolist()))
    return first is not None and second is not None and abs(float(first @ second)) >= _FOLLOWS

"""Four published pair scores: how badly one tile would continue another across a facet.

All of them are sums of products of something of ours and something of theirs, so that a block of
the matrix of all pairs is one matrix product: sums of squared differences, second-order prediction
(Pomeranz et al., CVPR 2011), Mahalanobis gradient compatibility (Gallagher, CVPR 2012), and, for
pairs that do not touch, correlation of profiles that are drawn out to the middle of the gap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from anonymizer.attack.figures import Relation, ScoreName
from anonymizer.attack.strips import Strips, strips_of
from anonymizer.attack.tile_set import RGB

Floats = npt.NDArray[np.float32]

_COLOUR_WEIGHT: Final = 0.3
_WIDE_GAP_PX: Final = 8
_COLOURS_PER_DENSITY: Final = 60
_LEAST_SPREAD: Final = 1e-6
_DUMMY: Final = np.array(
    [(0, 0, 0), (1, 1, 1), (-1, -1, -1), (0, 0, 1), (0, 1, 0), (1, 0, 0), (-1, 0, 0), (0, -1, 0),
     (0, 0, -1)],
    dtype=np.float32,
)  # fmt: skip
"""Gradients that keep the covariance invertible (Gallagher 2012, 3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """A score as sums of products."""

    ours: Floats
    """`(n, 4, k)`."""
    theirs: Floats
    """`(2, n, 4, k)`: as they are read against ours, unmirrored and mirrored."""
    our_part: Floats
    """`(n, 4)`: added to every pair of ours."""
    their_part: Floats
    """`(2, n, 4)`."""

    def block(self, tiles: slice, facet: int, *, is_upright: bool) -> Floats:
        """Score some tiles, by one facet, against all others.

        Returns
        -------
        ndarray
            `(q, n)` against the opposite facet of each tile when the tiles are upright, otherwise
            `(q, 2 * n * 4)`: mirrored, tile, facet. Smaller fits better.
        """
        ours = self.ours[tiles, facet]
        if is_upright:
            opposite = (facet + 2) % 4
            theirs, their_part = self.theirs[0, :, opposite], self.their_part[0, :, opposite]
        else:
            theirs = self.theirs.reshape(-1, self.theirs.shape[-1])
            their_part = self.their_part.reshape(-1)
        out: Floats = ours @ theirs.T
        out += self.our_part[tiles, facet, None]
        out += their_part
        return out


Block = Callable[[slice, int, bool], Floats]
"""(tiles, facet, is_upright) -> what `Products.block` gives."""


def score(name: ScoreName, strips: Strips) -> Block:
    """Prepare one of the four scores; "learned" is none of them (KeyError)."""
    if name == "gap":
        return _gap(strips)
    prepared = {"ssd": _ssd, "pred": _pred, "mgc": _mgc}[name](strips)
    return lambda tiles, facet, is_upright: prepared.block(tiles, facet, is_upright=is_upright)


def pair_scores(pixels: RGB, name: ScoreName, relation: Relation, cell_px: int) -> Floats:
    """Score every pair of a small set.

    Returns
    -------
    ndarray
        `(n, 4, 2, n, 4)` float32: tile, its facet, mirrored, other tile, its facet. Smaller fits
        better; a tile against itself means nothing.
    """
    n = len(pixels)
    block = score(name, strips_of(pixels, relation, cell_px))
    facets = [block(slice(0, n), facet, False).reshape(n, 2, n, 4) for facet in range(4)]  # noqa: FBT003 - a Block has no names
    return np.stack(facets, axis=1)


def density(pixels: RGB) -> Floats:
    """Optical density, in which the stains add up."""
    table = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)
    return np.asarray(table[pixels], dtype=np.float32)


def reversed_and_as_is(profiles: Floats) -> Floats:
    """Profiles `(n, 4, length, c)` as a neighbour reads them: `(2, n, 4, length, c)`.

    Both run clockwise around their own tile, so a neighbour's runs backward, unless it is mirrored.
    """
    return np.stack([profiles[:, :, ::-1], profiles])


def _floats(values: npt.ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float32)


def _flat(values: Floats) -> Floats:
    return values.reshape(*values.shape[:-2], -1)


def _ssd(strips: Strips) -> Products:
    edge = density(strips.pixels[:, :, 0])
    edge -= edge.mean(axis=(0, 1, 2))
    squares = (edge**2).sum(axis=(2, 3))
    return Products(
        ours=-2 * _flat(edge),
        theirs=_flat(reversed_and_as_is(edge)),
        our_part=squares,
        their_part=np.stack([squares, squares]),
    )


def _pred(strips: Strips) -> Products:
    edge, inner = np.moveaxis(density(strips.pixels[:, :, :2]), 2, 0)
    centre = edge.mean(axis=(0, 1, 2))
    edge, predicted = edge - centre, 2 * edge - inner - centre
    squares = (edge**2 + predicted**2).sum(axis=(2, 3))
    theirs = np.concatenate(
        [_flat(reversed_and_as_is(edge)), _flat(reversed_and_as_is(predicted))], axis=-1
    )
    return Products(
        ours=-2 * np.concatenate([_flat(predicted), _flat(edge)], axis=-1),
        theirs=theirs,
        our_part=squares,
        their_part=np.stack([squares, squares]),
    )


def _mgc(strips: Strips) -> Products:
    edge, inner = _two_rows(strips)
    gradients = edge - inner
    dummies = np.broadcast_to(_DUMMY, (*gradients.shape[:2], *_DUMMY.shape))
    filled = np.concatenate([gradients, dummies], axis=2)
    spread = filled - filled.mean(axis=2, keepdims=True)
    covariance = np.einsum("nfli,nflj->nfij", spread, spread) / (filled.shape[2] - 1)
    precision = np.linalg.inv(covariance.astype(np.float64)).astype(np.float32)
    edge = edge - edge.mean(axis=(0, 1, 2))
    expected = edge + gradients.mean(axis=2, keepdims=True)
    weighed = np.einsum("nfij,nflj->nfli", precision, expected)
    own = np.einsum("nfli,nfli->nf", expected, weighed)
    seconds = np.einsum("nfli,nflj->nfij", edge, edge)
    ours = [_flat(precision), -2 * _flat(weighed), _flat(seconds), _flat(edge)]
    theirs = [
        np.stack([_flat(seconds)] * 2),
        _flat(reversed_and_as_is(edge)),
        np.stack([_flat(precision)] * 2),
        -2 * _flat(reversed_and_as_is(weighed)),
    ]
    return Products(
        ours=np.concatenate(ours, axis=-1),
        theirs=np.concatenate(theirs, axis=-1),
        our_part=own,
        their_part=np.stack([own, own]),
    )


def _two_rows(strips: Strips) -> tuple[Floats, Floats]:
    """Outer and inner row `(n, 4, points, 3)` whose difference is the gradient.

    Across a wide gap single pixels say nothing: rows are then as wide as a third of the gap.
    """
    if strips.gap_px < _WIDE_GAP_PX:
        edge, inner = np.moveaxis(strips.pixels[:, :, :2].astype(np.float32), 2, 0)
        return edge, inner
    third = strips.gap_px / 3
    width = int(min(16, third, strips.pixels.shape[2] // 2))
    points = max(8, int(strips.pixels.shape[3] / third))
    values = _COLOURS_PER_DENSITY * density(strips.pixels[:, :, : 2 * width])
    outer, inner = values[:, :, :width].mean(axis=2), values[:, :, width:].mean(axis=2)
    return resampled(outer, points, third), resampled(inner, points, third)


def _gap(strips: Strips) -> Block:
    profiles, step_px = _drawn_out(strips)
    length = profiles.shape[2]
    most = min(round(strips.slack_px / step_px), length // 3)
    shifts = sorted({round(shift) for shift in np.linspace(-most, most, min(9, 2 * most + 1))})
    correlations = [_correlation(profiles, shift) for shift in shifts]
    colour = _distance(profiles.mean(axis=2))

    def block(tiles: slice, facet: int, is_upright: bool) -> Floats:  # noqa: FBT001 - a Block
        blocks = [part.block(tiles, facet, is_upright=is_upright) for part in correlations]
        best = np.minimum.reduce(blocks)
        apart = np.maximum(colour.block(tiles, facet, is_upright=is_upright), 0)
        return np.asarray(best + _COLOUR_WEIGHT * np.sqrt(apart), dtype=np.float32)

    return block


def _drawn_out(strips: Strips) -> tuple[Floats, float]:
    """Profiles `(n, 4, points, 3)` at the middle of the gap, and how many pixels a point covers.

    A straight line through the outer and the inner half of the strip, followed no further than
    the strip is deep: beyond that it says nothing.
    """
    depth, length = strips.pixels.shape[2:4]
    used = int(np.clip(strips.gap_px / 2, 2, depth))
    half = used // 2
    step_px = max(1.0, strips.gap_px / 6)
    points = max(4, round(length / step_px))
    values = density(strips.pixels[:, :, :used])
    outer, inner = values[:, :, :half].mean(axis=2), values[:, :, half : 2 * half].mean(axis=2)
    reach = min(strips.gap_px / 2, used) / max(1, half)
    drawn = outer + (outer - inner) * 0.5 * reach
    sigma = max(0.5, strips.gap_px / 3)
    return resampled(drawn, points, sigma), length / points


def resampled(profiles: Floats, points: int, sigma_px: float) -> Floats:
    """Smooth profiles `(n, 4, length, c)` along, and read them at fewer points."""
    n, facets, length, channels = profiles.shape
    rows = np.ascontiguousarray(profiles.transpose(0, 1, 3, 2).reshape(-1, length))
    if sigma_px > 0:
        rows = _floats(
            cv2.GaussianBlur(rows, (0, 0), sigma_px, sigmaY=1e-3, borderType=cv2.BORDER_REFLECT)
        )
    if points != length:
        rows = _floats(cv2.resize(rows, (points, len(rows)), interpolation=cv2.INTER_AREA))
    return rows.reshape(n, facets, channels, points).transpose(0, 1, 3, 2)


def _correlation(profiles: Floats, shift: int) -> Products:
    """1 - NCC of the parts that overlap when theirs is shifted against ours."""
    length = profiles.shape[2]
    kept = length - abs(shift)
    ours = profiles[:, :, max(0, shift) :][:, :, :kept]
    theirs = reversed_and_as_is(profiles)[:, :, :, max(0, -shift) :][:, :, :, :kept]
    n = profiles.shape[0]
    return Products(
        ours=-normal(ours),
        theirs=normal(theirs),
        our_part=np.ones((n, 4), np.float32),
        their_part=np.zeros((2, n, 4), np.float32),
    )


def normal(profiles: Floats) -> Floats:
    """Zero mean in every channel, length one: `(..., length * c)`."""
    centred = _flat(profiles - profiles.mean(axis=-2, keepdims=True))
    spread = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    return np.asarray(centred / np.maximum(spread, _LEAST_SPREAD), dtype=np.float32)


def _distance(colours: Floats) -> Products:
    squares = (colours**2).sum(axis=-1)
    return Products(
        ours=-2 * colours,
        theirs=np.stack([colours, colours]),
        our_part=squares,
        their_part=np.stack([squares, squares]),
    )

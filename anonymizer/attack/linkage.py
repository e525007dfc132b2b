"""How well the look of tiles tells which of them come from one slide."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from anonymizer.attack.figures import NOT_COUNTED, Figure
from anonymizer.attack.learning import grouped
from anonymizer.attack.scores import density
from anonymizer.attack.tile_set import RGB

Floats = npt.NDArray[np.float32]

_PERCENTILES: Final = (5, 25, 50, 75, 95)
_SCALES_PX: Final = (1.0, 2.0, 4.0)
_N_SHUFFLES: Final = 20
_COLOUR: Final = slice(0, 21)


def looks(pixels: RGB) -> Floats:
    """Describe colour, stain and texture of each tile: `(n, k)`, each column of deviation 1.

    Mean, deviation and percentiles of the optical density of each channel, then how much of it
    varies at three scales. Nothing of it depends on how a tile was turned.
    """
    rows = np.stack([_look(tile) for tile in pixels])
    rows -= rows.mean(axis=0)
    return np.asarray(rows / np.maximum(rows.std(axis=0), 1e-6), dtype=np.float32)


def same_slide(look: Floats, slides: Sequence[str]) -> Figure:
    """Give the AUC of "of one slide" against "of two slides" for all pairs, by the better look."""
    same = _same(slides)
    if not same.any() or same.all():
        return NOT_COUNTED
    best = max(_auc(_distances(columns), same) for columns in (look, look[:, _COLOUR]))
    return Figure(value=best, chance=0.5, n=int(same.sum()))


def purity(look: Floats, slides: Sequence[str]) -> Figure:
    """Give the share of tiles whose group by look is mostly of their own slide.

    As many groups as there are slides. Chance is what shuffled groups give.
    """
    n_slides = len(set(slides))
    if n_slides < 2 or len(slides) <= n_slides:  # noqa: PLR2004 - of one slide all is pure
        return NOT_COUNTED
    groups = grouped(look, n_slides)
    shuffled = np.random.default_rng(0)
    by_chance = [_purity(shuffled.permutation(groups), slides) for _ in range(_N_SHUFFLES)]
    return Figure(value=_purity(groups, slides), chance=float(np.mean(by_chance)), n=len(slides))


def _look(tile: RGB) -> Floats:
    values = density(tile).reshape(-1, 3)
    parts = [values.mean(axis=0), values.std(axis=0)]
    parts.append(np.percentile(values, _PERCENTILES, axis=0).astype(np.float32).ravel())
    grey = density(tile).mean(axis=2)
    for sigma in _SCALES_PX:
        blurred = cv2.GaussianBlur(grey, (0, 0), sigma)
        parts.append(np.array([np.abs(grey - blurred).mean()], np.float32))
        grey = blurred
    return np.concatenate(parts)


def _same(slides: Sequence[str]) -> npt.NDArray[np.bool_]:
    """For each pair of two tiles, in the order of `np.triu_indices`."""
    numbers = np.unique(np.array(slides), return_inverse=True)[1]
    first, second = np.triu_indices(len(slides), 1)
    return np.asarray(numbers[first] == numbers[second])


def _distances(look: Floats) -> Floats:
    squares = (look**2).sum(axis=1)
    matrix = squares[:, None] + squares[None, :] - 2 * look @ look.T
    return np.asarray(matrix[np.triu_indices(len(look), 1)], dtype=np.float32)


def _auc(distances: Floats, same: npt.NDArray[np.bool_]) -> float:
    order = np.argsort(distances, kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    n_same, n_other = int(same.sum()), int((~same).sum())
    below = ranks[~same].sum() - n_other * (n_other + 1) / 2
    return float(below / (n_same * n_other))


def _purity(groups: npt.NDArray[np.int64], slides: Sequence[str]) -> float:
    pairs = Counter(zip(groups.tolist(), slides, strict=True))
    best: dict[int, int] = {}
    for (group, _), count in pairs.items():
        best[group] = max(best.get(group, 0), count)
    return sum(best.values()) / len(slides)

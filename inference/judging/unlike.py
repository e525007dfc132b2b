"""Whether a slide looks like what the artifact model learnt from.

A box, not a network: each measure of the slide's `Look` has a middle and a half-width in the
training data (`[likeness]` of model.toml). How far the worst one lies outside is the unlikeness.
"""

import math
from typing import Final

from inference.model.manifest import Likeness
from inference.running.look import Look

LEAST_STAINED: Final = 1_000
"""Stained sample pixels (one in 16, so 0.06 mm2 at 2 um/px) that a judgement needs."""

LIMIT: Final = 1.0
"""Unlikeness from which a slide is not scored in silence."""


def unlikeness(look: Look, likeness: Likeness | None) -> float | None:
    """Measure how unlike the training data a slide looks.

    Parameters
    ----------
    look
        Sum of the looks of all judged tiles.
    likeness
        `Model.likeness` of the artifact model; its names are "MEASURE QUANTILE %".

    Returns
    -------
    float or None
        0 in the middle of the training data, 1 at the limit, more beyond it; as much ink as tissue
        is at the limit, too. None when the model does not say how its data looked, or when too
        little is stained.
    """
    if likeness is None or look.stained + look.inked < LEAST_STAINED:
        return None
    limits = likeness.limit * (len(likeness.names) // len(likeness.limit))
    rows = zip(likeness.names, likeness.mean, likeness.scale, limits, strict=True)
    far = [abs(measured(look, name) - mean) / (scale * limit) for name, mean, scale, limit in rows]
    far.append(look.inked / max(1, look.stained))
    return round(max(value for value in far if not math.isnan(value)), 3)


def measured(look: Look, name: str) -> float:
    """Give one measure of a look, such as "green density 50 %"."""
    measure, share, _ = name.rsplit(" ", 2)
    return look.quantile(measure, float(share) / 100)


def warning(value: float | None, *, limit: float = LIMIT) -> str | None:
    """Say that a slide is unlike the training data; None when it is like it, or not known."""
    if value is None or value < limit:
        return None
    return (
        "The slide looks unlike the H&E slides that the models learnt from (another stain, "
        "fluorescence or unusual colours); look at it before you trust the result."
    )

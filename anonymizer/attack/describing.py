"""Describe pairs of tiles for the attacker that learns."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from anonymizer.attack.asking import Interview
from anonymizer.attack.ranking import Candidates
from anonymizer.attack.scores import density, normal, resampled, reversed_and_as_is

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_SCALES_PX: Final = ((2, 0.0), (2, 2.0), (8, 2.0), (8, 6.0), (24, 6.0), (24, 16.0))
"""Width of the strip, and how much it is smoothed along."""
_MOST_POINTS: Final = 64
_FEWEST_POINTS: Final = 4
_FAR: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Describer:
    """What pairs are described by: profiles at several scales, colours, spreads, looks."""

    candidates: Candidates
    ours: tuple[Floats, ...]
    """Per scale `(n, 4, k)`, of length one."""
    theirs: tuple[Floats, ...]
    """Per scale `(2, n, 4, k)`, as a neighbour reads them."""
    colours: Floats
    """`(n, 4, scales, 3)`: mean of each strip."""
    spreads: Floats
    """`(n, 4, scales)`: logarithm of the deviation of each profile."""
    look: Floats
    """`(n, k)`."""

    def features(self, tile: Ints, facet: Ints, numbers: Ints, values: Floats) -> Floats:
        """Describe placements.

        Parameters
        ----------
        tile, facet
            `(m,)`: who asks.
        numbers
            `(m, k)`: placements.
        values
            `(m, k, scores)`: their hand-made scores.

        Returns
        -------
        ndarray
            `(m, k, features)` float32.
        """
        other = self.candidates.tile_of(numbers)
        entered = self.candidates.facet_of(numbers, facet[:, None])
        mirrored = self.candidates.mirrored_of(numbers)
        alike = [
            np.einsum("mf,mkf->mk", ours[tile, facet], theirs[mirrored, other, entered])
            for ours, theirs in zip(self.ours, self.theirs, strict=True)
        ]
        apart = self.colours[tile, facet][:, None] - self.colours[other, entered]
        spread = self.spreads[tile, facet][:, None]
        look = np.abs(self.look[tile][:, None] - self.look[other])
        held = np.clip(values, -_FAR, _FAR)
        columns = [
            np.stack(alike, axis=-1),
            np.sqrt((apart**2).sum(axis=-1)),
            np.abs(spread - self.spreads[other, entered]),
            np.broadcast_to(spread, (*numbers.shape, spread.shape[-1]))[..., :1],
            held,
            held - held.min(axis=1, keepdims=True),
            look.mean(axis=-1, keepdims=True),
            look[..., :3].mean(axis=-1, keepdims=True),
        ]
        return np.concatenate(columns, axis=-1, dtype=np.float32)


def describer(interview: Interview) -> Describer:
    """Prepare what pairs of one relation are described by."""
    strips = interview.strips.pixels
    depth, length = strips.shape[2:4]
    values = density(strips)
    profiles = []
    for width_px, sigma_px in _SCALES_PX:
        points = int(np.clip(length / max(1.0, sigma_px), _FEWEST_POINTS, _MOST_POINTS))
        strip = values[:, :, : min(width_px, depth)].mean(axis=2)
        profiles.append(resampled(strip, points, sigma_px))
    spreads = [profile.std(axis=2).mean(axis=-1) for profile in profiles]
    return Describer(
        candidates=interview.asked.candidates,
        ours=tuple(normal(profile) for profile in profiles),
        theirs=tuple(normal(reversed_and_as_is(profile)) for profile in profiles),
        colours=np.stack([profile.mean(axis=2) for profile in profiles], axis=2),
        spreads=np.log(np.stack(spreads, axis=-1) + 1e-3),
        look=interview.look,
    )

"""What a tile shows along each side, or across each corner, as one array for all."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from anonymizer.attack.figures import Relation
from anonymizer.attack.symmetry import N_FACETS

_DEPTH_PX: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips:
    """Strips of all tiles, and how far apart those of true neighbours lie."""

    pixels: npt.NDArray[np.uint8]
    """`(n, 4, depth, length, 3)`: tile, facet, inward, clockwise along the facet, RGB."""
    gap_px: float
    """Mean distance between the outermost rows of two neighbours."""
    slack_px: int
    """How far two neighbours may be shifted along the facet."""

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return int(self.pixels.shape[0])


def strips_of(pixels: npt.NDArray[np.uint8], relation: Relation, cell_px: int) -> Strips:
    """Read the strips that matter for one relation.

    Parameters
    ----------
    pixels
        `(n, side, side, 3)` uint8 RGB.
    relation
        Edges and tiles two apart meet by sides; diagonals by corners, that is by strips across
        the corner, half a side long, a quarter of a side inward.
    cell_px
        Pitch of the grid.
    """
    side = pixels.shape[1]
    slack = cell_px - side
    if relation == "diagonal":
        gap = 2**0.5 * slack + side / 2
        return Strips(pixels=_corners(pixels), gap_px=gap, slack_px=slack)
    depth = min(_DEPTH_PX, side // 2)
    turned = [np.rot90(pixels, facet, axes=(1, 2))[:, :depth] for facet in range(N_FACETS)]
    gap = slack if relation == "edge" else slack + cell_px
    return Strips(pixels=np.stack(turned, axis=1), gap_px=float(gap), slack_px=slack)


def _corners(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    side = pixels.shape[1]
    length = side // 2
    depth = min(_DEPTH_PX, length)
    inward, along = np.array([1, 1]) / 2**0.5, np.array([1, -1]) / 2**0.5  # (x, y)
    origin = inward * length / 2 - along * (length - 1) / 2
    to_tile = np.column_stack([along, inward, origin])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    out = np.empty((len(pixels), N_FACETS, depth, length, 3), np.uint8)
    for facet in range(N_FACETS):
        turned = np.rot90(pixels, facet, axes=(1, 2))
        for index, tile in enumerate(turned):
            cv2.warpAffine(
                np.ascontiguousarray(tile),
                to_tile,
                (length, depth),
                dst=out[index, facet],
                flags=flags,
                borderMode=cv2.BORDER_REPLICATE,
            )
    return out

"""The release plan: which tiles of a slide one recipient may ever get. Pure; the key decides.

Shuffling protects nothing: a matcher from 2012 names the true neighbour of a shuffled tile in
97 of 100 cases. So one recipient gets one class of a colouring (no two released cells touch), each
tile is a random crop inside its cell, turned at random, and there is one sample for ever.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.settings import ColouredTiles
from appliance.slides.classes import SlideClass

ClassMap = npt.NDArray[np.uint8]

_KEY_BYTES: Final = 32
_CHECKERBOARD: Final = 2
_MARGIN_PX: Final = 1
"""Each crop keeps this far from the border of its cell, so that no two crops ever touch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One tile: where it is cut and how it is turned, on the grid of the policy's µm/px."""

    tile_id: str
    """128 keyed bits, hexadecimal."""
    row_px: int
    """Top row of the crop, from the top of the base matrix, in pixels of `ColouredTiles.um_px`."""
    column_px: int
    side_px: int
    turn: int
    """0 to 7: quarter turns anticlockwise in the two low bits, then a left-right flip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """The keyed choices for one recipient and one physical container."""

    key: bytes

    @classmethod
    def derive(cls, sampling_key: bytes, *, container: str, recipient: str) -> "Sampler":
        """Derive the choices (HKDF-SHA-256); equal arguments give equal choices for ever."""
        info = json.dumps(["coverslip/sampling/1", container, recipient]).encode()
        return cls(key=HKDF(hashes.SHA256(), _KEY_BYTES, salt=None, info=info).derive(sampling_key))

    def place(self, row: int, column: int, policy: ColouredTiles) -> Placement:
        """Choose crop, turn and id of the tile in one cell."""
        bits = self._bits("place", row, column)
        room = policy.cell_px - policy.crop_px - 2 * _MARGIN_PX + 1
        return Placement(
            tile_id=self._bits("id", row, column)[:16].hex(),
            row_px=row * policy.cell_px + _MARGIN_PX + _below(bits[0:8], room),
            column_px=column * policy.cell_px + _MARGIN_PX + _below(bits[8:16], room),
            side_px=policy.crop_px,
            turn=bits[16] % 8,
        )

    def order(self, row: int, column: int) -> bytes:
        """Rank of a cell when only some may be released."""
        return self._bits("order", row, column)

    def _bits(self, purpose: str, row: int, column: int) -> bytes:
        return hmac.digest(self.key, f"{purpose} {row} {column}".encode(), "sha256")


def plan_tiles(
    class_map: ClassMap,
    *,
    class_map_um_px: float,
    policy: ColouredTiles,
    sampler: Sampler,
    n_at_most: int,
) -> tuple[Placement, ...]:
    """Choose the tiles that one recipient gets of one container.

    Parameters
    ----------
    class_map
        `(rows, columns)` uint8, values of `SlideClass`, origin at the base matrix's.
    class_map_um_px
        Its spacing.
    policy
        Cell, crop, colouring and magnification.
    sampler
        Keyed for the container and the recipient.
    n_at_most
        What is left of the patient's budget.

    Returns
    -------
    tuple of Placement
        In the order of their random ids. Every cell is clean tissue all over; no two cells of
        the plan touch by an edge (2 colours) or at all (4 colours).
    """
    cells = candidate_cells(class_map, class_map_um_px=class_map_um_px, policy=policy)
    ours = [cell for cell in cells if colour_of(*cell, colours=policy.colours) == policy.colour]
    chosen = sorted(ours, key=lambda cell: sampler.order(*cell))[: max(0, n_at_most)]
    placements = (sampler.place(row, column, policy) for row, column in chosen)
    return tuple(sorted(placements, key=lambda placement: placement.tile_id))


def candidate_cells(
    class_map: ClassMap, *, class_map_um_px: float, policy: ColouredTiles
) -> tuple[tuple[int, int], ...]:
    """Find the cells (row, column) that are clean tissue all over: no artifact, no pen, no border.

    Every pixel of the class map that a cell so much as touches has to be clean tissue.
    """
    cell_um = policy.cell_px * policy.um_px
    starts_row, ends_row = _spans(class_map.shape[0], class_map_um_px, cell_um)
    starts_column, ends_column = _spans(class_map.shape[1], class_map_um_px, cell_um)
    unclean = cv2.integral((class_map != SlideClass.TISSUE).astype(np.uint8))
    counts = (
        unclean[np.ix_(ends_row, ends_column)]
        - unclean[np.ix_(starts_row, ends_column)]
        - unclean[np.ix_(ends_row, starts_column)]
        + unclean[np.ix_(starts_row, starts_column)]
    )
    return tuple((int(row), int(column)) for row, column in np.argwhere(counts == 0))


def colour_of(row: int, column: int, *, colours: int) -> int:
    """Colour class of a cell: the checkerboard for 2, the 2 by 2 classes for 4."""
    if colours == _CHECKERBOARD:
        return (row + column) % 2
    return 2 * (row % 2) + column % 2


def placements_to_bytes(placements: Sequence[Placement]) -> bytes:
    """Encode a plan for the vault's ledger: canonical JSON."""
    rows = [asdict(placement) for placement in placements]
    return json.dumps(rows, sort_keys=True, separators=(",", ":")).encode()


def placements_from_bytes(content: bytes) -> tuple[Placement, ...]:
    """Decode a plan from the vault's ledger."""
    return tuple(Placement(**row) for row in json.loads(content))


def grid_digest(policy: ColouredTiles) -> str:
    """Digest of what has to be equal for two plans to fit beside each other on one container."""
    return hashlib.sha256(json.dumps(policy.grid).encode()).hexdigest()


def _below(bits: bytes, limit: int) -> int:
    """Turn 64 random bits into 0 to limit - 1; the bias is below 2^-50."""
    return int.from_bytes(bits, "big") % limit


def _spans(
    n_pixels: int, um_px: float, cell_um: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and one-past-last class map pixel that each whole cell touches along one axis."""
    n_cells = int(n_pixels * um_px / cell_um + 1e-9)
    edges = np.arange(n_cells + 1) * cell_um / um_px
    starts = np.floor(edges[:-1] + 1e-9).astype(np.int64)
    ends = np.minimum(np.ceil(edges[1:] - 1e-9).astype(np.int64), n_pixels)
    return starts, ends

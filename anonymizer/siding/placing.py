"""Put answers about tiles back onto the grid of their slide. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from appliance.answers import MOST_BYTES, PlacedAnswers, Values
from appliance.errors import IdentityDoubt, RejectedError
from appliance.stores.vault_asked import AskedTile, Awaited

_A_MAP: Final = 3
_FLIP: Final = 4
_DTYPE: Final = np.dtype("<f4")


def place(
    awaited: Awaited, tiles: Sequence[AskedTile], answers: Mapping[str, bytes]
) -> PlacedAnswers:
    """Place the answers that came back.

    Parameters
    ----------
    awaited
        What was asked, how much was answered, and the shape of each answer: `(classes,)`, or
        `(rows, columns, classes)` of the tile as it was sent.
    tiles
        Every tile that was asked about.
    answers
        By tile id: float32, little-endian, C order; some tiles may have none.

    Returns
    -------
    PlacedAnswers
        From top to bottom, then from left to right. Maps are turned back upright.

    Raises
    ------
    IdentityDoubt
        The vault's rows do not belong together.
    RejectedError
        They are too large to be kept together.
    """
    places = sorted(
        (tile for tile in tiles if tile.tile_id in answers),
        key=lambda tile: (tile.row_px, tile.column_px),
    )
    asking = awaited.asking
    if (len(tiles), len(places), len(answers)) != (asking.n_tiles, *2 * (awaited.n_answered,)):
        raise IdentityDoubt("What the vault says of asked tiles does not belong together.")
    if sum(map(len, answers.values())) > MOST_BYTES:
        raise RejectedError("The answers about this slide are too large to be joined.")
    return PlacedAnswers(
        route=asking.route,
        um_px=asking.um_px,
        cell_px=asking.cell_px,
        side_px=asking.side_px,
        n_tiles=asking.n_tiles,
        rows_px=np.array([tile.row_px for tile in places], np.int32),
        columns_px=np.array([tile.column_px for tile in places], np.int32),
        values=np.stack(
            [_upright(answers[tile.tile_id], awaited.shape, tile.turn) for tile in places]
        ),
    )


def _upright(answer: bytes, shape: tuple[int, ...], turn: int) -> Values:
    try:
        values = np.frombuffer(answer, _DTYPE).reshape(shape)
    except ValueError as error:
        raise IdentityDoubt("An answer in the vault is of another shape than its row says.") from (
            error
        )
    return turned_back(values, turn) if len(shape) == _A_MAP else values


def turned_back(values: Values, turn: int) -> Values:
    """Undo `anonymizer.tiles.cut.turned` for a map `(side, side, classes)`."""
    unflipped = np.fliplr(values) if turn >= _FLIP else values
    return np.ascontiguousarray(np.rot90(unflipped, -(turn % _FLIP)))

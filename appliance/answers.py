"""What outside model servers said of tiles: as deliver brings it in, and as release placed it.

`answers/<route>/` is written by a daemon that speaks to the outside, so release believes nothing
in it before `read_answers` and its own ledger agree. `placed/` holds the same values on the slide's
own grid, under no tile id: what infer may know.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from appliance.errors import RejectedError

Values = npt.NDArray[np.float32]

_FACTS: Final = "answers.json"
_VALUES: Final = "values.bin"
_DTYPE: Final = np.dtype("<f4")
_MOST_BYTES: Final = 2**31
_RANKS: Final = (2, 4)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """Answers to the tiles of one parcel."""

    parcel_id: str
    route: str
    tile_ids: tuple[str, ...]
    values: Values
    """`(n, classes)`, or `(n, rows, columns, classes)` of each tile as it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedAnswers:
    """Answers of one route about one slide, on the slide's own grid."""

    route: str
    um_px: float
    """Spacing of the pixels below; the origin is that of the base matrix."""
    cell_px: int
    """Side of the cell that each tile speaks for."""
    side_px: int
    """Side of a tile."""
    n_tiles: int
    """Tiles of the slide that were sent; those without an answer are not among the values."""
    rows_px: npt.NDArray[np.int32]
    """`(n,)` top row of each tile."""
    columns_px: npt.NDArray[np.int32]
    """`(n,)` left column of each tile."""
    values: Values
    """`(n, classes)`, or `(n, rows, columns, classes)` turned back upright."""


def write_answers(folder: Path, answers: Answers) -> None:
    """Write answers into an empty folder."""
    facts = {
        "parcel_id": answers.parcel_id,
        "route": answers.route,
        "tile_ids": answers.tile_ids,
        "shape": answers.values.shape,
    }
    _write(folder, facts, answers.values)


def read_answers(folder: Path) -> Answers:
    """Read answers.

    Raises
    ------
    RejectedError
        They are damaged, or hold a value that is no number.
    """
    facts, values = _read(folder)
    try:
        tile_ids = tuple(str(tile_id) for tile_id in facts["tile_ids"])
        answers = Answers(
            parcel_id=str(facts["parcel_id"]),
            route=str(facts["route"]),
            tile_ids=tile_ids,
            values=_shaped(values, facts["shape"], len(tile_ids)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged() from error
    if len(set(tile_ids)) != len(tile_ids):
        raise _damaged()
    return answers


def write_placed(folder: Path, placed: PlacedAnswers) -> None:
    """Write placed answers into an empty folder."""
    facts = {
        "route": placed.route,
        "um_px": placed.um_px,
        "cell_px": placed.cell_px,
        "side_px": placed.side_px,
        "n_tiles": placed.n_tiles,
        "rows_px": placed.rows_px.tolist(),
        "columns_px": placed.columns_px.tolist(),
        "shape": placed.values.shape,
    }
    _write(folder, facts, placed.values)


def read_placed(folder: Path) -> PlacedAnswers:
    """Read placed answers.

    Raises
    ------
    RejectedError
        They are damaged, or hold a value that is no number.
    """
    facts, values = _read(folder)
    try:
        rows = np.array(facts["rows_px"], np.int32)
        columns = np.array(facts["columns_px"], np.int32)
        placed = PlacedAnswers(
            route=str(facts["route"]),
            um_px=float(facts["um_px"]),
            cell_px=int(facts["cell_px"]),
            side_px=int(facts["side_px"]),
            n_tiles=int(facts["n_tiles"]),
            rows_px=rows,
            columns_px=columns,
            values=_shaped(values, facts["shape"], len(rows)),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged() from error
    sound = (
        math.isfinite(placed.um_px)
        and min(placed.um_px, placed.cell_px, placed.side_px) > 0
        and len(rows) == len(columns) <= placed.n_tiles
        and bool((rows >= 0).all() and (columns >= 0).all())
    )
    if not sound:
        raise _damaged()
    return placed


def _write(folder: Path, facts: Mapping[str, Any], values: Values) -> None:
    text = json.dumps(facts, sort_keys=True, allow_nan=False)
    (folder / _FACTS).write_text(text + "\n", encoding="ascii")
    (folder / _VALUES).write_bytes(np.ascontiguousarray(values, _DTYPE).tobytes())


def _read(folder: Path) -> tuple[dict[str, Any], Values]:
    try:
        facts = json.loads((folder / _FACTS).read_bytes())
        if (folder / _VALUES).stat().st_size > _MOST_BYTES:
            raise _damaged()
        values = np.frombuffer((folder / _VALUES).read_bytes(), _DTYPE)
    except (OSError, ValueError) as error:
        raise _damaged() from error
    if not isinstance(facts, dict) or not np.isfinite(values).all():
        raise _damaged()
    return facts, values


def _shaped(values: Values, shape: list[int], n_tiles: int) -> Values:
    if len(shape) not in _RANKS or shape[0] != n_tiles or min(shape[1:]) < 1:
        raise ValueError("not the shape of answers")
    return values.reshape(shape)


def _damaged() -> RejectedError:
    return RejectedError("Answers about tiles are damaged or hold what is no number.")

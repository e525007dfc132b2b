"""What outside model servers said of tiles: as deliver brings it in, and as release placed it.

`answers/<route>/` is written by a daemon that speaks to the outside, so release believes nothing
in it before `read_answers` and its own ledger agree. `placed/` holds the same values on the slide's
own grid, under no tile id: what infer may know.
"""

import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from appliance.errors import RejectedError

Values = npt.NDArray[np.float32]

MOST_BYTES: Final = 2**31
"""Of the values in one folder."""

_FACTS: Final = "answers.json"
_VALUES: Final = "values.bin"
_DTYPE: Final = np.dtype("<f4")
_MOST_FACTS_BYTES: Final = 2**24
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
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            facts = json.loads(_content(directory, _FACTS, _MOST_FACTS_BYTES))
            values = np.frombuffer(_content(directory, _VALUES, MOST_BYTES), _DTYPE)
        finally:
            os.close(directory)
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged() from error
    if not isinstance(facts, dict) or not np.isfinite(values).all():
        raise _damaged()
    return facts, values


def _content(directory: int, name: str, most_bytes: int) -> bytes:
    """Read a plain file of a folder; who writes it may be hostile, so no link is followed."""
    # Without O_NONBLOCK a FIFO under that name would hold the reader for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        if not plain or size_bytes > most_bytes:
            raise _damaged()
        return file.read(size_bytes)


def _shaped(values: Values, shape: list[int], n_tiles: int) -> Values:
    if len(shape) not in _RANKS or shape[0] != n_tiles or min(shape[1:]) < 1:
        raise ValueError("not the shape of answers")
    return values.reshape(shape)


def _damaged() -> RejectedError:
    return RejectedError("Answers about tiles are damaged or hold what is no number.")

"""What outside model servers said of tiles: as deliver brings it in, and as release placed it.

`answers/<route>/` is written by a daemon that speaks to the outside, so release believes nothing
in it before `read_answers` and its own ledger agree. `placed/` holds the same values on the slide's
own grid, under no tile id: what infer may know.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from appliance.errors import RejectedError
from appliance.line import MOST_ASKED_TILES
from appliance.plain_file import open_plain

Values = npt.NDArray[np.float32]

MOST_BYTES: Final = 2**31
"""Of the values about one slide."""
MOST_PARCEL_BYTES: Final = 2**28
"""Of the values that came back for one parcel."""

_FACTS: Final = "answers.json"
_VALUES: Final = "values.bin"
_DTYPE: Final = np.dtype("<f4")
_MOST_FACTS_BYTES: Final = 2**24
_MOST_PARCEL_FACTS_BYTES: Final = 2**18
_RANKS: Final = (2, 4)
_TILE_ID: Final = re.compile("[0-9a-f]{32}")


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
    """Read answers; never more of them than one parcel may be answered with.

    Raises
    ------
    RejectedError
        They are damaged or too large, are about what is no tile, or hold a value that is no number.
    """
    facts, values = _read(
        folder, most_bytes=MOST_PARCEL_BYTES, most_facts_bytes=_MOST_PARCEL_FACTS_BYTES
    )
    try:
        answers = Answers(
            parcel_id=str(facts["parcel_id"]),
            route=str(facts["route"]),
            tile_ids=_tile_ids(facts["tile_ids"]),
            values=values,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged() from error
    if len(answers.tile_ids) != len(values):
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
    facts, values = _read(folder, most_bytes=MOST_BYTES, most_facts_bytes=_MOST_FACTS_BYTES)
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
            values=values,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged() from error
    sound = (
        math.isfinite(placed.um_px)
        and min(placed.um_px, placed.cell_px, placed.side_px) > 0
        and len(values) == len(rows) == len(columns) <= placed.n_tiles
        and bool((rows >= 0).all() and (columns >= 0).all())
    )
    if not sound:
        raise _damaged()
    return placed


def _write(folder: Path, facts: Mapping[str, Any], values: Values) -> None:
    text = json.dumps(facts, sort_keys=True, allow_nan=False)
    (folder / _FACTS).write_text(text + "\n", encoding="ascii")
    (folder / _VALUES).write_bytes(np.ascontiguousarray(values, _DTYPE).tobytes())


def _read(folder: Path, *, most_bytes: int, most_facts_bytes: int) -> tuple[dict[str, Any], Values]:
    """Read facts, and of the values as many bytes as the shape among the facts allows."""
    try:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            facts = json.loads(_content(directory, _FACTS, most_facts_bytes))
            shape = _shape(facts["shape"])
            size_bytes = math.prod(shape) * _DTYPE.itemsize
            if size_bytes > most_bytes:
                raise _damaged()
            values = np.frombuffer(_content(directory, _VALUES, size_bytes), _DTYPE).reshape(shape)
        finally:
            os.close(directory)
    except (OSError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _damaged() from error
    if not isinstance(facts, dict) or not np.isfinite(values).all():
        raise _damaged()
    return facts, values


def _content(directory: int, name: str, most_bytes: int) -> bytes:
    with open_plain(name, directory=directory) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > most_bytes:
            raise _damaged()
        return file.read(size_bytes)


def _shape(said: list[object]) -> tuple[int, ...]:
    shape = tuple(length for length in said if type(length) is int)
    if len(shape) != len(said) or len(shape) not in _RANKS or shape[0] < 0 or min(shape[1:]) < 1:
        raise ValueError("not the shape of answers")
    return shape


def _tile_ids(said: list[object]) -> tuple[str, ...]:
    """Take the ids of tiles, each once: letters and digits that every database can hold."""
    ids = tuple(one for one in said if isinstance(one, str) and _TILE_ID.fullmatch(one))
    if not len(set(ids)) == len(ids) == len(said) <= MOST_ASKED_TILES:
        raise ValueError("not the ids of tiles")
    return ids


def _damaged() -> RejectedError:
    return RejectedError("Answers about tiles are damaged or hold what is no number.")

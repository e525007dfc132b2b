"""Answers about tiles: what is written is read, and what is damaged is refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from appliance import answers
from appliance.answers import (
    MOST_PARCEL_BYTES,
    Answers,
    PlacedAnswers,
    read_answers,
    read_placed,
    write_answers,
    write_placed,
)
from appliance.errors import RejectedError
from appliance.line import MOST_ASKED_TILES

A, B = "a" * 32, "b" * 32
ANSWERS = Answers(
    parcel_id="parcel", route="rack", tile_ids=(A, B), values=np.eye(2, dtype=np.float32)
)
PLACED = PlacedAnswers(
    route="rack",
    um_px=0.5,
    cell_px=256,
    side_px=192,
    n_tiles=3,
    rows_px=np.array([0, 256], np.int32),
    columns_px=np.array([17, 300], np.int32),
    values=np.ones((2, 4, 4, 2), np.float32),
)


def test_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_answers(tmp_path, ANSWERS)
    found = read_answers(tmp_path)
    assert np.array_equal(found.values, ANSWERS.values)
    assert (found.parcel_id, found.route, found.tile_ids) == ("parcel", "rack", (A, B))


def test_placed_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_placed(tmp_path, PLACED)
    found = read_placed(tmp_path)
    for name in ("rows_px", "columns_px", "values"):
        assert np.array_equal(getattr(found, name), getattr(PLACED, name))
    for name in ("route", "um_px", "cell_px", "side_px", "n_tiles"):
        assert getattr(found, name) == getattr(PLACED, name)


@pytest.mark.parametrize(
    "change",
    [
        {"tile_ids": [A, A]},
        {"tile_ids": [A]},
        {"tile_ids": [A, "\ud800" * 32]},
        {"tile_ids": [A, B[:-1] + "\n"]},
        {"tile_ids": [A, B.upper()]},
        {"tile_ids": [A, 7]},
        {"tile_ids": None},
        {"shape": [2, 1e999]},
        {"shape": [2, True]},
        {"shape": [0, 10**1000]},
        {"shape": [2, 3]},
        {"shape": [2, -1]},
        {"shape": [2, 2.0]},
        {"shape": [2]},
        {"shape": None},
        {"tile_ids": 7},
    ],
)
def test_answers_whose_facts_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    write_answers(tmp_path, ANSWERS)
    facts = tmp_path / "answers.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | change))
    with pytest.raises(RejectedError, match="damaged"):
        read_answers(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"n_tiles": 1},
        {"um_px": 0},
        {"um_px": "NaN"},
        {"rows_px": [0, -1]},
        {"rows_px": [0]},
        {"columns_px": [0, 2**40]},
    ],
)
def test_places_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    write_placed(tmp_path, PLACED)
    facts = tmp_path / "answers.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | change))
    with pytest.raises(RejectedError, match="damaged"):
        read_placed(tmp_path)


def test_values_that_are_cut_short_are_refused(tmp_path: Path) -> None:
    write_answers(tmp_path, ANSWERS)
    values = tmp_path / "values.bin"
    values.write_bytes(values.read_bytes()[:-1])
    with pytest.raises(RejectedError, match="damaged"):
        read_answers(tmp_path)


def lay_much(folder: Path, tile_ids: list[str], shape: list[int]) -> None:
    """Lay values that take no room on the disk, as long as their facts say."""
    facts = {"parcel_id": "parcel", "route": "rack", "tile_ids": tile_ids, "shape": shape}
    (folder / "answers.json").write_text(json.dumps(facts))
    with (folder / "values.bin").open("wb") as file:
        file.truncate(4 * math.prod(shape))


def test_values_are_never_read_beyond_what_a_parcel_may_be_answered_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_much(tmp_path, [A], [1, MOST_PARCEL_BYTES // 4 + 1])
    read: list[str] = []
    content = answers._content

    def noted(directory: int, name: str, most_bytes: int) -> bytes:
        read.append(name)
        return content(directory, name, most_bytes)

    monkeypatch.setattr(answers, "_content", noted)
    with pytest.raises(RejectedError, match="damaged"):
        read_answers(tmp_path)
    assert read == ["answers.json"]


def test_values_that_are_longer_than_their_shape_are_not_read(tmp_path: Path) -> None:
    write_answers(tmp_path, ANSWERS)
    with (tmp_path / "values.bin").open("ab") as file:
        file.write(bytes(4))
    with pytest.raises(RejectedError, match="damaged"):
        read_answers(tmp_path)


def test_more_tiles_than_a_parcel_may_hold_are_refused(tmp_path: Path) -> None:
    ids = [f"{number:032x}" for number in range(MOST_ASKED_TILES + 1)]
    lay_much(tmp_path, ids[:-1], [MOST_ASKED_TILES, 2])
    assert len(read_answers(tmp_path).tile_ids) == MOST_ASKED_TILES
    lay_much(tmp_path, ids, [MOST_ASKED_TILES + 1, 2])
    with pytest.raises(RejectedError, match="damaged"):
        read_answers(tmp_path)


def test_facts_that_are_too_long_are_not_read(tmp_path: Path) -> None:
    write_answers(tmp_path, ANSWERS)
    facts = tmp_path / "answers.json"
    facts.write_text(facts.read_text() + " " * 2**24)
    with pytest.raises(RejectedError, match="damaged"):
        read_answers(tmp_path)

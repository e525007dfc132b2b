"""Answers about tiles: what is written is read, and what is damaged is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from appliance.answers import (
    Answers,
    PlacedAnswers,
    read_answers,
    read_placed,
    write_answers,
    write_placed,
)
from appliance.errors import RejectedError

ANSWERS = Answers(
    parcel_id="parcel", route="rack", tile_ids=("a", "b"), values=np.eye(2, dtype=np.float32)
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
    assert (found.parcel_id, found.route, found.tile_ids) == ("parcel", "rack", ("a", "b"))


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
        {"tile_ids": ["a", "a"]},
        {"tile_ids": ["a"]},
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


def test_facts_that_are_too_long_are_not_read(tmp_path: Path) -> None:
    write_answers(tmp_path, ANSWERS)
    facts = tmp_path / "answers.json"
    facts.write_text(facts.read_text() + " " * 2**24)
    with pytest.raises(RejectedError, match="damaged"):
        read_answers(tmp_path)

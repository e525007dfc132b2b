"""`coverslip models` prints what people and scripts need to know of models."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from inference.commands import register
from inference.importing.manifest_text import as_toml
from inference.model import bundle
from inference.model.manifest import Model, digest_of, load_model
from inference.running.bench import BATCHES, measured
from tests.inference import small_models


def coverslip(*words: object) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    arguments = parser.parse_args([str(word) for word in words])
    return int(arguments.run(arguments))


@pytest.fixture
def small(tmp_path: Path) -> Model:
    """A tissue model that does next to nothing."""
    manifest = (bundle.BUNDLED / "tissue" / "model.toml").read_text(encoding="utf-8")
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(small_models.says([0.25, 0.75]))
    (folder / "model.toml").write_text(manifest.replace("tile_px = 160", "tile_px = 32"))
    return load_model(folder)


def test_bench_tells_every_batch_for_one_worker_and_for_all(
    small: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("models", "bench", small.folder, "--workers", 2, "--seconds", 0, "--device", "cpu")
    assert coverslip(*words, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {(row["tiles"], row["workers"], row["batch"]) for row in rows} == {
        (tiles, workers, batch)
        for tiles in ("blank", "random")
        for workers in (1, 2)
        for batch in BATCHES
    }
    for row in rows:
        assert row["device"] == "cpu"
        assert row["mp_s"] == pytest.approx(row["tiles_s"] * small.tile_px**2 / 1e6, rel=0.01)
    assert coverslip(*words) == 0
    table = capsys.readouterr().out
    assert "32 px at 8 µm/px, on the cpu" in table
    assert len(table.splitlines()) == 2 + len(rows)


def test_bench_counts_tiles_and_not_runs(small: Model) -> None:
    ticks = iter(np.arange(1000.0))
    rows = measured(small, device="cpu", workers=1, seconds=1, clock=lambda: next(ticks))
    # Every look at the clock is a second later: one run takes from the first look to the third.
    assert {row.batch: row.tiles_s for row in rows} == {1: 0.5, 8: 4.0, 32: 16.0}
    assert rows[0].ms_tile == 2000


def test_list_shows_intervals_and_where_a_model_may_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = {"value": "59441001", "scheme": "SCT", "meaning": "Lymph node"}
    folder = tmp_path / "nodes"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(small_models.says([0.5, 0.5], tiles=True))
    plain = {"name": "nodes", "version": "2", "task": "tiles", "um_px": 0.97, "tile_px": 96}
    words = {"licence": "CC0", "intended_use": "A test.", "trained_on": "nothing"}
    figure = {"data": "tiles", "n": 9, "metric": "AUC", "value": 0.95, "low": 0.9, "high": 0.97}
    rows = {
        "body_sites": [code],
        "classes": [{"index": at, "name": f"c{at}", "code": code} for at in (0, 1)],
        "accuracy": [figure],
    }
    says = plain | words | {"thresholds": {"c1": 0.5}} | rows
    (folder / "model.toml").write_text(as_toml(says), encoding="utf-8")
    assert coverslip("models", "list", folder) == 0
    shown = capsys.readouterr().out
    assert "AUC 0.950 on tiles (n = 9, 95 % 0.900 to 0.970)" in shown
    assert "body sites: Lymph node" in shown
    assert coverslip("models", "list", folder, "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["accuracy"] == [figure]
    assert listed["body_sites"] == [code]
    assert (listed["folder"], listed["digest"]) == (str(folder), f"sha256:{digest_of(folder)}")

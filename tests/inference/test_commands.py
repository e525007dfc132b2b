"""The commands print what they say and end with the exit code they promise."""

import argparse
import hashlib
import json
from pathlib import Path

import pytest

from inference.commands import register
from inference.model import bundle
from inference.model.manifest import digest_of
from tests.inference.remote_parts import manifest_folder


def run(*words: str, settings: Path | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=Path, default=settings)
    register(parser.add_subparsers())
    arguments = parser.parse_args(list(words))
    return int(arguments.run(arguments))


def test_models_list_gives_the_lines_to_pin(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "list", "--json") == 0
    listed = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert set(listed) == {folder.name for folder in bundle.bundled_models()}
    assert listed["tissue"]["digest"] == f"sha256:{digest_of(bundle.BUNDLED / 'tissue')}"
    assert run("models", "list") == 0
    assert 'folder = "bundled:tissue"' in capsys.readouterr().out


def test_models_check_runs_each_model_and_reads_those_that_run_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = "\n".join(
        f'[[inference.models]]\nfolder = "bundled:{folder.name}"\n'
        f'digest = "sha256:{digest_of(folder)}"\n'
        for folder in bundle.bundled_models()
    )
    settings = tmp_path / "coverslip.toml"
    manifest = manifest_folder(tmp_path / "lab") / "model.toml"
    route = f"""
        [[routes]]
        name = "lab"
        recipient = "lab-clinic"
        place = "outside"
        kind = "model_servers"
        carries = ["tiles"]
        servers = [{{ url = "grpc://127.0.0.1:9001" }}]
        [routes.model]
        folder = "{manifest.parent}"
        digest = "sha256:{hashlib.sha256(manifest.read_bytes()).hexdigest()}"
        name = "metastasis"
        [routes.policy]
        mechanism = "coloured_tiles"
        statement = "Does not protect against the holder of the slide."
        um_px = 0.97
        cell_px = 128
        crop_px = 96
    """
    settings.write_text(
        f'[storage]\nroot = "{tmp_path}"\n[keys]\nfolder = "{tmp_path}"\n{pinned}\n{route}',
        encoding="utf-8",
    )
    assert run("models", "check", settings=settings) == 0
    shown = capsys.readouterr().out
    assert shown.count("good, runs on the") == len(bundle.bundled_models())
    assert "coverslip-metastasis 0.1.0: good, runs at lab-clinic (route lab)" in shown

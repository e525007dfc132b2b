"""The commands print what they say and end with the exit code they promise."""

import argparse
import json
from pathlib import Path

import pytest

from inference.commands import register
from inference.model import bundle
from inference.model.manifest import digest_of


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


def test_models_check_runs_each_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pinned = "\n".join(
        f'[[inference.models]]\nfolder = "bundled:{folder.name}"\n'
        f'digest = "sha256:{digest_of(folder)}"\n'
        for folder in bundle.bundled_models()
    )
    settings = tmp_path / "coverslip.toml"
    settings.write_text(
        f'[storage]\nroot = "{tmp_path}"\n[keys]\nfolder = "{tmp_path}"\n{pinned}', encoding="utf-8"
    )
    assert run("models", "check", settings=settings) == 0
    assert capsys.readouterr().out.count("good, runs on the") == len(bundle.bundled_models())

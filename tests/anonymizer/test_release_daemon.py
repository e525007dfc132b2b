"""The release daemon as a process: it starts, answers its socket, and ends when told to."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anonymizer.keys.files import init_keys
from appliance.control import call
from appliance.errors import EXIT_CONFIG, PeerUnavailable
from appliance.facts import Facts, read, written

START = """
import argparse, sys
from pathlib import Path
from anonymizer.release.commands import register
from appliance.errors import ConfigError
parser = argparse.ArgumentParser()
parser.add_argument("--settings", type=Path)
register(parser.add_subparsers())
parsed = parser.parse_args()
try:
    sys.exit(parsed.run(parsed))
except ConfigError:
    sys.exit(78)
"""
LIMIT_S = 60.0


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "coverslip.toml"
    path.write_text(
        f'[storage]\nroot = "{tmp_path / "root"}"\n[keys]\nfolder = "{tmp_path / "keys"}"\n'
    )
    return path


def start(settings: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", START, "--settings", str(settings), "release"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def answered(socket: Path, command: str, **arguments) -> dict:
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            return call(socket, command, **arguments)
        except PeerUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_the_daemon_answers_identify_and_ends_on_sigterm(settings):
    init_keys(settings.parent / "keys")
    daemon = start(settings)
    try:
        socket = settings.parent / "root" / "run" / "release.sock"
        told = read(answered(socket, "status"))
        assert told.daemon == "release"
        check_keys(told.facts, settings.parent / "keys")
        assert {one.store for one in told.facts.stores} == {"journal", "vault"}
        assert answered(socket, "identify", slide_ids=["unknown"]) == {"slides": {}}
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(LIMIT_S) == 0


def check_keys(facts: Facts, folder: Path) -> None:
    """Keys are told by their public names and their age; nothing of a key file is told."""
    assert [key.name for key in facts.keys] == ["sign", "seal", "vault", "pseudonym", "sampling"]
    assert len({key.key_id for key in facts.keys}) == len(facts.keys)
    assert all(key.since is not None and abs(key.since - time.time()) < 300 for key in facts.keys)
    said = json.dumps(written(facts))
    for file in folder.glob("*.key"):
        secret = file.read_text()
        assert not any(secret[begin : begin + 12] in said for begin in range(len(secret) - 12))


def test_nothing_is_released_without_keys(settings):
    daemon = start(settings)
    assert daemon.wait(LIMIT_S) == EXIT_CONFIG

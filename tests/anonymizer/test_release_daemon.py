"""The release daemon as a process: it starts, answers its socket, and ends when told to."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anonymizer.keys.files import init_keys
from appliance.control import call
from appliance.errors import EXIT_CONFIG, PeerUnavailable

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
        assert answered(socket, "status")["daemon"] == "release"
        assert answered(socket, "identify", slide_ids=["unknown"]) == {"slides": {}}
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(LIMIT_S) == 0


def test_nothing_is_released_without_keys(settings):
    daemon = start(settings)
    assert daemon.wait(LIMIT_S) == EXIT_CONFIG

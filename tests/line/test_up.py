"""`coverslip up`, started as a person starts it: nothing here is forked from a test's process."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.command import main
from appliance.control import call
from appliance.demo.site import make_site
from appliance.errors import EXIT_CONFIG, ApplianceError
from appliance.settings import Settings, load
from appliance.storage import Root
from appliance.supervisor import daemon_commands
from tests.line.appliance_site import wait_for

ARCHIVE = """
[[routes]]
name = "archive"
recipient = "hospital"
place = "inside"
kind = "dimse"
carries = ["originals"]
addresses = ["127.0.0.0/8"]

[routes.peer]
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = 11199

[routes.policy]
mechanism = "true_patient"
"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A socket's path may have 107 characters; those of pytest's folders leave few of them."""
    with tempfile.TemporaryDirectory(prefix="up-") as folder:
        yield Path(folder)


def test_up_starts_every_daemon_and_ends_them_all_when_it_is_interrupted(short_folder: Path):
    site = make_site(short_folder / "site")
    with site.settings_file.open("a") as file:
        file.write(ARCHIVE)
    settings = load(site.settings_file)
    command = [sys.executable, "-m", "appliance", "--settings", str(site.settings_file), "up"]
    with (short_folder / "up.log").open("wb") as output:
        up = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for(lambda: all_answer(settings) or up.poll() is not None, "every daemon answers")
        assert up.poll() is None, (short_folder / "up.log").read_text()
        up.send_signal(signal.SIGINT)
        assert up.wait(30) == 0
    finally:
        up.kill()
    assert not any(answers(settings, name) for name in daemon_commands(settings))
    assert "Traceback" not in (short_folder / "up.log").read_text()


def all_answer(settings: Settings) -> bool:
    return all(answers(settings, name) for name in daemon_commands(settings))


def answers(settings: Settings, name: str) -> bool:
    try:
        return call(Root(settings.storage.root).socket(name), "status")["daemon"] == name
    except ApplianceError:
        return False


def test_a_root_that_is_too_long_for_sockets_is_a_mistake_in_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    site = make_site(tmp_path / ("long" * 25))
    assert main(["--settings", str(site.settings_file), "check-config"]) == EXIT_CONFIG
    assert "storage.root or the name of a route is too long" in capsys.readouterr().err
    assert main(["--settings", str(site.settings_file), "anonymize"]) == EXIT_CONFIG
    assert "make it shorter by" in capsys.readouterr().err

"""The worklist for scripts: the words of the screen, stable keys, an exit code, every change."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.command import main
from appliance.line import Stage, State
from appliance.settings import Settings
from appliance.stores.journal import Journal
from tests.tui.conftest import FULL_REASON, NAMES, NOW, slide
from tui import status
from tui.changes import Changes
from tui.health import daemons_of
from tui.snapshot import Snapshot
from tui.view import View

DOCS = Path(__file__).parents[2] / "docs" / "status.md"
COVERSLIP = Path(sys.executable).with_name("coverslip")


@pytest.fixture
def view(settings: Settings, literal_line: Snapshot) -> View:
    """The literal line."""
    return View(settings=settings, snapshot=literal_line, now=NOW)


@pytest.fixture
def settings_file(settings: Settings, tmp_path: Path) -> Path:
    """A settings file of the same storage, without routes."""
    file = tmp_path / "coverslip.toml"
    file.write_text(
        f'[storage]\nroot = "{tmp_path}"\nsoft_free_gib = 1\nhard_free_gib = 0\n'
        f'[keys]\nfolder = "{tmp_path}/keys"\n',
        encoding="utf-8",
    )
    return file


def beat(journal: Journal, settings: Settings) -> None:
    """Let every daemon be alive."""
    for daemon in daemons_of(settings):
        journal.heartbeat(daemon, pid=1, words="")


# Words.


@pytest.mark.parametrize("width", [80, 100, 140, 200])
def test_every_line_fits_the_terminal(view: View, width: int):
    assert max(len(line) for line in status.lines(view, width=width)) <= width


def test_what_needs_a_person_stands_first_with_its_reason(view: View):
    lines = list(status.lines(view, width=None))
    assert " ".join(lines[0].split()) == "Slide Scanner Line Now Time Came Verdict Sent"
    assert lines[1].startswith("Scan again 1")
    assert "↻ rescan" in lines[2]
    assert FULL_REASON in lines[2]
    assert [line.split("  ")[0] for line in lines if not line.startswith("  ")] == [
        "Scan again 1", "Needs you 1", "Held 1", "Look at the picture 1", "On the line 3", "Done 2"
    ]  # fmt: skip


def test_slides_are_named_by_their_container_where_it_is_known(view: View):
    view.names.learn(NAMES)
    said = "\n".join(status.lines(view, width=80))
    assert "S26-01877-A1" in said
    assert "mq4xk7b2" not in said


def test_only_the_newest_of_many_done_slides_are_shown(settings: Settings):
    slides = tuple(slide(f"slide{n:04}", Stage.DELIVER, State.DONE) for n in range(50))
    view = View(settings=settings, snapshot=Snapshot(at=NOW, slides=slides), now=NOW)
    few = list(status.lines(view, width=80))
    assert few[-1] == "  and 30 more; --all shows them"
    assert len(list(status.lines(view, width=80, every=True))) == len(few) + 29


# Values.


def test_every_key_of_the_values_is_in_the_docs_and_the_other_way_round(view: View):
    values = status.values(view)
    documented = re.findall(r"^\| `(\w+)` \|", DOCS.read_text("utf-8"), re.MULTILINE)
    assert documented == [*values, *documented[len(values) :]]
    assert set(documented[len(values) :]) == set(values["slides"][0])
    assert len(documented) == len(set(documented))
    for key in ("alarms", "daemons", "pauses", "disk"):
        [row] = [line for line in DOCS.read_text("utf-8").splitlines() if f"| `{key}` |" in line]
        for value in values[key] if isinstance(values[key], list) else [values[key]]:
            assert all(f"`{name}`" in row for name in value)


def test_the_values_are_in_the_order_of_the_screen_and_say_what_each_slide_needs(view: View):
    values = json.loads(json.dumps(status.values(view)))
    assert [one["needs"] for one in values["slides"][:4]] == ["rescan", "stuck", "held", "review"]
    assert values["counts"]["moving"] == 3
    assert values["needs_person"] is True
    aside = values["slides"][1]
    assert aside["trouble"] == "It is not certain that the patient is off"
    assert aside["doing"] == "set aside at de-identify"
    assert aside["container_identifier"] is None


# The command.


def test_the_exit_code_says_whether_somebody_is_needed(
    settings_file: Path, settings: Settings, journal: Journal, capsys: pytest.CaptureFixture[str]
):
    ask = ["--settings", str(settings_file), "status", "--attention"]
    assert main(ask) == 1  # no daemon runs
    assert "the line stands still" in capsys.readouterr().out
    beat(journal, settings)
    journal.add_slide("aaaa", scanner="a", last_byte_at=NOW)
    assert main(ask) == 0
    journal.complete("aaaa", actor="node", reason="All came.")
    journal.operate("hold", "aaaa", operator="anna")
    assert main(ask) == 1


def test_without_a_journal_it_cannot_be_told_and_none_is_made(
    settings_file: Path, capsys: pytest.CaptureFixture[str]
):
    before = set(settings_file.parent.rglob("*"))
    assert main(["--settings", str(settings_file), "status", "--attention"]) == 2
    assert "There is no journal yet" in capsys.readouterr().err
    assert set(settings_file.parent.rglob("*")) == before


def test_a_journal_that_is_no_database_cannot_tell_either(
    settings_file: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
):
    journal = Path(settings.journal_url.removeprefix("sqlite:///"))
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.write_bytes(b"no database" * 1000)
    assert main(["--settings", str(settings_file), "status", "--attention"]) == 2
    assert "The journal does not answer" in capsys.readouterr().err


def test_with_settings_that_cannot_be_read_it_cannot_be_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    missing = str(tmp_path / "missing.toml")
    assert main(["--settings", missing, "status", "--attention"]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["--settings", missing, "status"]) == 78


def test_what_another_process_wrote_neither_commands_the_terminal_nor_breaks_a_line(
    settings_file: Path, settings: Settings, journal: Journal, capsys: pytest.CaptureFixture[str]
):
    journal.add_slide("aaaa", scanner="a\x1b[2J", last_byte_at=NOW)
    journal.received("aaaa", last_byte_at=NOW, words="3 objects\n\u202e\x1b]52;c;eA==\x07")
    assert main(["--settings", str(settings_file), "status", "--all"]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if "aaaa" in line]
    assert said.replace("\n", "").isprintable()


def test_names_are_asked_of_the_release_daemon_only_when_wanted(
    settings_file: Path, journal: Journal, serve, capsys: pytest.CaptureFixture[str]
):
    from appliance.control import Command
    from appliance.line import Role

    asked = []

    def identify(operator, arguments):
        asked.append(arguments["slide_ids"])
        return {"slides": {"aaaa": {"container_identifier": "S26-1"}}}

    serve("release", {"identify": Command(role=Role.VIEWER, run=identify)})
    journal.add_slide("aaaa", scanner="a", last_byte_at=NOW)
    assert main(["--settings", str(settings_file), "status"]) == 0
    assert not asked
    assert main(["--settings", str(settings_file), "status", "--names"]) == 0
    assert asked == [["aaaa"]]
    assert "S26-1" in capsys.readouterr().out


# Changes.


def test_a_change_is_told_once_and_what_only_gets_older_is_not(
    settings: Settings, literal_line: Snapshot, view: View
):
    changes = Changes(as_json=False)
    first = list(changes.news(view))
    assert len(first) == 7  # nothing of the two that are done
    assert not list(changes.news(View(settings=settings, snapshot=literal_line, now=NOW + 5)))
    silent = View(settings=settings, snapshot=literal_line, now=NOW + 100)
    [alarm] = changes.news(silent)
    assert "! No daemon is running" in alarm
    [over] = changes.news(view)
    assert "over: No daemon is running" in over


@pytest.mark.slow
def test_a_pipe_gets_one_line_a_change_and_a_terminal_a_new_picture_until_interrupted(
    settings_file: Path, settings: Settings, journal: Journal
):
    beat(journal, settings)
    watch = [COVERSLIP, "--settings", settings_file, "status", "--watch"]
    ours, theirs = pty.openpty()
    with (
        subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as piped,
        subprocess.Popen(watch, stdin=theirs, stdout=theirs) as drawn,
        os.fdopen(ours, "rb", buffering=0) as screen,
    ):
        os.close(theirs)
        assert _seen(screen, "No slide is on the line.")
        journal.add_slide("aaaa", scanner="a", last_byte_at=NOW)
        assert piped.stdout is not None
        assert piped.stdout.readline().split()[1:] == ["aaaa", "a", "assemble", "receiving"]
        assert _seen(screen, "On the line 1")
        for watching in (piped, drawn):
            watching.send_signal(signal.SIGINT)
            assert watching.wait(10) == 0


def _seen(screen, words: str) -> bool:
    """Read a terminal until it says this; the test's own limit ends it."""
    text = b""
    while words.encode() not in text:
        text += screen.read(4096)
    return True


# Completion.


def completed(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Write the script of a shell."""
    assert main(["completion", shell]) == 0
    file = tmp_path / f"completion.{shell}"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    return file


def test_bash_completes_commands_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = completed("bash", tmp_path, capsys)
    ask = (
        f"source {file}; COMP_WORDS=(coverslip $1 $2); COMP_CWORD=$#; _shtab_coverslip; "
        'echo "${COMPREPLY[@]}"'
    )

    def answers(*typed: str) -> list[str]:
        done = subprocess.run(
            ["bash", "-c", ask, "-", *typed], capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert answers("stat") == ["status"]
    assert {"--json", "--watch", "--attention", "--names"} <= set(answers("status", "--"))


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_are_read_by_them(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = completed(shell, tmp_path, capsys)
    assert "status" in file.read_text("utf-8")
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    subprocess.run([shell, "-n", str(file)], check=True)

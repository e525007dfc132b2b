"""The terminal rings once for each slide that begins to need a person."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.line import Outcome, SlideStatus, Stage, State, Verdict
from appliance.messages import SET_ASIDE_BY_OPERATOR
from appliance.settings import Settings
from appliance.stores.journal import Journal
from tests.tui.conftest import NOW, slide
from tui.arrangement import Arrangement
from tui.snapshot import Snapshot
from tui.terminal.alert import Alerts, ring

GOOD = slide("p2cx6mb8ie", Stage.INFER, State.RUNNING, updated_at=1)
RESCAN = slide("mq4xk7b2pa", Stage.DELIVER, State.DONE, verdict=Verdict.RESCAN)


class Look:
    """Alerts over slides that a test changes."""

    def __init__(self, *slides: SlideStatus) -> None:
        self.alerts = Alerts()
        self.arrangement = Arrangement()
        assert self(*slides) == ""

    def __call__(self, *slides: SlideStatus, now: float = NOW) -> str:
        self.arrangement.follow(Snapshot(at=now, slides=slides), now=now)
        return self.alerts.look(self.arrangement)


def test_what_was_so_at_the_start_does_not_ring_and_what_is_new_rings_once() -> None:
    look = Look(GOOD, RESCAN)
    judged = replace(GOOD, stage=Stage.DELIVER, state=State.DONE, verdict=Verdict.RESCAN)
    assert look(judged, RESCAN) == "Scan again: slide p2cx6mb8 from scanner-a."
    assert look(judged, RESCAN) == ""
    assert look(RESCAN) == ""
    assert look(judged, RESCAN) == "", "it came back as it was"
    assert look(replace(GOOD, revision=2), RESCAN) == ""
    assert look(replace(judged, revision=2), RESCAN) != ""


def test_a_slide_that_falls_silent_rings_though_nothing_was_written() -> None:
    look = Look(GOOD)
    assert look(GOOD, now=NOW + 300) == "Needs you: slide p2cx6mb8 from scanner-a."


def test_a_slide_that_went_on_and_stands_still_again_rings_again() -> None:
    aside = replace(GOOD, state=State.ASIDE, error_code="unfit-scan")
    look = Look(aside)
    assert look(GOOD) == ""
    assert look(aside) != ""


def test_what_a_person_set_aside_does_not_ring() -> None:
    look = Look(GOOD)
    aside = replace(GOOD, state=State.ASIDE, error_code=SET_ASIDE_BY_OPERATOR)
    assert look(aside) == ""


def test_many_at_once_ring_once() -> None:
    look = Look(GOOD)
    rescans = [replace(RESCAN, slide_id=f"slide{number}") for number in range(3)]
    aside = replace(GOOD, state=State.ASIDE, error_code="unfit-scan")
    assert look(aside, *rescans) == "3 slides to scan again, 1 slide needs you."


@pytest.mark.parametrize(
    ("environ", "written"),
    [
        ({"TERM": "xterm-256color"}, "\x1b]9;Coverslip: Scan again.\a"),
        (
            {"TERM": "xterm-256color", "VTE_VERSION": "7600"},
            "\x1b]777;notify;Coverslip;Scan again.\a",
        ),
        ({"TERM": "foot"}, "\x1b]777;notify;Coverslip;Scan again.\a"),
        (
            {"TERM": "xterm-kitty"},
            "\x1b]99;i=coverslip:d=0;Coverslip\a\x1b]99;i=coverslip:p=body;Scan again.\a",
        ),
        ({"TERM": "linux"}, ""),
        ({}, ""),
        (
            {"TERM": "tmux-256color", "TMUX": "there"},
            "\x1bPtmux;\x1b\x1b]9;Coverslip: Scan again.\a\x1b\\",
        ),
        ({"TERM": "screen", "STY": "1.pts"}, "\x1bP\x1b]9;Coverslip: Scan again.\a\x1b\\"),
    ],
)
def test_each_terminal_is_asked_as_it_understands(environ: dict[str, str], written: str) -> None:
    assert ring("Scan again.", bell=True, desktop="auto", environ=environ) == f"\a{written}"


def test_a_person_may_want_it_otherwise_and_no_value_can_end_a_sequence() -> None:
    environ = {"TERM": "xterm-256color"}
    assert ring("x", bell=False, desktop="off", environ=environ) == ""
    assert ring("a\x1b]\a;b", bell=False, desktop="osc9", environ=environ) == (
        "\x1b]9;Coverslip: a]b\a"
    )


def test_the_terminal_of_the_running_screen_rings(
    settings: Settings, journal: Journal, tmp_path: Path
) -> None:
    file = tmp_path / "coverslip.toml"
    file.write_text(f'[storage]\nroot = "{tmp_path}"\n[keys]\nfolder = "{tmp_path}/keys"\n')
    journal.add_slide("mq4xk7b2pa", scanner="scanner-a", last_byte_at=time.time())
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "appliance", "--settings", str(file), "tui"]
    environ = {**os.environ, "TERM": "xterm-256color", "XDG_CONFIG_HOME": str(tmp_path)}
    with subprocess.Popen(
        [*command, "--picture", "cells"], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    ) as process:
        os.close(theirs)
        try:
            seen = read_until(ours, lambda so_far: b"mq4xk7b2" in so_far)
            assert b"\x1b]9;" not in seen
            journal.complete("mq4xk7b2pa", actor="node", reason="all there")
            for stage in (Stage.ASSEMBLE, Stage.DEIDENTIFY, Stage.INFER):
                claim = journal.claim(stage)
                assert claim is not None
                judged = stage is Stage.INFER
                journal.advance(claim, Outcome(verdict=Verdict.RESCAN) if judged else Outcome())
            told = b"\x1b]9;Coverslip: Scan again: slide mq4xk7b2 from scanner-a.\x07"
            read_until(ours, lambda so_far: told in so_far)
        finally:
            process.kill()
            os.close(ours)


def read_until(terminal: int, holds: Callable[[bytes], bool], limit_s: float = 30.0) -> bytes:
    seen = b""
    deadline = time.monotonic() + limit_s
    while not holds(seen):
        left_s = deadline - time.monotonic()
        assert left_s > 0, f"the terminal did not show it: {seen[-2000:]!r}"
        if select.select([terminal], [], [], left_s)[0]:
            seen += os.read(terminal, 65536)
    return seen

"""The things a technician does, in a real terminal, on a line whose daemons run.

One tmux session over one appliance; each test begins and ends at the worklist.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance import control
from appliance.line import SlideStatus, Stage, State
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.faults import slide_with_corrupt_frame, slide_without_tissue
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from tests.line.appliance_site import ApplianceSite, wait_for
from tests.line.conftest import blind

COLUMNS, LINES = 140, 45
LIMIT_S = 30.0
OF_A_TERMINAL = ("COLUMNS", "LINES", "NO_COLOR", "TMUX")
"""Variables of whoever runs the tests that would say what this terminal is like."""
OF_THE_LIST = "⏎ Open"
"""In the footer while the list of slides has the keys."""
ALL = EMPTY, DAMAGED, GOOD = tuple(SlideIdentity.invented(seed) for seed in (71, 72, 73))


class Terminal:
    """A tmux session: keys go in, what stands on the glass comes out."""

    def __init__(self, tmux: str, command: list[str], environment: dict[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="tmux-"
        )  # a socket's path may not be long
        self._tmux = [tmux, "-u", "-S", f"{self._folder.name}/s", "-f", os.devnull]
        shown = f"{shlex.join(command)}; echo; echo it ended with $?; exec sleep 600"
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        subprocess.run(
            [*self._tmux, "new-session", "-d", *size, shown],
            check=True,
            env={name: value for name, value in os.environ.items() if name not in OF_A_TERMINAL}
            | environment,
        )

    def keys(self, *names: str) -> None:
        """Press keys by tmux's names."""
        subprocess.run([*self._tmux, "send-keys", *names], check=True)

    def types(self, text: str) -> None:
        """Type letters."""
        subprocess.run([*self._tmux, "send-keys", "-l", text], check=True)

    @property
    def text(self) -> str:
        """All that can be read now."""
        captured = subprocess.run(
            [*self._tmux, "capture-pane", "-p"], check=True, capture_output=True, text=True
        )
        return captured.stdout

    def shows(self, *texts: str) -> None:
        """Wait until all of it can be read."""
        self._until(lambda text: all(one in text for one in texts), f"{texts} on the screen")

    def hides(self, *texts: str) -> None:
        """Wait until none of it can be read."""
        self._until(lambda text: not any(one in text for one in texts), f"{texts} gone")

    def _until(self, condition: Callable[[str], bool], what: str) -> None:
        try:
            wait_for(lambda: condition(self.text), what, limit_s=LIMIT_S, every_s=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text}") from None

    def close(self) -> None:
        """End the session."""
        subprocess.run([*self._tmux, "kill-server"], check=False)
        self._folder.cleanup()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A technician at work: the terminal, and the line behind it."""

    terminal: Terminal
    site: ApplianceSite
    scan: Path
    """Of the good slide."""
    empty: str
    damaged: str
    good: str

    @contextmanager
    def at(self, identity: SlideIdentity) -> Iterator[Terminal]:
        """Filter for a slide by its container identifier, with the cursor on it; then show all.

        What follows escape at once would be one key with it: wait until it has done its work.
        """
        self.terminal.keys("/")
        self.terminal.types(identity.container_identifier)
        others = set(ALL) - {identity}
        self.terminal.hides(*(one.container_identifier for one in others), OF_THE_LIST)
        self.terminal.keys("Enter")
        self.terminal.shows(OF_THE_LIST)
        yield self.terminal
        self.terminal.keys("Escape")
        self.terminal.shows(*(one.container_identifier for one in ALL))

    def slide(self, slide_id: str) -> SlideStatus:
        """Give a slide as the journal has it."""
        return self.site.slides()[slide_id]


@pytest.fixture(scope="module")
def shift(
    tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[[str], str]
) -> Iterator[Shift]:
    """A line with a slide to scan again, one set aside, and one that waits for a paused daemon."""
    tmux, folder = require_tool("tmux"), tmp_path_factory.mktemp("shift")
    scans = folder / "scans"
    slide_without_tissue(scans / "empty", EMPTY)
    write_slide(scans / "whole", SlidePlan.tiny(seed=72, kinds=()), DAMAGED)
    slide_with_corrupt_frame(scans / "whole", scans / "damaged", frame=3)
    write_slide(scans / "good", SlidePlan.tiny(seed=73, kinds=()), GOOD)
    with ApplianceSite(folder / "site", edit=blind) as site:
        empty, damaged = (site.walk(scans / name).slide_id for name in ("empty", "damaged"))
        control.call(site.root.socket("infer"), "pause", reason="a test")
        assert site.send(scans / "good") == 0
        wait_for(lambda: len(site.slides()) == 3, "the third slide is on the line")
        (good,) = set(site.slides()) - {empty, damaged}
        wait_for(lambda: site.slides()[good].stage is Stage.INFER, "the third slide waits")
        words = ["--settings", str(site.site.settings_file), "tui"]
        terminal = Terminal(
            tmux,
            [sys.executable, "-m", "appliance", *words],
            {"XDG_CONFIG_HOME": str(folder / "config"), "COLORTERM": "truecolor"},
        )
        try:
            terminal.shows("worklist")
            yield Shift(
                terminal=terminal,
                site=site,
                scan=scans / "good",
                empty=empty,
                damaged=damaged,
                good=good,
            )
        finally:
            terminal.close()


def test_the_rescan_stands_on_top_with_its_reason(shift: Shift) -> None:
    shift.terminal.shows("Scan again", EMPTY.container_identifier, "tissue")
    lines = shift.terminal.text.splitlines()
    first = next(line for line in lines if any(one.container_identifier in line for one in ALL))
    assert EMPTY.container_identifier in first
    assert "↻ rescan" in first


def test_a_slide_is_opened_and_its_picture_is_seen(shift: Shift) -> None:
    with shift.at(EMPTY) as terminal:
        terminal.keys("Enter")
        terminal.shows("RESCAN", "▀", "not to diagnose")
        terminal.keys("Escape")
        terminal.shows("worklist")


def test_a_rescan_is_noted_as_asked_for(shift: Shift) -> None:
    with shift.at(EMPTY) as terminal:
        terminal.keys("m")
        terminal.shows("is noted: a rescan was asked for")
        assert shift.slide(shift.empty).mark == "requested"


def test_a_container_identifier_is_found_however_it_is_written(shift: Shift) -> None:
    shift.terminal.shows(*(one.container_identifier for one in ALL))
    shift.terminal.keys("/")
    shift.terminal.types(DAMAGED.container_identifier.lower())
    shift.terminal.hides(EMPTY.container_identifier, GOOD.container_identifier)
    shift.terminal.shows(DAMAGED.container_identifier)
    shift.terminal.keys("Escape")
    shift.terminal.shows(EMPTY.container_identifier, GOOD.container_identifier)


def test_a_slide_is_held_and_goes_on(shift: Shift) -> None:
    with shift.at(GOOD) as terminal:
        terminal.keys("h")
        terminal.shows("is held", "held at infer")
        assert shift.slide(shift.good).state is State.HELD
        terminal.keys("u")
        terminal.shows("goes on", "waits: infer")
        assert shift.slide(shift.good).state is State.WAITING


def test_what_was_set_aside_is_tried_again(shift: Shift) -> None:
    before = shift.slide(shift.damaged)
    assert before.state is State.ASIDE
    with shift.at(DAMAGED) as terminal:
        terminal.keys("r")
        terminal.shows("is back on the line")
    wait_for(
        lambda: (
            shift.slide(shift.damaged).updated_at > before.updated_at
            and shift.slide(shift.damaged).state is State.ASIDE
        ),
        "it was tried in vain",
        limit_s=LIMIT_S,
    )


def test_a_slide_is_set_aside_with_a_reason(shift: Shift) -> None:
    with shift.at(GOOD) as terminal:
        terminal.keys("x")
        terminal.shows("Why is")
        terminal.types("wrong stain")
        terminal.keys("Enter")
        terminal.shows("is set aside.", "✕ wrong stain")
        assert shift.slide(shift.good).state is State.ASIDE


def test_the_pacs_is_asked_whether_it_answers(shift: Shift) -> None:
    shift.terminal.keys("e")
    shift.terminal.shows("enter takes the one marked")
    shift.terminal.keys("Enter")
    shift.terminal.shows(" ms")
    assert [one.text for one in shift.site.board.events() if one.kind == "probe"]


def test_a_route_is_paused_and_goes_on(shift: Shift) -> None:
    shift.terminal.keys("w")
    shift.terminal.shows("enter takes the one marked")
    shift.terminal.keys("Enter")
    shift.terminal.shows("Why is", "paused?")
    shift.terminal.types("new cable")
    shift.terminal.keys("Enter")
    shift.terminal.shows("Route pacs was paused")
    assert {"deliver@pacs", "infer"} == {one.daemon for one in shift.site.board.pauses()}
    shift.terminal.keys("g")
    shift.terminal.hides("Route pacs was paused")
    assert {"infer"} == {one.daemon for one in shift.site.board.pauses()}


def test_the_machine_is_drained_and_takes_slides_again(shift: Shift) -> None:
    shift.terminal.keys("d")
    shift.terminal.shows("Scanners will be told to wait")
    shift.terminal.keys("Enter")
    shift.terminal.shows("drained")
    wait_for(lambda: shift.site.send(shift.scan) != 0, "scanners have to wait", limit_s=LIMIT_S)
    shift.terminal.keys("i")
    shift.terminal.hides("drained")
    wait_for(lambda: shift.site.send(shift.scan) == 0, "slides are taken", limit_s=LIMIT_S)


def test_the_log_of_one_slide_is_read_and_the_screen_is_left(shift: Shift) -> None:
    with shift.at(DAMAGED) as terminal:
        terminal.keys("Enter")
        terminal.shows("What is wrong")
        terminal.keys("l")
        terminal.shows("log", "codestream")
        terminal.keys("Escape")
        terminal.shows("What is wrong")
        terminal.keys("Escape")
        terminal.shows("worklist")
    shift.terminal.keys("q")
    shift.terminal.shows("it ended with 0")

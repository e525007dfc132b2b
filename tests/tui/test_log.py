"""The log: by words, slide, name and level; live, and stopped by whoever reads."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from appliance.settings import Settings
from appliance.stores.journal import Journal
from tui.app import CoverslipApp
from tui.feed import JournalChanged
from tui.log_lines import LEAST, LEVELS, next_least, read_line, wanted
from tui.panels.log import log_line, whole_line
from tui.screens.live import MOST_KEPT, ItemsRead
from tui.screens.log import LogScreen
from tui.snapshot import Snapshot
from tui.widgets.line_list import LineList

LINE = "2026-01-01 10:00:0{n},000 {daemon} {level} [{slide}] {words}"
LIMIT_S = 8.0


def line(n: int, level: str, words: str, *, daemon: str = "infer", slide: str = "-") -> str:
    return LINE.format(n=n, daemon=daemon, level=level, slide=slide, words=words)


LINES = [
    line(1, "INFO", "started"),
    line(2, "WARNING", "slow", slide="mq4xk7b2pa"),
    line(3, "ERROR", "The PACS did not accept it.", daemon="deliver@pacs", slide="f7yd2nq5ce"),
    "Traceback of something old",
]


def test_a_line_is_parted_and_one_of_another_form_is_words() -> None:
    read = read_line(LINES[2])
    assert (read.time, read.daemon, read.level) == ("10:00:03", "deliver@pacs", "error")
    assert (read.slide_id, read.words) == ("f7yd2nq5ce", "The PACS did not accept it.")
    assert read_line(LINES[0]).slide_id is None
    assert read_line(LINES[3]).words == LINES[3]


def test_control_characters_never_reach_the_terminal() -> None:
    assert "\x1b" not in read_line(line(1, "INFO", "\x1b[31mred\x9b\x07")).words


@pytest.mark.parametrize(
    ("sought", "least", "kept"),
    [
        ("", "debug", [0, 1, 2, 3]),
        ("", "warning", [1, 2]),
        ("", "error", [2]),
        ("slow INFER", "debug", [1]),
        ("mq4xk7b2", "debug", [1]),
        ("s26-01877-a2", "debug", [2]),
        ("pacs s26-01877", "debug", [2]),
        ("nobody", "debug", []),
    ],
)
def test_lines_are_kept_by_words_level_and_the_name_of_their_slide(
    sought: str, least: str, kept: list[int]
) -> None:
    names = {"mq4xk7b2pa": "S26-01877-A1", "f7yd2nq5ce": "S26-01877-A2"}
    lines = [read_line(text) for text in LINES]
    found = wanted(lines, sought, least=least, name_of=lambda one: names.get(one, one))  # type: ignore[arg-type]
    assert [lines.index(one) for one in found] == kept


def test_the_level_key_goes_round() -> None:
    steps = ["debug"]
    for _ in LEAST:
        steps.append(next_least(steps[-1]))  # type: ignore[arg-type]
    assert steps == ["debug", "warning", "error", "debug"]


@pytest.mark.parametrize("width", [20, 78, 138, 198])
def test_a_line_fits_its_width_and_its_level_has_a_letter(width: int) -> None:
    for text in LINES:
        drawn = log_line(read_line(text), name="S26-01877-A1", width=width)
        assert drawn.cell_length == width
    assert "@pacs" in log_line(read_line(LINES[2]), name="", width=78).plain
    plain = log_line(read_line(LINES[1]), name="", width=78).plain
    assert f" {LEVELS['warning'].glyph} " in plain
    whole = whole_line(read_line(LINES[2]), name="S26-01877-A2", width=40).plain
    assert "deliver@pacs" in whole
    assert "S26-01877-A2" in whole


# On the screen.


def seen(app: CoverslipApp) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def sees(pilot: Pilot[None], text: str, *, is_there: bool = True) -> None:
    end = time.monotonic() + LIMIT_S
    while (text in seen(pilot.app)) is not is_there:  # type: ignore[arg-type]
        assert time.monotonic() < end, f"not within {LIMIT_S} s: {text!r} is there: {is_there}"
        await pilot.pause(0.02)


def drive(
    app: CoverslipApp,
    script: Callable[[Pilot[None]], Awaitable[None]],
    size: tuple[int, int] = (100, 30),
) -> None:
    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await script(pilot)

    asyncio.run(run())


def write(path: Path, words: str) -> None:
    with path.open("a") as file:
        file.write(line(4, "WARNING", words) + "\n")


@pytest.fixture
def folder(settings: Settings) -> Path:
    folder = settings.storage.root / "log"
    folder.mkdir()
    return folder


def test_the_log_follows_filters_and_shows_a_whole_line(
    literal_app: CoverslipApp, literal_line: Snapshot, folder: Path
) -> None:
    path = folder / "infer.log"
    path.write_text("\n".join(LINES[:3]) + "\n")

    async def script(pilot: Pilot[None]) -> None:
        pilot.app.post_message(JournalChanged(literal_line))
        await pilot.press("l")
        await sees(pilot, "10:00:01 I infer")
        await sees(pilot, "S26-01877-A1")
        write(path, "comes later")
        await sees(pilot, "comes later")
        await pilot.press("v")
        await sees(pilot, "started", is_there=False)
        await sees(pilot, "warnings and errors · 3 of 4 lines")
        await pilot.press("slash", *"nobody")
        await sees(pilot, "none of 4 lines fits; / and escape show all")
        await pilot.press("escape", "slash", *"a2", "enter")
        await sees(pilot, "comes later", is_there=False)
        await pilot.press("up")
        await sees(pilot, "deliver@pacs · error · slide S26-01877-A2")
        await sees(pilot, "end goes on")
        await pilot.press("y")
        assert "deliver@pacs · error" in pilot.app.clipboard
        await pilot.press("enter")
        await sees(pilot, "Coverslip  slide")
        write(path, "comes behind")
        await pilot.press("escape", "slash", "escape", "v", "v", "end")
        await sees(pilot, "comes behind")

    drive(literal_app, script)


def test_ten_thousand_lines_a_second_are_kept_up_with_and_steal_no_scroll(
    literal_app: CoverslipApp, literal_line: Snapshot, folder: Path
) -> None:
    """What is handed to the screen every quarter of a second, as fast as it takes it."""
    flood = [read_line(line(n % 10, "INFO", f"line {n}", slide="mq4xk7b2pa")) for n in range(2500)]

    async def script(pilot: Pilot[None]) -> None:
        pilot.app.post_message(JournalChanged(literal_line))
        await pilot.press("l")
        screen = pilot.app.screen
        assert isinstance(screen, LogScreen)
        began = time.process_time()
        for _ in range(4):
            screen.post_message(ItemsRead(list(flood)))
            await pilot.pause()
        assert time.process_time() - began < 1.0, "a second of it costs less than a second"
        lines = screen.query_one("#lines", LineList)
        assert lines.n_lines == MOST_KEPT
        await pilot.press("up", "up")
        read = lines.at_cursor
        screen.post_message(ItemsRead(list(flood[:1204])))
        await sees(pilot, "+1,204 lines, end goes on")
        assert lines.at_cursor is read
        await pilot.press("end")
        await sees(pilot, "following")
        await sees(pilot, "line 1203")

    drive(literal_app, script, size=(80, 24))


def test_from_a_slide_the_log_is_of_that_slide(
    settings: Settings, journal: Journal, folder: Path
) -> None:
    journal.add_slide("waitingslide", scanner="scanner-a", last_byte_at=time.time())
    (folder / "node.log").write_text(
        f"{line(1, 'INFO', 'of another')}\n{line(2, 'INFO', 'of it', slide='waitingslide')}\n"
    )

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waitings")
        await pilot.press("enter", "l")
        await sees(pilot, "of it")
        assert "of another" not in seen(pilot.app)  # type: ignore[arg-type]

    drive(CoverslipApp(settings), script)


def test_under_systemd_the_file_has_the_time_that_the_journal_adds_elsewhere(
    tmp_path: Path,
) -> None:
    code = (
        "import logging, pathlib, sys; from appliance import logs\n"
        "logs.set_up('node', file=pathlib.Path(sys.argv[1]))\n"
        "logging.getLogger('appliance').warning('slow')"
    )
    file = tmp_path / "node.log"
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        env=os.environ | {"JOURNAL_STREAM": "8:1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "node WARNING [-] slow\n"
    read = read_line(file.read_text().strip())
    assert (read.daemon, read.level, read.words) == ("node", "warning", "slow")

"""The screen, driven by keys, over a real journal and real control sockets."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from appliance.control import Command, Operator
from appliance.errors import ForbiddenAction, IdentityDoubt
from appliance.line import Outcome, Role, Stage, State
from appliance.settings import Settings
from appliance.stores.journal import Journal
from tui.actions import ACTIONS, MOVES
from tui.app import CoverslipApp
from tui.feed import JournalChanged
from tui.snapshot import Snapshot
from tui.view import NamesWanted
from tui.widgets.bars import AlarmBar
from tui.widgets.slide_list import SlideList

LIMIT_S = 8.0
Script = Callable[[Pilot[None]], Awaitable[None]]


def drive(app: CoverslipApp, script: Script, size: tuple[int, int] = (140, 45)) -> None:
    async def run() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            await script(pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"not within {LIMIT_S} s: {what}"
        await pilot.pause(0.02)


def seen(app: CoverslipApp) -> str:
    """Everything that is on the screen, as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def sees(pilot: Pilot[None], text: str) -> Awaitable[None]:
    return until(pilot, lambda: text in seen(pilot.app), f"the text {text!r}")


@pytest.fixture
def app(settings: Settings, journal: Journal) -> CoverslipApp:
    return CoverslipApp(settings)


@pytest.fixture
def waiting(journal: Journal) -> str:
    journal.add_slide("waitingslide", scanner="scanner-a", last_byte_at=time.time())
    journal.complete("waitingslide", actor="node", reason="all is there")
    return "waitingslide"


def state(journal: Journal, slide_id: str) -> State:
    found = journal.board.slide(slide_id)
    assert found is not None
    return found.state


def test_hold_and_resume_change_the_journal(
    app: CoverslipApp, journal: Journal, waiting: str, serve: Callable[..., None]
):
    serve("node")

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waitings")
        await pilot.press("h")
        await until(pilot, lambda: state(journal, waiting) is State.HELD, "held")
        await sees(pilot, "waitings is held.")
        await sees(pilot, "held at assemble")
        await pilot.press("u")
        await until(pilot, lambda: state(journal, waiting) is State.WAITING, "waiting")

    drive(app, script)


def test_retry_brings_a_slide_that_was_set_aside_back(
    app: CoverslipApp, journal: Journal, waiting: str, serve: Callable[..., None]
):
    serve("node")
    claim = journal.claim(Stage.ASSEMBLE)
    assert claim is not None
    journal.set_aside(claim, IdentityDoubt("The label can still be read."))

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "The label can still be read.")
        await sees(pilot, IdentityDoubt.next_step)
        await pilot.press("r")
        await until(pilot, lambda: state(journal, waiting) is State.WAITING, "waiting")
        await sees(pilot, "waits: assemble")

    drive(app, script)


def test_set_aside_asks_for_a_reason_and_escape_leaves_it(
    app: CoverslipApp, journal: Journal, waiting: str, serve: Callable[..., None]
):
    serve("node")

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waitings")
        await pilot.press("x")
        await sees(pilot, "Why is waitings set aside?")
        await pilot.press("escape")
        await pilot.press("x")
        await pilot.press(*"wrong", "space", *"stain", "enter")
        await until(pilot, lambda: state(journal, waiting) is State.ASIDE, "set aside")
        await sees(pilot, "wrong stain")

    drive(app, script)
    assert "wrong stain" in journal.board.events(slide_id=waiting)[-1].text


def test_force_complete_is_done_only_after_yes(
    app: CoverslipApp, journal: Journal, serve: Callable[..., None]
):
    asked: list[str] = []

    def force(_operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(arguments["slide_id"])
        return {}

    serve("node", {"force_complete": Command(role=Role.TECHNICIAN, run=force)})
    journal.add_slide("receiving", scanner="scanner-a", last_byte_at=time.time())

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "receiving")
        await pilot.press("c")
        await sees(pilot, "without waiting for more objects?")
        await pilot.press("n")
        await pilot.press("c")
        await pilot.press("y")
        await until(pilot, lambda: asked == ["receiving"], "asked once")

    drive(app, script)


def test_an_action_without_the_right_shows_the_sentence_and_the_next_step(
    app: CoverslipApp, journal: Journal, waiting: str, serve: Callable[..., None]
):
    def refuse(_operator: Operator, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        raise ForbiddenAction("The action hold needs the role technician.")

    serve("node", {"hold": Command(role=Role.VIEWER, run=refuse)})

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waitings")
        await pilot.press("h")
        await sees(pilot, "The action hold needs the role")
        await sees(pilot, ForbiddenAction.next_step[:24])

    drive(app, script)
    assert state(journal, waiting) is State.WAITING


def test_a_daemon_that_is_not_there_is_a_sentence_and_not_a_crash(
    app: CoverslipApp, journal: Journal, waiting: str
):
    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waitings")
        await pilot.press("h")
        await sees(pilot, "The node daemon does not answer.")

    drive(app, script)
    assert state(journal, waiting) is State.WAITING


def test_container_identifiers_are_shown_by_right_and_asked_once(
    app: CoverslipApp, journal: Journal, waiting: str, serve: Callable[..., None]
):
    asked: list[object] = []

    def identify(_operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(arguments["slide_ids"])
        return {"slides": {waiting: {"container_identifier": "S26-00042-A1"}}}

    serve("release", {"identify": Command(role=Role.TECHNICIAN, run=identify)})

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waits: assemble")
        pilot.app.post_message(NamesWanted((waiting,)))
        await pilot.pause()
        assert asked == [], "its identity is sealed when it leaves assemble"
        claim = journal.claim(Stage.ASSEMBLE)
        assert claim is not None
        journal.advance(claim, Outcome())
        await sees(pilot, "S26-00042-A1")
        pilot.app.post_message(NamesWanted((waiting,)))
        await pilot.pause()
        assert asked == [[waiting]]

    drive(app, script)


def test_without_the_release_daemon_short_ids_are_shown(app: CoverslipApp, waiting: str):
    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waitings ")
        assert "waitingslide" not in seen(pilot.app)

    drive(app, script)


def test_the_filter_narrows_the_list_while_typing(app: CoverslipApp, journal: Journal):
    for number, scanner in enumerate(("alpha", "beta")):
        journal.add_slide(f"{number}slide", scanner=scanner, last_byte_at=time.time())

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "1slide")
        await pilot.press("slash", *"alpha")
        await until(pilot, lambda: "1slide" not in seen(pilot.app), "one slide left")
        assert "0slide" in seen(pilot.app)
        await pilot.press("escape")
        await sees(pilot, "1slide")
        assert not pilot.app.screen.query_one("#filter", Input).display

    drive(app, script)


def test_the_cursor_stays_at_its_slide_when_a_more_urgent_one_appears(
    app: CoverslipApp, journal: Journal, waiting: str
):
    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waitings")
        journal.add_slide("urgent", scanner="scanner-a", last_byte_at=time.time())
        journal.reject("urgent", actor="node", error=IdentityDoubt("Doubt."))
        await sees(pilot, "Needs you")
        slides = pilot.app.screen.query_one(SlideList)
        assert slides.selected == waiting
        await pilot.press("home")
        assert slides.selected == "urgent"
        await pilot.press("down")
        assert slides.selected == waiting

    drive(app, script)


def test_a_journal_that_is_no_database_is_a_plain_word(settings: Settings, tmp_path: Path):
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "journal.db").write_bytes(b"this is no database" * 100)

    async def script(pilot: Pilot[None]) -> None:
        bar = pilot.app.screen.query_one(AlarmBar)
        await until(pilot, lambda: bar.display, "an alarm")
        await sees(pilot, "journal")

    drive(CoverslipApp(settings), script)


def test_help_and_palette_name_every_action(literal_app: CoverslipApp, literal_line: Snapshot):
    async def script(pilot: Pilot[None]) -> None:
        pilot.app.post_message(JournalChanged(literal_line))
        await pilot.pause()
        commands = {
            command.title.split()[0] for command in pilot.app.get_system_commands(pilot.app.screen)
        }
        assert {move.label.split()[0] for move in MOVES} <= commands
        await pilot.press("question_mark")
        await sees(pilot, "Keys")
        text = seen(pilot.app)
        for action in ACTIONS:
            assert action.label in text
            assert action.sentence[:30] in text
        await pilot.press("escape")
        await pilot.press("s")
        await sees(pilot, "Daemons")
        await pilot.press("t")
        assert pilot.app.theme == "coverslip-light"

    drive(literal_app, script)


def label_commands(seen_by: list[str], *, agreement: str) -> dict[str, Command]:
    """The anonymize daemon's actions about labels, as far as the screen knows them."""

    def label(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        seen_by.append(f"label {arguments['slide_id']}")
        return {
            "container_identifier": "S26-01877-A1",
            "barcodes": ["S26-09999-Z9"],
            "texts": ["S26-09999", "[red]"],
            "agreement": agreement,
        }

    def accept(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        seen_by.append(f"accept {arguments['slide_id']}")
        return {"done": "accept_label"}

    return {
        "label": Command(role=Role.TECHNICIAN, run=label),
        "accept_label": Command(role=Role.TECHNICIAN, run=accept),
    }


class LabelDiffers(IdentityDoubt):
    code = "label-mismatch"


def test_the_label_is_shown_beside_the_header_and_a_mismatch_can_be_accepted(
    app: CoverslipApp, journal: Journal, waiting: str, serve: Callable[..., None]
):
    asked: list[str] = []
    serve("anonymize", label_commands(asked, agreement="differs"))
    claim = journal.claim(Stage.ASSEMBLE)
    assert claim is not None
    journal.set_aside(claim, LabelDiffers("The label names another slide."))

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "The label names another slide.")
        await pilot.press("b")
        await sees(pilot, "S26-01877-A1")
        assert "S26-09999-Z9" in seen(pilot.app)
        assert "[red]" in seen(pilot.app)
        await pilot.press("a")
        await sees(pilot, "its label is accepted")
        assert asked == ["label waitingslide", "accept waitingslide"]

    drive(app, script)


def test_a_label_that_waits_for_nobody_cannot_be_accepted(
    app: CoverslipApp, waiting: str, serve: Callable[..., None]
):
    asked: list[str] = []
    serve("anonymize", label_commands(asked, agreement="agrees"))

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waitings")
        await pilot.press("b")
        await sees(pilot, "The label names the slide of the header.")
        await pilot.press("a")
        await pilot.press("escape")
        await sees(pilot, "waits: assemble")
        assert asked == ["label waitingslide"]

    drive(app, script)


def test_a_label_that_cannot_be_read_is_answered_with_a_next_step(
    app: CoverslipApp, waiting: str, serve: Callable[..., None]
):
    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waitings")
        await pilot.press("b")
        await sees(pilot, "The anonymize daemon does not answer.")

    drive(app, script)


def test_an_empty_line_says_what_to_do(app: CoverslipApp):
    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "Send one from a scanner")
        assert pilot.app.screen.query_one("#empty", Static).display
        await pilot.press("h", "x", "enter", "down", "end")

    drive(app, script, size=(80, 24))


def test_the_screen_imports_nothing_of_dicom_and_holds_no_key():
    code = (
        "import sys, tui.app, tui.commands\n"
        "foreign = {'pydicom', 'pynetdicom', 'highdicom', 'wsidicom'}\n"
        "foreign |= {'onnxruntime', 'cryptography'}\n"
        "print(sorted(foreign & {name.partition('.')[0] for name in sys.modules}))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

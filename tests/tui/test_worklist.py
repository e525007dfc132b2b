"""The worklist: what it asks for, in which order it stands, and what there is room for."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from appliance.control import Command, Operator
from appliance.errors import ForbiddenAction
from appliance.line import Mark, Pause, Role, Stage, State, Verdict
from appliance.settings import Settings
from appliance.stores.journal import Journal
from benchmarks.screen_line import container, seed
from tests.tui.conftest import FULL_REASON, NOW, delivery, slide
from tests.tui.test_app import drive, seen, sees, until
from tui import words
from tui.app import CoverslipApp
from tui.arrangement import Order
from tui.feed import JournalChanged
from tui.rows import layout_for, order_at, slide_line, titles
from tui.screens.worklist import NO_MATCH, NOT_FOUND
from tui.snapshot import Snapshot
from tui.widgets.slide_list import SlideList

ROUTES = ("pacs", "registry")
RUNNING = slide("running", Stage.INFER, State.RUNNING, claimed_at=30, updated_at=10, progress=0.5)


def row(width: int, one=RUNNING, **changes: object) -> str:
    shown = dataclasses.replace(one, **changes)
    layout = layout_for(width, ROUTES)
    return slide_line(shown, name="S26-1", now=NOW, layout=layout).plain


@pytest.mark.parametrize("stage", Stage)
def test_progress_and_the_seconds_left_are_in_a_row_of_every_width(stage: Stage):
    for width in (80, 100, 140, 200):
        said = row(width, stage=stage)
        assert words.STAGES[stage] in said
        assert "50 %" in said
        assert "10 s" in said
    assert "10 s left" in row(100, stage=stage)
    assert "infer 50 % 10 s left" in row(80)


def test_the_seconds_left_run_down_until_the_stage_speaks_again():
    assert words.seconds_left(RUNNING, NOW) == pytest.approx(10)
    assert words.seconds_left(RUNNING, NOW + 4) == pytest.approx(6)
    assert words.seconds_left(RUNNING, NOW + 60) == 0
    assert words.left(0.0) == "1 s left"
    assert words.left(75.2) == "1:16 left"
    assert words.left(4000.0) == "2 h left"
    assert "%" not in words.doing_until(
        dataclasses.replace(RUNNING, stage=Stage.DEIDENTIFY), 80, 20
    )


def test_each_route_has_its_own_place_and_shows_its_worst_parcel():
    parcels = (
        delivery("registry", "outside_sr", State.ASIDE, "no"),
        delivery("registry", "tiles", State.DONE),
    )
    first = slide("a", Stage.DELIVER, State.ASIDE, deliveries=parcels)
    second = slide(
        "b", Stage.DELIVER, State.DONE, deliveries=(delivery("pacs", "report", State.DONE),)
    )
    for width in (140, 200):
        above, below = row(width, first), row(width, second)
        assert "✕ registry" in above
        assert "● pacs" in below
        assert "pacs" not in above
        assert above.index("✕ registry") > below.index("● pacs")
    assert row(100, first).rstrip().endswith(" ✕")
    assert row(100, second).rstrip().endswith("●")


def test_a_verdict_that_somebody_took_care_of_says_so():
    rescan = slide("a", Stage.DELIVER, State.DONE, verdict=Verdict.RESCAN, reason=FULL_REASON)
    assert "» asked for" in row(140, rescan, mark=Mark.REQUESTED)
    assert "✓ settled" in row(140, rescan, mark=Mark.DONE)
    layout = layout_for(140)
    again = slide_line(rescan, name="S", now=NOW, layout=layout, superseded=True).plain
    assert "» scanned again" in again


def test_the_titles_show_what_slides_are_sorted_by():
    wide = layout_for(200)
    assert "▾" not in titles(wide, Order.URGENCY).plain
    for order, said in [(Order.NAME, "Slide ▾"), (Order.SCANNER, "Scanner ▾"),
                        (Order.TIME, "Time ▾"), (Order.NEWEST, "Came ▾")]:  # fmt: skip
        assert said in titles(wide, order).plain


def test_a_click_on_a_title_asks_for_its_order():
    layout = layout_for(140, ROUTES)
    said = titles(layout).plain
    assert order_at(layout, said.index("Slide")) is Order.NAME
    assert order_at(layout, said.index("Scanner")) is Order.SCANNER
    assert order_at(layout, said.index("Time") + 3) is Order.TIME
    assert order_at(layout, said.index("Verdict")) is Order.URGENCY
    assert order_at(layout, 139) is Order.URGENCY


def test_one_key_sorts_and_goes_to_the_top(literal_app: CoverslipApp, literal_line: Snapshot):
    async def script(pilot: Pilot[None]) -> None:
        pilot.app.post_message(JournalChanged(literal_line))
        await sees(pilot, "Scan again")
        slides = pilot.app.screen.query_one(SlideList)
        await pilot.press("end", "o")
        await sees(pilot, "All slides, the newest first")
        assert slides.selected == slides.visible_slides()[0] == "z8ub5kf7qo"
        await pilot.press("o")
        await sees(pilot, "All slides, by name")
        assert slides.selected == slides.visible_slides()[0] == "w6pa3jv4ny"
        await pilot.press("o", "o", "o")
        await sees(pilot, "Scan again")
        await pilot.click("#titles", offset=(22, 0))
        await sees(pilot, "All slides, by scanner")
        await pilot.click("#titles", offset=(22, 0))
        await sees(pilot, "Scan again")

    drive(literal_app, script, size=(140, 45))


def test_the_cursor_stays_at_its_slide_and_in_sight_while_others_come_above_it(
    literal_app: CoverslipApp, literal_line: Snapshot
):
    async def script(pilot: Pilot[None]) -> None:
        pilot.app.post_message(JournalChanged(literal_line))
        await sees(pilot, "S26-01875-A1")
        slides = pilot.app.screen.query_one(SlideList)
        await pilot.press("end")
        selected = slides.selected
        assert selected == "w6pa3jv4ny"
        come = [
            slide(f"rescan{number}", Stage.DELIVER, State.DONE, verdict=Verdict.RESCAN)
            for number in range(30)
        ]
        more = dataclasses.replace(literal_line, slides=(*come, *literal_line.slides))
        pilot.app.post_message(JournalChanged(more))
        await until(pilot, lambda: len(slides._rows) > 30, "more rows")
        await until(pilot, lambda: selected in slides.visible_slides(), "the cursor's slide")
        assert slides.selected == selected

    drive(literal_app, script, size=(80, 24))


def test_a_terminal_that_is_dragged_shut_and_open_again_shows_the_list_again(
    literal_app: CoverslipApp, literal_line: Snapshot
):
    async def script(pilot: Pilot[None]) -> None:
        pilot.app.post_message(JournalChanged(literal_line))
        await sees(pilot, "Scan again")
        for width, height in ((1, 1), (2, 2), (1, 24), (20, 5), (80, 1)):
            await pilot.resize_terminal(width, height)
            await pilot.press("down")
        await pilot.resize_terminal(140, 45)
        await sees(pilot, "Scan again")

    drive(literal_app, script, size=(140, 45))


def test_a_pause_and_a_drained_line_are_on_top(literal_app: CoverslipApp, literal_line: Snapshot):
    pauses = [
        Pause(daemon=one, at=NOW, operator="sam", reason="") for one in ("deliver@pacs", "node")
    ]

    async def script(pilot: Pilot[None]) -> None:
        paused = dataclasses.replace(literal_line, pauses=tuple(pauses))
        pilot.app.post_message(JournalChanged(paused))
        await sees(pilot, "‖ drained")
        await sees(pilot, "‖ pacs paused")

    drive(literal_app, script, size=(80, 24))


def test_a_container_identifier_that_was_never_shown_is_found_by_enter(
    settings: Settings, journal: Journal, serve: Callable[..., None]
):
    for slide_id in ("wanted", "another"):
        journal.add_slide(slide_id, scanner="scanner-a", last_byte_at=1.0)
    asked: list[str] = []

    def find(_operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(arguments["container_identifier"])
        return {"slide_ids": ["wanted"] if asked[-1] == "S26-7" else []}

    serve("node", {"find": Command(role=Role.TECHNICIAN, run=find)})

    async def script(pilot: Pilot[None]) -> None:
        field = pilot.app.screen.query_one("#filter", Input)
        slides = pilot.app.screen.query_one(SlideList)
        await sees(pilot, "another")
        await pilot.press("slash", *"S26-7")
        await sees(pilot, NO_MATCH[:30])
        assert asked == []
        await pilot.press("enter")
        await until(pilot, lambda: slides.visible_slides() == ("wanted",), "found")
        assert "S26-7" in seen(pilot.app)
        field.value = "S26-8"
        await pilot.press("slash", "enter")
        await sees(pilot, NOT_FOUND[:60])
        assert asked == ["S26-7", "S26-8"]

    drive(CoverslipApp(settings), script)


def test_a_container_identifier_is_not_looked_up_without_the_right(
    settings: Settings, journal: Journal, serve: Callable[..., None]
):
    journal.add_slide("slide", scanner="scanner-a", last_byte_at=1.0)

    def refuse(_operator: Operator, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        raise ForbiddenAction("The action find needs the role technician.")

    serve("node", {"find": Command(role=Role.VIEWER, run=refuse)})

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "receiving")
        await pilot.press("slash", *"S26-7", "enter")
        await sees(pilot, "needs the role technician")

    drive(CoverslipApp(settings), script)


def test_names_are_asked_for_by_the_screenful_once_the_list_rests(
    settings: Settings, serve: Callable[..., None]
):
    seed(settings, 60)
    asked: list[list[str]] = []

    def identify(_operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(arguments["slide_ids"])
        known = {one: {"container_identifier": container(one)} for one in arguments["slide_ids"]}
        return {"slides": known}

    serve("release", {"identify": Command(role=Role.TECHNICIAN, run=identify)})

    async def script(pilot: Pilot[None]) -> None:
        slides = pilot.app.screen.query_one(SlideList)
        await until(pilot, lambda: bool(slides.visible_slides()), "slides")
        await sees(pilot, container(slides.visible_slides()[0]))
        n_before = len(asked)
        for _ in range(28):  # faster than anybody looks
            slides.action_move(1)
        await until(pilot, lambda: len(asked) > n_before, "asked again")
        assert slides.selected is not None
        await sees(pilot, container(slides.selected))

    drive(CoverslipApp(settings), script, size=(80, 24))
    assert max(map(len, asked)) < 24
    assert sum(map(len, asked)) == len({one for some in asked for one in some})
    assert len(asked) < 5, "a question a screenful, not one a line"

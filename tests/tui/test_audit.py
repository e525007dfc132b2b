"""The audit trail: who did what to which slide, live from a real journal."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from appliance.line import Event
from appliance.settings import Settings
from appliance.stores.journal import Journal
from tui.app import CoverslipApp
from tui.audit import OPERATOR, event_line, is_operator, wanted, whole_event
from tui.screens.audit import AuditScreen
from tui.view import View

NOW = 1_790_000_000.0
LIMIT_S = 8.0
DIGEST = "0123456789abcdef" * 4


def event(actor: str, kind: str, text: str, *, slide_id: str | None = None) -> Event:
    return Event(number=7, at=NOW - 60, actor=actor, slide_id=slide_id, kind=kind, text=text)


@pytest.mark.parametrize(
    ("actor", "kind", "person"),
    [
        ("maria", "hold", True),
        ("uid 1007", "identify", True),
        ("node", "complete", False),
        ("deidentify", "stage-done", False),
        ("deliver@pacs", "delivered", False),
        ("siding", "rejoined", False),
        ("notify", "notice-sent", False),
        ("scanner-a", "received", False),
    ],
)
def test_people_are_told_from_daemons_stages_routes_and_scanners(
    actor: str, kind: str, *, person: bool
) -> None:
    it = event(actor, kind, "It was done.")
    assert is_operator(it) is person
    assert (OPERATOR in event_line(it, name="", now=NOW, width=100).plain) is person
    kept = wanted([it], "", operators_only=True, name_of=str)
    assert kept == ([it] if person else [])


def test_events_are_found_by_who_what_slide_and_its_name() -> None:
    it = event("maria", "hold", "The slide was held.", slide_id="abcdefgh23")
    for sought in ("MARIA", "hold", "was held", "abcdefgh", "s26-1 maria"):
        assert wanted([it], sought, operators_only=False, name_of=lambda _: "S26-1")
    assert not wanted([it], "nobody", operators_only=False, name_of=lambda _: "S26-1")


@pytest.mark.parametrize("width", [30, 78, 138])
def test_an_event_fits_its_line_and_a_digest_is_short(width: int) -> None:
    it = event("release", "parcel", f"Parcel for route pacs. Policy {DIGEST}: true_patient.")
    drawn = event_line(it, name="S26-01877-A1", now=NOW, width=width)
    assert drawn.cell_length == width
    whole = whole_event(it, name="S26-01877-A1", width=60).plain
    assert DIGEST not in whole
    assert DIGEST[:12] in whole
    assert "number 7" in whole


def test_what_is_not_of_today_shows_its_day() -> None:
    it = event("maria", "hold", "The slide was held.")
    day = time.strftime("%m-%d", time.localtime(it.at))
    assert day not in event_line(it, name="", now=NOW, width=78).plain
    assert day in event_line(it, name="", now=NOW + 2 * 86_400, width=78).plain


def test_an_event_that_is_committed_late_is_not_missed(settings: Settings) -> None:
    rows = [replace(event("node", "complete", "done"), number=number) for number in (1, 2, 4)]

    class LateBoard:
        """As a journal on PostgreSQL may answer: number 3 comes after number 4."""

        def events(self, *, slide_id: str | None, after: int, newest: int) -> tuple[Event, ...]:
            return tuple(row for row in sorted(rows, key=at_number) if row.number > after)

    view = View(settings=settings, snapshot=None, now=NOW)
    screen = AuditScreen(view, board=LateBoard)  # type: ignore[arg-type]
    assert [one.number for one in screen.read()] == [1, 2, 4]
    rows.append(replace(rows[0], number=3))
    assert [one.number for one in screen.read()] == [3]
    assert screen.read() == []


def at_number(it: Event) -> int:
    return it.number


# On the screen.


def seen(app: CoverslipApp) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def sees(pilot: Pilot[None], text: str, *, is_there: bool = True) -> None:
    end = time.monotonic() + LIMIT_S
    while (text in seen(pilot.app)) is not is_there:  # type: ignore[arg-type]
        assert time.monotonic() < end, f"not within {LIMIT_S} s: {text!r} is there: {is_there}"
        await pilot.pause(0.02)


def drive(app: CoverslipApp, script: Callable[[Pilot[None]], Awaitable[None]]) -> None:
    async def run() -> None:
        async with app.run_test(size=(120, 30)) as pilot:
            await script(pilot)

    asyncio.run(run())


def test_the_trail_is_live_shows_only_people_by_key_and_opens_the_slide(
    settings: Settings, journal: Journal
) -> None:
    journal.add_slide("waitingslide", scanner="scanner-a", last_byte_at=time.time())
    journal.complete("waitingslide", actor="node", reason="all is there")

    async def script(pilot: Pilot[None]) -> None:
        await sees(pilot, "waitings")
        await pilot.press("a")
        await sees(pilot, "The first object arrived.")
        journal.operate("hold", "waitingslide", operator="maria", reason="broken glass")
        await sees(pilot, "Reason: broken glass")
        await pilot.press("o")
        await sees(pilot, "The first object arrived.", is_there=False)
        await sees(pilot, "operators only · 1 of 3 lines")
        await pilot.press("up")
        await sees(pilot, "◆ operator maria · hold · slide waitings · number 3")
        await pilot.press("enter")
        await sees(pilot, "held at assemble")
        await pilot.press("a")
        await sees(pilot, "slide waitings · everyone · 3 lines")

    drive(CoverslipApp(settings), script)

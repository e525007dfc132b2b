"""Letters that come in one go, as over a slow line or from a paste of tmux, are typed, not done."""

import asyncio
import time
from collections.abc import Callable

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from appliance.line import State
from appliance.settings import Settings
from appliance.stores.journal import Journal
from tests.tui.test_app import until
from tui.app import CoverslipApp
from tui.widgets.slide_list import SlideList

AT_ONCE = "/hrxmd/S26-01877"
"""Each of the first letters is the key of an action; the slash is typed the second time."""


def at_once(pilot: Pilot[None], letters: str) -> None:
    """Press keys so that all are there before the first is looked at."""
    for letter in letters:
        key = "slash" if letter == "/" else letter
        pilot.app.post_message(events.Key(key, letter))


@pytest.mark.parametrize("screen", ["worklist", "log"])
def test_a_filter_takes_every_letter_that_comes_with_its_key(
    settings: Settings, journal: Journal, serve: Callable[..., None], screen: str
):
    serve("node")
    (settings.storage.root / "log").mkdir()
    journal.add_slide("waiting", scanner="scanner-a", last_byte_at=time.time())
    journal.complete("waiting", actor="node", reason="all is there")

    async def run() -> None:
        app = CoverslipApp(settings)
        async with app.run_test(size=(140, 45)) as pilot:
            slides = app.screen.query_one(SlideList)
            await until(pilot, lambda: slides.selected == "waiting", "a slide at the cursor")
            if screen == "log":
                await pilot.press("l")
            at_once(pilot, AT_ONCE)
            field = app.screen.query_one("#filter", Input)
            await until(pilot, lambda: field.value == AT_ONCE[1:], f"all of it in {field.value}")
            assert len(app.screen_stack) == (3 if screen == "log" else 2)

    asyncio.run(run())
    slide = journal.board.slide("waiting")
    assert slide is not None
    assert slide.state is State.WAITING

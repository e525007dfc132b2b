"""How the screens look, as SVG: a literal line, never a database."""

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from tui.app import CoverslipApp
from tui.feed import JournalChanged
from tui.snapshot import Snapshot
from tui.story import Story
from tui.view import StoryRead

SIZES = [(80, 24), (140, 45)]
SIZE_NAMES = ["80x24", "140x45"]


@pytest.fixture(autouse=True)
def _utc() -> None:
    """Times of events are drawn in the local time of the terminal."""
    import time

    time.tzset()


@pytest.mark.parametrize("size", SIZES, ids=SIZE_NAMES)
def test_the_worklist(
    snap_compare: Callable[..., Any],
    literal_app: CoverslipApp,
    literal_line: Snapshot,
    literal_story: Story,
    size: tuple[int, int],
):
    async def show(pilot: Pilot[None]) -> None:
        await shown(pilot, literal_line, literal_story)

    assert snap_compare(literal_app, run_before=show, terminal_size=size)


@pytest.mark.parametrize("size", SIZES, ids=SIZE_NAMES)
def test_a_slide_in_full(
    snap_compare: Callable[..., Any],
    literal_app: CoverslipApp,
    literal_line: Snapshot,
    literal_story: Story,
    size: tuple[int, int],
):
    async def show(pilot: Pilot[None]) -> None:
        await shown(pilot, literal_line, literal_story)
        await pilot.press("enter")
        await shown(pilot, literal_line, literal_story)

    assert snap_compare(literal_app, run_before=show, terminal_size=size)


@pytest.mark.parametrize("size", [(80, 68), (140, 58)], ids=["80x68", "140x58"])
def test_the_system_with_the_policy_of_each_route(
    snap_compare: Callable[..., Any],
    literal_app: CoverslipApp,
    literal_line: Snapshot,
    literal_story: Story,
    size: tuple[int, int],
):
    async def show(pilot: Pilot[None]) -> None:
        await shown(pilot, literal_line, literal_story)
        await pilot.press("s")
        await shown(pilot, literal_line, literal_story)

    assert snap_compare(literal_app, run_before=show, terminal_size=size)


async def shown(pilot: Pilot[None], line: Snapshot, story: Story) -> None:
    pilot.app.post_message(JournalChanged(line))
    await pilot.pause()
    pilot.app.post_message(StoryRead(story))
    await pilot.pause()
    await pilot.pause()

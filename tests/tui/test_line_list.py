"""Lines that keep coming: following at the end, and never scrolled away from who reads."""

import asyncio
import re
from collections.abc import Awaitable, Callable

from textual.app import App, ComposeResult
from textual.content import Content
from textual.pilot import Pilot

from tui.widgets.line_list import LineList

MOST = 100


class Lines(App[None]):
    def compose(self) -> ComposeResult:
        yield LineList[int](lambda number, _: Content(f"line {number}"), most=MOST, id="lines")

    def on_mount(self) -> None:
        self.opened: list[object] = []
        self.lines.focus()

    def on_line_list_opened(self, message: LineList.Opened) -> None:
        self.opened.append(message.item)

    @property
    def lines(self) -> LineList[int]:
        return self.query_one("#lines", LineList)

    @property
    def seen(self) -> list[int]:
        """The numbers of the lines that are in sight."""
        strips = self.screen._compositor.render_strips()
        texts = ["".join(segment.text for segment in strip) for strip in strips]
        return [int(found[1]) for text in texts if (found := re.search(r"line (\d+)", text))]


def drive(script: Callable[[Pilot[None], Lines], Awaitable[None]]) -> None:
    async def run() -> None:
        app = Lines()
        async with app.run_test(size=(40, 10)) as pilot:
            await script(pilot, app)

    asyncio.run(run())


def test_it_follows_until_someone_goes_up_and_again_after_end() -> None:
    async def script(pilot: Pilot[None], app: Lines) -> None:
        app.lines.add(range(30))
        await pilot.pause()
        assert app.seen == list(range(20, 30))
        await pilot.press("up", "up")
        assert app.lines.at_cursor == 28
        app.lines.add(range(30, 40))
        await pilot.pause()
        assert app.seen == list(range(20, 30))
        assert app.lines.n_unseen == 10
        await pilot.press("end")
        assert app.seen == list(range(30, 40))
        assert app.lines.following
        assert app.lines.at_cursor is None

    drive(script)


def test_old_lines_that_go_do_not_move_what_is_read() -> None:
    async def script(pilot: Pilot[None], app: Lines) -> None:
        app.lines.add(range(MOST))
        await pilot.press("pageup", "pageup", "pageup", "pageup", "pageup")
        read, at_cursor = app.seen, app.lines.at_cursor
        app.lines.add(range(MOST, MOST + 50))
        await pilot.pause()
        assert app.seen == read
        assert app.lines.at_cursor == at_cursor
        assert app.lines.n_unseen == 50
        app.lines.add(range(MOST + 50, MOST + 130))
        await pilot.pause()
        assert app.seen[0] == 130, "what was read is gone: the oldest that is left"
        assert app.lines.at_cursor == 130

    drive(script)


def test_the_wheel_stops_and_goes_on_like_the_keys() -> None:
    async def script(pilot: Pilot[None], app: Lines) -> None:
        app.lines.add(range(40))
        await pilot.pause()
        app.lines.scroll_to(y=10, animate=False, immediate=True)
        await pilot.pause()
        assert not app.lines.following
        assert app.lines.at_cursor in app.seen
        app.lines.scroll_to(y=30, animate=False, immediate=True)
        await pilot.pause()
        assert app.lines.following

    drive(script)


def test_other_lines_keep_the_cursor_where_its_line_is_still_there() -> None:
    async def script(pilot: Pilot[None], app: Lines) -> None:
        app.lines.add(range(60))
        await pilot.press("up", "up", "up")
        assert app.lines.at_cursor == 57
        app.lines.fill(range(1, 60, 2))
        await pilot.pause()
        assert app.lines.at_cursor == 57
        assert 57 in app.seen
        app.lines.fill(range(0, 60, 2))
        await pilot.pause()
        assert app.lines.following
        assert app.seen[-1] == 58

    drive(script)


def test_a_click_stops_at_a_line_and_enter_opens_it() -> None:
    async def script(pilot: Pilot[None], app: Lines) -> None:
        app.lines.add(range(30))
        await pilot.pause()
        await pilot.click("#lines", offset=(3, 4))
        assert app.lines.at_cursor == 24
        await pilot.press("enter")
        assert app.opened == [24]
        await pilot.press("down", "down", "down", "down", "down")
        assert not app.lines.following
        await pilot.press("down")
        assert app.lines.following
        for size in ((1, 1), (2, 2), (40, 6)):
            await pilot.resize_terminal(*size)
        assert app.seen == [24, 25, 26, 27, 28, 29]

    drive(script)

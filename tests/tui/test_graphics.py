"""Pictures by the terminal's own graphics: what it is asked, what it is sent, and when."""

import asyncio
import base64
import io
import os
import pty
import re
import termios
import threading
from collections.abc import Callable

import pytest
from PIL import Image, ImageChops, ImageStat
from textual.geometry import Region

from tests.tui.conftest import NOW, drawn_picture, literal_details
from tests.tui.test_app import until
from tui.app import CoverslipApp
from tui.feed import JournalChanged
from tui.screens.ask import ConfirmScreen
from tui.terminal import graphics, kitty, sixel
from tui.terminal.graphics import QUESTION, Graphics, Terminal
from tui.view import DetailsTold, StoryRead
from tui.widgets.picture_view import PictureView

FOOT = b"\x1bP>|foot(1.20)\x1b\\\x1b[6;20;10t\x1b[?62;4;22;28c"
KITTY = b"\x1b_Gi=4211;OK\x1b\\\x1bP>|kitty(0.42.1)\x1b\\\x1b[6;36;18t\x1b[?62;52;c"
GNOME = b"\x1bP>|VTE(7802)\x1b\\\x1b[?61;1;21;22;28c"
WEZTERM = b"\x1b_Gi=4211;OK\x1b\\\x1bP>|WezTerm 2024\x1b\\\x1b[6;20;10t\x1b[?65;4;6;18;22c"
SIXELS = re.compile(r"\x1bP0;1;0q.*?\x1b\\", re.DOTALL)


@pytest.mark.parametrize(
    ("answer", "way", "cell"),
    [
        (FOOT, Graphics.SIXEL, (10, 20)),
        (KITTY, Graphics.KITTY, (18, 36)),
        (KITTY.replace(b"0.42.1", b"0.26.5"), Graphics.CELLS, (18, 36)),
        (WEZTERM, Graphics.SIXEL, (10, 20)),
        (GNOME, Graphics.CELLS, (7, 14)),
        (b"\x1b[?1;2c", Graphics.CELLS, (7, 14)),
        (b"\x1b[?64;14c", Graphics.CELLS, (7, 14)),
        (b"", Graphics.CELLS, (7, 14)),
    ],
)
def test_a_terminal_is_understood_by_its_answers(
    answer: bytes, way: Graphics, cell: tuple[int, int]
):
    found = graphics.understood(answer)
    assert found.graphics is way
    assert (found.cell_width, found.cell_height) == cell


@pytest.mark.parametrize(
    ("environ", "way", "drawn"),
    [
        ({}, "auto", Graphics.SIXEL),
        ({}, "kitty", Graphics.KITTY),
        ({}, "cells", Graphics.CELLS),
        ({"NO_COLOR": "1"}, "auto", Graphics.CELLS),
    ],
)
def test_a_terminal_is_asked_once_and_its_keyboard_is_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], way: str, drawn: Graphics
):
    ours, terminals = pty.openpty()
    heard = bytearray()

    def answer() -> None:
        while not heard.endswith(b"\x1b[c"):
            heard.extend(os.read(ours, 1))
        os.write(ours, FOOT)

    side = threading.Thread(target=answer)
    side.start()
    with os.fdopen(terminals, "rb+", buffering=0) as terminal:
        before = termios.tcgetattr(terminals)
        monkeypatch.setattr("sys.stdin", terminal)
        monkeypatch.setattr("sys.stdout", terminal)
        found = graphics.ask({"TERM": "foot"} | environ, way=way, limit_s=5.0)
        side.join()
        assert found == Terminal(graphics=drawn, cell_width=10, cell_height=20, name="foot(1.20)")
        assert bytes(heard) == QUESTION.encode()
        assert termios.tcgetattr(terminals) == before
    os.close(ours)


def test_a_terminal_that_would_not_understand_is_not_asked():
    assert graphics.ask({"TERM": "linux"}) == graphics.ask({}) == Terminal()


def test_sixels_read_back_are_the_picture():
    picture = drawn_picture().resize((161, 100))
    back = read_sixels(sixel.encode(picture), picture.size)
    assert max(ImageStat.Stat(ImageChops.difference(picture, back)).mean) < 4


def test_a_picture_for_kitty_is_a_png_in_small_chunks():
    picture = drawn_picture()
    sent = kitty.transmission(picture, number=7, columns=40, rows=12)
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", sent)
    assert all(len(chunk) <= kitty.CHUNK for _, chunk in chunks)
    assert "i=7,c=40,r=12" in chunks[0][0]
    assert [keys.rpartition("m=")[2] for keys, _ in chunks] == ["1"] * (len(chunks) - 1) + ["0"]
    png = base64.b64decode("".join(chunk for _, chunk in chunks))
    assert not ImageChops.difference(Image.open(io.BytesIO(png)), picture).getbbox()


def test_sixels_come_when_the_screen_is_still_and_never_under_a_dialog(
    shown_slide: Callable[..., CoverslipApp],
):
    async def run() -> None:
        app = shown_slide(Terminal(graphics=Graphics.SIXEL, cell_width=10, cell_height=20))
        async with app.run_test(size=(140, 45)) as pilot:
            await opened(app, pilot)
            assert not SIXELS.search(written(app)), "at first in cells, at once"
            await until(pilot, lambda: bool(SIXELS.search(written(app))), "sixels")
            picture = app.screen.query_one(PictureView)
            room = picture.content_region
            [at] = re.findall(r"\x1b7\x1b\[(\d+);(\d+)H\x1bP", written(app))
            assert room.contains(int(at[1]) - 1, int(at[0]) - 1)
            [sequence] = SIXELS.findall(written(app))
            wide, high = map(int, re.findall(r'"1;1;(\d+);(\d+)', sequence)[0])
            assert wide <= room.width * 10
            assert high <= room.height * 20
            assert "▀" not in written(app)
            half = Region(0, 3, picture.outer_size.width, picture.outer_size.height - 3)
            cut = "".join(strip.render(app.console) for strip in picture.render_lines(half))
            assert "▀" in cut
            assert not SIXELS.search(cut), "a picture that is cut off is drawn in cells"
            app.push_screen(ConfirmScreen("Sure?", "Do it"))
            await until(pilot, lambda: "▀" in written(app), "cells under the dialog")
            assert not SIXELS.search(written(app))

    asyncio.run(run())


def test_a_picture_for_kitty_is_sent_once_and_shown_by_its_cells(
    shown_slide: Callable[..., CoverslipApp], monkeypatch: pytest.MonkeyPatch
):
    sent: list[str] = []
    monkeypatch.setattr(PictureView, "_send", lambda _self, sequence: sent.append(sequence))

    async def run() -> None:
        app = shown_slide(Terminal(graphics=Graphics.KITTY, cell_width=10, cell_height=20))
        async with app.run_test(size=(140, 45)) as pilot:
            await opened(app, pilot)
            await until(pilot, lambda: kitty.PLACEHOLDER in written(app), "placeholders")
            await pilot.press("pagedown", "pageup")
            await pilot.pause()
            assert kitty.PLACEHOLDER in written(app)
            assert len(sent) == 1

    asyncio.run(run())
    assert sent[-1] == kitty.removal(int(re.findall(r"i=(\d+)", sent[0])[0]))


def test_without_colour_a_picture_is_drawn_in_shades(
    shown_slide: Callable[..., CoverslipApp], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NO_COLOR", "1")

    async def run() -> None:
        app = shown_slide(None)
        async with app.run_test(size=(140, 45)) as pilot:
            await opened(app, pilot)
            assert "▒" in written(app)
            assert "▀" not in written(app)

    asyncio.run(run())


@pytest.fixture
def shown_slide(settings, literal_line, literal_story) -> Callable[..., CoverslipApp]:
    def make(terminal: Terminal | None) -> CoverslipApp:
        app = CoverslipApp(settings, clock=lambda: NOW, watch=False, terminal=terminal)
        app.line, app.story = literal_line, literal_story
        return app

    return make


async def opened(app, pilot) -> None:
    app.post_message(JournalChanged(app.line))
    await pilot.pause()
    await pilot.press("enter")
    app.post_message(StoryRead(app.story))
    app.post_message(DetailsTold(app.story.status.slide_id, literal_details()))
    await pilot.pause()


def written(app: CoverslipApp) -> str:
    """All that the terminal would be sent for the screen as it is."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.render(app.console) for strip in strips)


def read_sixels(sequence: str, size: tuple[int, int]) -> Image.Image:
    """Draw a sixel sequence as a terminal does."""
    picture = Image.new("RGB", size)
    colours: dict[int, tuple[int, int, int]] = {}
    body = sequence.removeprefix(f'\x1bP0;1;0q"1;1;{size[0]};{size[1]}').removesuffix("\x1b\\")
    x = top = colour = 0
    token = re.compile(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)(.)|([$-])|(.)")
    for found in token.finditer(body):
        number, red, green, blue, chosen, times, repeated, move, single = found.groups()
        if number is not None:
            colours[int(number)] = tuple(round(int(one) * 2.55) for one in (red, green, blue))
        elif chosen is not None:
            colour = int(chosen)
        elif move is not None:
            x, top = 0, top + 6 * (move == "-")
        else:
            bits = ord(repeated or single) - 63
            end = x + int(times or 1)
            for place in ((x, row) for x in range(x, end) for row in range(6) if bits >> row & 1):
                picture.putpixel((place[0], top + place[1]), colours[colour])
            x = end
    return picture

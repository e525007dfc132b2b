import argparse
import os
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from tui.commands import register
from tui.terminal import picture


def test_a_cell_shows_two_pixels_above_each_other():
    image = Image.new("RGB", (1, 2))
    image.putpixel((0, 0), (255, 0, 0))
    image.putpixel((0, 1), (0, 0, 255))
    ((cell,),) = picture.cells(image, columns=1, rows=1)
    assert cell.upper == (255, 0, 0)
    assert cell.lower == (0, 0, 255)


@pytest.mark.parametrize("size", [(300, 20), (20, 300), (64, 64), (1, 1)])
def test_a_picture_keeps_its_shape_and_stays_in_its_room(size: tuple[int, int]):
    rows = picture.cells(Image.new("RGB", size), columns=40, rows=12)
    assert 1 <= len(rows) <= 12
    assert 1 <= len(rows[0]) <= 40
    assert {len(row) for row in rows} == {len(rows[0])}


def test_the_terminal_text_is_24_bit_colour_and_ends_clean():
    text = picture.ansi(Image.new("RGB", (4, 4), (1, 2, 3)), columns=4)
    first = text.splitlines()[0]
    assert first == "\x1b[38;2;1;2;3;48;2;1;2;3m▀▀▀▀\x1b[0m"


def test_a_picture_is_shown_without_its_title_and_legend(tmp_path: Path):
    image = Image.new("RGB", (60, 80), "white")
    image.paste((200, 30, 90), (10, 20, 50, 50))
    info = PngImagePlugin.PngInfo()
    info.add_text(picture.SLIDE_AREA, "10 20 40 30")
    path = tmp_path / "slide_picture.png"
    image.save(path, pnginfo=info)
    assert picture.load(path).size == (40, 30)


@pytest.mark.parametrize("words", ["", "10 20 400 30", "-1 0 4 4", "1 2 3", "a b c d"])
def test_a_slide_area_that_does_not_fit_is_ignored(tmp_path: Path, words: str):
    info = PngImagePlugin.PngInfo()
    info.add_text(picture.SLIDE_AREA, words)
    path = tmp_path / "p.png"
    Image.new("RGB", (60, 80)).save(path, pnginfo=info)
    assert picture.load(path).size == (60, 80)


def test_empty_glass_around_the_tissue_is_cut_away():
    image = Image.new("RGB", (300, 200), (244, 243, 244))
    image.paste((190, 90, 150), (100, 60, 180, 120))
    cut = picture.around_tissue(image)
    assert 80 <= cut.width <= 110
    assert 60 <= cut.height <= 90
    blank = Image.new("RGB", (50, 50), "white")
    assert picture.around_tissue(blank).size == (50, 50)


def test_what_is_no_picture_is_said_in_one_sentence(tmp_path: Path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    for missing in (path, tmp_path / "none.png"):
        with pytest.raises(picture.PictureUnreadable, match=r"^The picture .* cannot be read\.$"):
            picture.load(missing)


def test_what_a_hostile_daemon_leaves_for_a_picture_is_not_read(tmp_path: Path):
    sound = tmp_path / "sound.png"
    Image.new("L", (10, 10)).save(sound)
    (tmp_path / "link.png").symlink_to(sound)
    os.mkfifo(tmp_path / "fifo.png")
    Image.new("1", (5000, 5000)).save(tmp_path / "large.png")
    for name in ("link.png", "fifo.png", "large.png"):
        with pytest.raises(picture.PictureUnreadable):
            picture.load(tmp_path / name)


def test_the_picture_command_draws_to_plain_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "p.png"
    Image.new("RGB", (64, 32), (10, 200, 30)).save(path)
    assert command("picture", str(path), "--width", "20") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].count("▀") == 20
    monkeypatch.setenv("NO_COLOR", "1")
    assert command("picture", str(path), "--width", "20") == 0
    assert "\x1b" not in capsys.readouterr().out


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    parsed = parser.parse_args(words)
    return int(parsed.run(parsed))

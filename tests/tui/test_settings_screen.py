"""The settings on the screen: checked while someone corrects them, and never a secret."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from appliance.control import Command
from appliance.line import Role
from appliance.settings import check, load
from tui.app import CoverslipApp
from tui.panels.settings import file_lines, rows_of_mistakes, running, state
from tui.screens import settings as screen
from tui.settings_file import HIDDEN, Shown, look, masked

EXAMPLE = (Path(__file__).parents[2] / "docs" / "coverslip.toml").read_text()
LIMIT_S = 8.0


@pytest.mark.parametrize(
    "text",
    [
        'url = "postgresql+psycopg://coverslip:hunter2@db.example/line"',
        'url = "postgresql://db/line?user=x&password=hunter2"',
        'password = "hunter2"',
        "db-password='hunter2'",
        "# token = hunter2",
        'x = { secret_access_key = "hunter2", region = "eu" }',
        '"api_key" = "hunter2"',
        'password = """\nhunter2\n"""',
        "token = [\n 's', 'hunter2',\n]",
        "api-key = 'hunter2'",
        "passwd='hunter2'",
        'bearer = "hunter2',
        "auth = '''hunter2",
        'url = "https://host.example/hook?key=hunter2"',
        'url = "https://host.example/hook?x=1&access_token=hunter2"',
    ],
)
def test_what_looks_like_a_secret_is_hidden_even_in_a_comment(text: str) -> None:
    assert "hunter2" not in masked(text)
    assert HIDDEN in masked(text)
    below = masked(f"[t]\n{text}").split("\n")
    assert len(below) == text.count("\n") + 2, "lines keep their numbers"


def test_the_shipped_example_is_shown_as_it_is() -> None:
    assert masked(EXAMPLE) == EXAMPLE


def test_nothing_in_the_file_is_obeyed_by_the_terminal() -> None:
    text = '# \x1b[2J\n"\\u001b[2J" = 1\n'
    assert "\x1b" not in masked(text)
    assert not any("\x1b" in mistake.sentence for mistake in check(text).mistakes)
    assert masked("a\x1b\tb") == "a·  b"


@pytest.mark.parametrize("width", [40, 78, 138])
def test_each_mistake_stands_below_its_line_and_on_top(width: int) -> None:
    wrong = check(
        EXAMPLE.replace("ae_title", "ae_titel", 1).replace("lease_s = 30.0", "lease_s = 0")
    )
    shown = Shown(text=wrong.text, mistakes=wrong.mistakes)
    rows = file_lines(shown, width=width).plain.splitlines()
    number = next(n for n, row in enumerate(rows) if "ae_titel = " in row)
    assert "mean ae_title?" in " ".join(rows[number + 1 : number + 3])
    assert rows[number].startswith("✕")
    said = " ".join(state(shown, path="coverslip.toml", width=width).plain.split())
    assert "coverslip.toml has 2 mistakes" in said
    assert f"line {EXAMPLE[: EXAMPLE.index('lease_s')].count(chr(10)) + 1}" in said
    assert number in rows_of_mistakes(shown, width=width)
    assert all(len(row) <= width for row in rows)


def seen(app: CoverslipApp) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def sees(pilot: Pilot[None], text: str) -> None:
    end = time.monotonic() + LIMIT_S
    while text not in seen(pilot.app):  # type: ignore[arg-type]
        assert time.monotonic() < end, f"not within {LIMIT_S} s: {text!r}"
        await pilot.pause(0.02)


def drive(app: CoverslipApp, script: Callable[[Pilot[None]], Awaitable[None]]) -> None:
    async def run() -> None:
        async with app.run_test(size=(100, 30)) as pilot:
            await script(pilot)

    asyncio.run(run())


def write(file: Path, text: str | None) -> None:
    """Replace the file at once, as an editor does; None takes it away."""
    if text is None:
        file.unlink()
        return
    replaced = file.with_suffix(".new")
    replaced.write_text(text)
    replaced.rename(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "coverslip.toml"
    path.write_text(
        f'[storage]\nroot = "{tmp_path}"\n[keys]\nfolder = "/k"\n[node]\nport = 11112\n'
        '[journal]\nurl = ""\n'
    )
    return path


def test_it_says_which_daemons_run_by_an_older_file(file: Path, serve: Callable[..., None]) -> None:
    settings = load(file)

    def status(*_: Any) -> dict[str, Any]:
        return {"daemon": "node", "settings": settings.digests}

    serve("node", {"status": Command(role=Role.VIEWER, run=status)})
    file.write_text(file.read_text().replace("11112", "104"))
    app = CoverslipApp(settings, settings_file=file, watch=False)
    root = app.asking._root
    shown = look(file, ["node", "release"], root, settings.digests)
    assert shown.differing == {"this screen": ("node",), "node": ("node",)}
    assert shown.silent == ("release",)
    said = running(shown, width=70).plain
    assert "other [node]" in said
    assert "Restart them" in said
    assert "Not answering: release." in said


def test_the_screen_finds_a_mistake_while_it_is_made_and_again_when_it_is_gone(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "LOOK_EVERY_S", 0.05)
    sound = file.read_text()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("comma")
        await sees(pilot, "coverslip.toml is sound.")
        write(file, sound.replace("port", "prot"))
        await sees(pilot, "has 1 mistake: no daemon starts with it.")
        await sees(pilot, "unknown key node.prot; did you mean port?")
        await sees(pilot, "Next mistake")
        await pilot.press("n")
        write(file, None)
        await sees(pilot, "exist;")
        write(file, sound)
        await sees(pilot, "is sound.")

    drive(CoverslipApp(load(file), settings_file=file, watch=False), script)

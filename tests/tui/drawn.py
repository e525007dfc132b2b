"""Pictures of the screen that were looked at once, and what is drawn now beside them.

One file a screen and size holds an SVG for each theme; four are so alike that together they pack
to little more than one. To look at them, and to take what is drawn now as right:

    COVERSLIP_DRAW=FOLDER python -m pytest tests/tui/test_screens.py

writes each as an SVG into the folder (`rsvg-convert -o x.png x.svg`), and the files anew.
"""

import lzma
import os
from pathlib import Path

from textual.pilot import Pilot

from tui.themes import THEMES

PICTURES = Path(__file__).parent / "pictures"
FOLDER = os.environ.get("COVERSLIP_DRAW")
_HEAD = "<!-- theme {} -->\n"


async def draw_each_theme(pilot: Pilot[None]) -> dict[str, str]:
    """Draw what stands on the screen in every theme."""
    drawn = {}
    for theme in THEMES:
        pilot.app.theme = theme.name
        await pilot.pause()
        drawn[theme.name] = pilot.app.export_screenshot()
    return drawn


def assert_as_looked_at(drawn: dict[str, str], name: str, folder: Path) -> None:
    """Compare with the pictures of this name; leave what differs in a folder."""
    if FOLDER is not None:
        _take(drawn, name, Path(FOLDER))
    expected = _read(name)
    assert set(drawn) == set(expected), "a theme came or went: draw the pictures anew"
    different = [theme for theme in drawn if drawn[theme] != expected[theme]]
    for theme in different:
        (folder / f"{name}-{theme}-now.svg").write_text(drawn[theme], "utf-8")
        (folder / f"{name}-{theme}-before.svg").write_text(expected[theme], "utf-8")
    assert not different, f"{name} looks different in {different}: see {folder} and {__file__}"


def _take(drawn: dict[str, str], name: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for theme, svg in drawn.items():
        (folder / f"{name}-{theme}.svg").write_text(svg, "utf-8")
    together = "".join(_HEAD.format(theme) + svg for theme, svg in drawn.items())
    packed = lzma.compress(together.encode(), preset=9 | lzma.PRESET_EXTREME)
    (PICTURES / f"{name}.svg.xz").write_bytes(packed)


def _read(name: str) -> dict[str, str]:
    file = PICTURES / f"{name}.svg.xz"
    if not file.exists():
        return {}
    _, *parts = lzma.decompress(file.read_bytes()).decode().split("<!-- theme ")
    return dict(part.split(" -->\n", 1) for part in parts)

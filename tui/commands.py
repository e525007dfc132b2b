"""Commands of this package: the screen, and one picture drawn in the terminal."""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError
from appliance.settings import load as load_settings

WIDEST_PICTURE = 100


class NoTerminal(ApplianceError):
    """The screen was started where there is no terminal."""

    code = "no-terminal"
    next_step = "Start it in a terminal; coverslip status is for scripts."


def register(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add `coverslip tui` and `coverslip picture`."""
    screen = subparsers.add_parser("tui", help="the screen: worklist, slide, system, log")
    screen.set_defaults(run=run_tui)
    picture = subparsers.add_parser("picture", help="draw a picture in the terminal")
    picture.add_argument("file", type=Path, metavar="FILE.png")
    picture.add_argument("--width", type=_columns, help="columns to fill (default: the terminal)")
    picture.set_defaults(run=run_picture)


def run_tui(arguments: argparse.Namespace) -> int:
    """Show the screen until the technician leaves it."""
    from tui.app import CoverslipApp

    settings = load_settings(arguments.settings)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoTerminal("The screen needs a terminal.")
    app = CoverslipApp(settings)
    app.run()
    return app.return_code or 0


def run_picture(arguments: argparse.Namespace) -> int:
    """Draw a picture with half cells, or with shades of characters where NO_COLOR is set."""
    from tui import picture

    columns = arguments.width or min(WIDEST_PICTURE, shutil.get_terminal_size().columns)
    image = picture.load(arguments.file)
    draw = picture.shades if os.environ.get("NO_COLOR") else picture.ansi
    print(draw(image, columns=columns))
    return 0


def _columns(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("the width is at least 1 column")
    return number

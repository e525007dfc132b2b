"""Commands of this package: the screen, its words for scripts, a picture, completion."""

import argparse
import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError

SHELLS = ("bash", "zsh", "fish")
WIDEST_PICTURE = 100
EXIT_LEFT = 2
"""The wizard was left before it wrote anything."""


class NoTerminal(ApplianceError):
    """The screen was started where there is no terminal."""

    code = "no-terminal"


def register(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the commands of the screen."""
    screen = subparsers.add_parser("tui", help="the screen: worklist, slide, system, log")
    screen.add_argument(
        "--picture",
        choices=("auto", "kitty", "sixel", "cells"),
        default="auto",
        help="how pictures are drawn (default: as well as the terminal can)",
    )
    screen.set_defaults(run=run_tui)
    setup = subparsers.add_parser("setup", help="the first run: asks, then writes settings, keys")
    setup.set_defaults(run=run_setup)
    _add_status(subparsers.add_parser("status", help="show the slides on the line, for scripts"))
    completion = subparsers.add_parser("completion", help="completion for bash, zsh or fish")
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(run=run_completion)
    picture = subparsers.add_parser("picture", help="draw a picture in the terminal")
    picture.add_argument("file", type=Path, metavar="FILE.png")
    picture.add_argument("--width", type=_columns, help="columns to fill (default: the terminal)")
    picture.set_defaults(run=run_picture)


def _add_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="as values; docs/status.md has the keys"
    )
    parser.add_argument("--all", action="store_true", help="every slide that is done, too")
    parser.add_argument(
        "--names", action="store_true", help="container identifiers; it is noted who asked"
    )
    once = parser.add_mutually_exclusive_group()
    once.add_argument("--watch", action="store_true", help="go on until ^C, and show each change")
    once.add_argument(
        "--attention",
        action="store_true",
        help="exit with 0: all is well, 1: something needs a person, 2: it cannot be told",
    )
    parser.set_defaults(run=run_status)


def run_status(arguments: argparse.Namespace) -> int:
    """Print the line once, or whenever it changes."""
    from tui import status_command

    return status_command.run_status(arguments)


def run_completion(arguments: argparse.Namespace) -> int:
    """Print the script that completes commands and options."""
    from appliance.command import parser
    from tui import completion

    print(completion.script(parser(), arguments.shell))
    return 0


def run_tui(arguments: argparse.Namespace) -> int:
    """Show the screen until the technician leaves it."""
    from appliance.settings import load
    from tui import preferences
    from tui.app import CoverslipApp
    from tui.terminal import graphics

    settings = load(arguments.settings)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoTerminal("The screen needs a terminal.")
    own_file = preferences.place()
    app = CoverslipApp(
        settings,
        settings_file=arguments.settings,
        liked=preferences.read(own_file),
        own_file=own_file,
        terminal=graphics.ask(way=arguments.picture),
    )
    app.run()
    return app.return_code or 0


def run_setup(arguments: argparse.Namespace) -> int:
    """Ask what this laboratory has, write settings and keys, and prove each peer."""
    from tui.wizard import proof
    from tui.wizard.app import SetupApp

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoTerminal("The wizard needs a terminal.")
    done = SetupApp(arguments.settings.absolute(), proof.models()).run()
    if done is None:
        print("Nothing was written.")
        return EXIT_LEFT
    width = shutil.get_terminal_size().columns
    for line in done:
        print(textwrap.fill(line, width, subsequent_indent="  ", break_on_hyphens=False))
    return 0


def run_picture(arguments: argparse.Namespace) -> int:
    """Draw a picture with half cells, or with shades of characters where NO_COLOR is set."""
    from tui.terminal import picture

    columns = arguments.width or min(WIDEST_PICTURE, shutil.get_terminal_size().columns)
    image = picture.load(arguments.file.resolve())
    draw = picture.shades if os.environ.get("NO_COLOR") else picture.ansi
    print(draw(image, columns=columns))
    return 0


def _columns(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("the width is at least 1 column")
    return number

"""`coverslip status`: the worklist for those who script, once or on every change.

One thread follows the journal as the screen does; what it posts is printed here.
"""

import argparse
import json
import shutil
import sys

from appliance.errors import ApplianceError
from tui import status
from tui.changes import Changes
from tui.reading import Reader
from tui.view import View

WELL, NEEDS_PERSON, CANNOT_TELL = 0, 1, 2
HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


class NoJournal(ApplianceError):
    """There is nothing to read the line from."""

    code = "no-journal"


def run_status(arguments: argparse.Namespace) -> int:
    """Print the line; with --attention the exit code says whether somebody is needed."""
    from appliance.settings import load

    try:
        reader = Reader(settings=load(arguments.settings), wants_names=arguments.names)
        return _watch(reader, arguments) if arguments.watch else _once(reader, arguments)
    except ApplianceError as error:
        if not arguments.attention:
            raise
        print(f"coverslip: {error}\n           {error.next_step}", file=sys.stderr)
        return CANNOT_TELL


def _once(reader: Reader, arguments: argparse.Namespace) -> int:
    with reader.views() as views:
        view = next(views)
    if view.lost is not None:
        raise NoJournal(view.lost)
    if arguments.json:
        print(json.dumps(status.values(view), indent=1))
    else:
        for line in status.lines(view, width=_width(), every=arguments.all):
            print(line)
    if not arguments.attention:
        return WELL
    return NEEDS_PERSON if status.needs_person(view) else WELL


def _watch(reader: Reader, arguments: argparse.Namespace) -> int:
    """Print every change until ^C: a screenful on a terminal, else one line for each."""
    width = _width()
    changes = Changes(as_json=arguments.json)
    before: list[str] = []
    try:
        with reader.views() as views:
            for view in views:
                if arguments.json or width is None:
                    for line in changes.news(view):
                        print(line, flush=True)
                    continue
                columns, rows = shutil.get_terminal_size()
                lines = _screenful(view, columns, rows, every=arguments.all)
                if lines != before:
                    before = lines
                    text = "".join(f"{line}{REST_OF_LINE}\n" for line in lines)
                    print(f"{HOME}{text}{REST_OF_SCREEN}", end="", flush=True)
    except KeyboardInterrupt:
        return WELL
    return WELL


def _screenful(view: View, columns: int, rows: int, *, every: bool) -> list[str]:
    lines = list(status.lines(view, width=columns, every=every))
    room = rows - 1
    if len(lines) <= room:
        return lines
    return [*lines[: room - 1], f"and {len(lines) - room + 1:,} more lines"]


def _width() -> int | None:
    """Cells of the terminal; None where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

"""Which graphics the terminal has, asked once before the screen takes it over.

Four questions are sent together: a test picture of kitty's protocol, the terminal's name, the size
of a cell, and what every terminal answers last, its attributes (DA1; 4 among them is sixel).
"""

import fcntl
import os
import re
import select
import struct
import sys
import termios
import time
import tty
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

QUESTION: Final = (
    "\x1b_Gi=4211,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"  # a pixel of kitty's, only to be judged
    "\x1b[>q"  # XTVERSION
    "\x1b[16t"  # the size of a cell
    "\x1b[c"  # DA1
)
AUTO: Final = "auto"
WAIT_S: Final = 1.0
"""Over a slow line an answer takes a while; a terminal answers DA1 always, so this is rare."""
_READ_BYTES: Final = 4096
_ATTRIBUTES: Final = re.compile(rb"\x1b\[\?([0-9;]*)c")
_CELL: Final = re.compile(rb"\x1b\[6;(\d+);(\d+)t")
_NAME: Final = re.compile(rb"\x1bP>\|([^\x1b]*)")
_KITTY_OK: Final = b"\x1b_Gi=4211;OK"
_SIXEL: Final = b"4"
_SHOWS_PLACEHOLDERS: Final = re.compile(
    rb"kitty\((?:[1-9]|0\.(?:2[89]|[3-9]\d))|ghostty", re.IGNORECASE
)
"""kitty since 0.28 and ghostty. Others answer kitty's question and show its placeholders as boxes;
most of them know sixel."""
_WINDOW: Final = struct.Struct("4H")
"""Of TIOCGWINSZ: rows, columns, width and height in pixels."""
_NO_QUESTIONS: Final = ("", "dumb", "linux")


class Graphics(Enum):
    """How a picture is drawn."""

    CELLS = "cells"
    SIXEL = "sixel"
    KITTY = "kitty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """What a picture needs to know of the terminal."""

    graphics: Graphics = Graphics.CELLS
    cell_width: int = 7
    """Pixels; the least that is usual where the terminal does not tell."""
    cell_height: int = 14
    name: str = ""
    """With its version, as it says itself; empty where it does not."""


def ask(
    environ: Mapping[str, str] = os.environ, *, way: str = AUTO, limit_s: float = WAIT_S
) -> Terminal:
    """Ask the terminal at standard input and output; half cells where it does not answer.

    Parameters
    ----------
    environ
        Says which terminal it is, and whether colours are wanted at all.
    way
        How to draw whatever it answers: the value of a `Graphics`, or `AUTO`.
    limit_s
        How long to wait for the answers.
    """
    if environ.get("TERM", "") in _NO_QUESTIONS:
        return Terminal()
    try:
        display = sys.stdout.fileno()
        found = understood(_answer(sys.stdin.fileno(), display, limit_s), _told(display))
    except (OSError, ValueError, termios.error):
        return Terminal()
    chosen = Graphics.CELLS.value if environ.get("NO_COLOR") else way
    return found if chosen == AUTO else replace(found, graphics=Graphics(chosen))


def understood(answer: bytes, cell: tuple[int, int] = (0, 0)) -> Terminal:
    """Read what the terminal answered.

    Parameters
    ----------
    answer
        To the questions.
    cell
        Width and height of a cell in pixels, where it did not answer that; zeros for not known.
    """
    found = _CELL.search(answer)
    width, height = (int(found[2]), int(found[1])) if found else cell
    name = _NAME.search(answer)
    terminal = Terminal(
        graphics=_graphics(answer), name=name[1].decode("ascii", "replace") if name else ""
    )
    if not (width and height):
        return terminal
    return replace(terminal, cell_width=width, cell_height=height)


def _told(display: int) -> tuple[int, int]:
    """Give the size of a cell as the system was told it, rounded down; zeros where it was not."""
    told = fcntl.ioctl(display, termios.TIOCGWINSZ, bytes(_WINDOW.size))
    rows, columns, width, height = _WINDOW.unpack(told)
    return (width // columns, height // rows) if rows and columns else (0, 0)


def _graphics(answer: bytes) -> Graphics:
    name = _NAME.search(answer)
    attributes = _ATTRIBUTES.search(answer)
    if name and _SHOWS_PLACEHOLDERS.match(name[1]) and _KITTY_OK in answer:
        return Graphics.KITTY
    if attributes and _SIXEL in attributes[1].split(b";"):
        return Graphics.SIXEL
    return Graphics.CELLS


def _answer(keyboard: int, display: int, limit_s: float) -> bytes:
    """Send the questions and read until the last one is answered."""
    before = termios.tcgetattr(keyboard)
    end = time.monotonic() + limit_s
    read = b""
    try:
        tty.setcbreak(keyboard, termios.TCSADRAIN)
        os.write(display, QUESTION.encode("ascii"))
        while not _ATTRIBUTES.search(read) and (left_s := end - time.monotonic()) > 0:
            if select.select([keyboard], [], [], left_s)[0]:
                read += os.read(keyboard, _READ_BYTES)
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
    return read

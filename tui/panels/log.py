"""What the log screen says: a line of the log in one row, and the one that is read in full."""

from textual.content import Content

from tui.log_lines import LEVELS, LogLine
from tui.panels.summary import hanging
from tui.rows import fitted, toned

DELIVER = "deliver@"
MEDIUM = 98
NARROW_WIDTHS = (9, 12)
WIDE_WIDTHS = (16, 16)
"""Cells for the daemon and for the slide."""


def log_line(line: LogLine, *, name: str, width: int) -> Content:
    """Draw one line of the log, cut to the width.

    Parameters
    ----------
    line
        What was written.
    name
        How the technician knows the slide it is about; empty for none.
    width
        Cells there are.
    """
    if not line.time:
        return fitted(toned(f"  {line.words}", "quiet"), width)
    level = LEVELS[line.level]
    daemon, slide = NARROW_WIDTHS if width < MEDIUM else WIDE_WIDTHS
    is_plain = level.tone == "quiet"
    return fitted(
        Content.assemble(
            toned(line.time, "quiet"),
            " ",
            toned(level.glyph, level.tone, bold=not is_plain),
            " ",
            fitted(toned(_short(line.daemon, daemon), "quiet"), daemon),
            " ",
            fitted(Content(name), slide),
            " ",
            toned(line.words, "plain" if is_plain else level.tone),
        ),
        width,
    )


def _short(daemon: str, width: int) -> str:
    """Keep the route of a deliver daemon where there is room for little."""
    return daemon if len(daemon) <= width else daemon.replace(DELIVER, "@")


def whole_line(line: LogLine, *, name: str, width: int) -> Content:
    """Draw the line that is read, with all its words."""
    level = LEVELS[line.level]
    about = f" · slide {name}" if name else ""
    head = toned(f"{line.day} {line.time} · {line.daemon} · {level.text}{about}", "quiet")
    words = hanging(toned(f"{level.glyph} ", level.tone, bold=True), line.words, width)
    return Content("\n").join([head, words] if line.time else [words])

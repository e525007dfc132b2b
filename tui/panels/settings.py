"""What the settings screen says: is the file sound, what runs by another one, and its lines."""

from textual.content import Content

from appliance.settings.mistakes import Mistake
from tui.amounts import counted
from tui.panels.summary import hanging, lines
from tui.rows import fitted, toned
from tui.settings_file import Shown

NUMBER_WIDTH = 5
MARK = "✕"
SOUND = "✓"
DIFFERS = "≠"
RESTART = "→ Restart them once the line is empty: they run by the file as it was."
ONCE = "Daemons read the file once, at their start."


def state(shown: Shown, *, path: str, width: int) -> Content:
    """Say whether the file is sound, and each mistake with its line."""
    if shown.unread is not None:
        return toned(f"{MARK} {shown.unread}", "bad", bold=True)
    if not shown.mistakes:
        sound = toned(f"{SOUND} {path} is sound.", "good", bold=True)
        return lines([sound, toned(ONCE, "quiet")])
    n_mistakes = counted(len(shown.mistakes), "mistake")
    parts = [toned(f"{MARK} {path} has {n_mistakes}: no daemon starts with it.", "bad", bold=True)]
    parts.extend(_mistake(one, width) for one in shown.mistakes)
    return lines(parts)


def _mistake(mistake: Mistake, width: int) -> Content:
    where = f"line {mistake.line}" if mistake.line is not None else "missing"
    return hanging(fitted(toned(where, "bad"), 10), mistake.sentence, width)


def running(shown: Shown, *, width: int) -> Content:
    """Say which daemons run by other settings than the file's; a restart makes them read it."""
    parts = [
        hanging(
            Content.assemble(toned(f"{DIFFERS} ", "warn"), fitted(Content(name), 20)),
            f"other [{'], ['.join(tables)}]",
            width,
        )
        for name, tables in (shown.differing or {}).items()
    ]
    if parts:
        parts.append(Content(RESTART))
    if shown.silent:
        parts.append(toned(f"Not answering: {', '.join(shown.silent)}.", "quiet"))
    if not parts:
        parts.append(toned(f"{SOUND} Every daemon runs by this file.", "good"))
    return lines(parts)


def file_lines(shown: Shown, *, width: int) -> Content:
    """Draw the file with its line numbers, each mistake below its line."""
    wrong: dict[int, list[Mistake]] = {}
    for mistake in shown.mistakes:
        wrong.setdefault(mistake.line or 0, []).append(mistake)
    parts: list[Content] = []
    for number, text in enumerate(shown.text.splitlines(), start=1):
        parts.append(_file_line(number, text, is_wrong=number in wrong, width=width))
        parts.extend(_note(mistake, width) for mistake in wrong.get(number, ()))
    return lines(parts)


def rows_of_mistakes(shown: Shown, *, width: int) -> tuple[int, ...]:
    """Give the rows, counted from 0, of the lines that have a mistake, as `file_lines` draws."""
    rows = file_lines(shown, width=width).plain.splitlines()
    return tuple(number for number, row in enumerate(rows) if row.startswith(MARK))


def _file_line(number: int, text: str, *, is_wrong: bool, width: int) -> Content:
    mark = toned(f"{MARK}", "bad", bold=True) if is_wrong else Content(" ")
    label = Content.assemble(mark, toned(f"{number:>{NUMBER_WIDTH - 1}} ", "quiet"), " ")
    return fitted(label + _coloured(text.expandtabs(4)), width)


def _note(mistake: Mistake, width: int) -> Content:
    return hanging(toned(" " * NUMBER_WIDTH + " ↳ ", "bad"), mistake.sentence, width, "bad")


def _coloured(text: str) -> Content:
    """Set comments back, and headers of tables out."""
    code, comment = _parted(text)
    if code.lstrip().startswith("["):
        shown = Content.styled(code, "bold $primary")
    else:
        shown = Content(code)
    return shown + toned(comment, "quiet") if comment else shown


def _parted(text: str) -> tuple[str, str]:
    """Part a line into what counts and its comment; a # between quotation marks is no comment."""
    inside = ""
    for place, sign in enumerate(text):
        if sign == inside:
            inside = ""
        elif not inside and sign in "\"'":
            inside = sign
        elif not inside and sign == "#":
            return text[:place], text[place:]
    return text, ""

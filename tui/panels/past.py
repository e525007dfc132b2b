"""What happened to one slide, and to the glass before it: its events, and the earlier scans."""

import time

from textual.content import Content

from appliance.line import Event, SlideStatus, State
from tui import words
from tui.panels.summary import LABEL_WIDTH, hanging, lines
from tui.rows import fitted, toned
from tui.words import Tone

CLOCK = "%H:%M:%S"
DAY = "%Y-%m-%d"
DAY_AND_CLOCK = "%Y-%m-%d %H:%M"
HERE = "▸ "
ELSEWHERE = "  "


def past(events: tuple[Event, ...], *, now: float, width: int) -> Content:
    """Tell what happened to a slide, the newest first, with the day where it is not today."""
    if not events:
        return toned("Nothing yet.", "quiet")
    parts = []
    day = local(DAY, now)
    for event in reversed(events):
        if (its_day := local(DAY, event.at)) != day:
            day = its_day
            parts.append(toned(day, "quiet"))
        parts.append(_happened(event, width))
    return lines(parts)


def scans(every: tuple[SlideStatus, ...], *, slide_id: str, width: int) -> Content:
    """Tell the scans of a container with their verdicts, the newest first.

    Parameters
    ----------
    every
        Oldest first.
    slide_id
        The one that the screen is about.
    width
        Cells to fill.
    """
    return lines([_scan(one, is_here=one.slide_id == slide_id, width=width) for one in every[::-1]])


def _scan(slide: SlideStatus, *, is_here: bool, width: int) -> Content:
    label = Content.assemble(
        (HERE if is_here else ELSEWHERE, "bold"),
        toned(local(DAY_AND_CLOCK, slide.created_at), "plain" if is_here else "quiet"),
        "  ",
    )
    glyph, text, tone = _outcome(slide)
    return hanging(label, f"{glyph} {text}", width, tone)


def _outcome(slide: SlideStatus) -> tuple[str, str, Tone]:
    """Give glyph, words and tone of what came of a scan."""
    if slide.verdict is None or slide.state is State.ASIDE:
        word = words.STATES[slide.state]
        return (
            word.glyph,
            f"{word.text}  {slide.error or words.short_id(slide.slide_id)}",
            word.tone,
        )
    word = words.VERDICTS[slide.verdict]
    return word.glyph, f"{word.text}  {slide.reason or ''}".rstrip(), word.tone


def _happened(event: Event, width: int) -> Content:
    label = Content.assemble(
        toned(local(CLOCK, event.at), "quiet"),
        " ",
        fitted(toned(event.actor, "quiet"), LABEL_WIDTH),
        " ",
    )
    return hanging(label, words.short_digests(event.text), width)


def local(form: str, at: float) -> str:
    """Write a moment in the terminal's own time zone."""
    return time.strftime(form, time.localtime(at))

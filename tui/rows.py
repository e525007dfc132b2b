"""One slide as one line of the worklist: pure functions from values to styled text."""

from dataclasses import dataclass
from functools import lru_cache

from textual.content import Content

from appliance.line import SlideStatus, State, Verdict
from tui import words
from tui.snapshot import Group
from tui.words import TONES, Tone, Word

MEDIUM = 100
WIDE = 132
MARK_WIDTH = 2
LEAST_BAR = 4
LONGEST_BAR = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Widths of the columns in cells; a width of 0 leaves a column out."""

    name: int
    scanner: int
    connector: str
    """Between two glyphs of the stage line."""
    doing: int
    time: int
    reason: int
    routes: int

    @property
    def line(self) -> int:
        """Width of the stage line."""
        return 6 + 5 * len(self.connector)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The line over a group of slides."""

    group: Group
    n_slides: int


def layout_for(width: int) -> Layout:
    """Choose columns for a terminal of this width, from 80 cells up."""
    if width < MEDIUM:
        fixed = Layout(name=14, scanner=0, connector="─", doing=19, time=0, reason=0, routes=0)
    elif width < WIDE:
        fixed = Layout(name=16, scanner=11, connector="─", doing=20, time=7, reason=0, routes=0)
    else:
        fixed = Layout(name=16, scanner=10, connector="──", doing=21, time=7, reason=0, routes=20)
    used = MARK_WIDTH + sum(
        column + 1
        for column in (fixed.name, fixed.scanner, fixed.line, fixed.doing, fixed.time, fixed.routes)
        if column
    )
    return Layout(
        name=fixed.name,
        scanner=fixed.scanner,
        connector=fixed.connector,
        doing=fixed.doing,
        time=fixed.time,
        reason=max(8, width - used - 1),
        routes=fixed.routes,
    )


def toned(text: str, tone: Tone, *, bold: bool = False) -> Content:
    """Give text the colour of its tone."""
    return Content.styled(text, f"bold {TONES[tone]}" if bold else TONES[tone])


def fitted(content: Content, width: int) -> Content:
    """Cut or fill to exactly so many cells."""
    return content.truncate(width, ellipsis=True, pad=True)


def titles(layout: Layout) -> Content:
    """Give the column titles."""
    return _joined(
        layout,
        name=Content("Slide"),
        scanner=Content("Scanner"),
        line=Content("Line"),
        doing=Content("Now"),
        time=Content("Time"),
        reason=Content("Verdict"),
        routes=Content("Routes"),
    )


@lru_cache(maxsize=256)
def heading(row: Heading, width: int) -> Content:
    """Draw the line over a group."""
    group = row.group
    title = f" {group.title} "
    number = f"{row.n_slides} "
    rule = "─" * max(0, width - len(title) - len(number) - 1)
    return Content.assemble(
        toned(title, group.tone, bold=True), toned(number, group.tone), toned(rule, "quiet")
    )


def slide_line(slide: SlideStatus, *, name: str, now: float, layout: Layout) -> Content:
    """Draw one slide; the same object again while nothing of what it says has changed."""
    took = words.duration(_time_s(slide, now))
    return _slide_line(slide, name, words.doing(slide, now), took, layout)


@lru_cache(maxsize=2048)
def _slide_line(slide: SlideStatus, name: str, doing: str, took: str, layout: Layout) -> Content:
    return _joined(
        layout,
        name=Content.styled(name, "bold"),
        scanner=toned(slide.scanner, "quiet"),
        line=stage_line(slide, layout.connector),
        doing=_doing(slide, doing, layout.doing),
        time=toned(took, "quiet"),
        reason=verdict_and_reason(slide),
        routes=_routes(slide),
    )


def stage_line(slide: SlideStatus, connector: str) -> Content:
    """Draw where a slide is on the line, one glyph a stage."""
    glyphs = words.stage_glyphs(slide.stage, slide.state)
    parts: list[Content] = []
    for number, word in enumerate(glyphs):
        if number:
            passed = glyphs[number - 1] is words.STATES[State.DONE]
            parts.append(toned(connector, glyphs[number - 1].tone if passed else "quiet"))
        parts.append(_glyph(word))
    return Content("").join(parts)


def verdict_and_reason(slide: SlideStatus) -> Content:
    """Say the verdict and why, or what is wrong."""
    parts: list[Content] = []
    if slide.verdict is not None:
        word = words.VERDICTS[slide.verdict]
        parts.append(toned(f"{word.glyph} {word.text}", word.tone, bold=True))
    # A good slide needs no reason in a list; a problem always says why.
    if slide.error:
        tone: Tone = "bad" if slide.state is State.ASIDE else "warn"
        parts.append(toned(slide.error, tone))
    elif slide.reason and slide.verdict is not Verdict.ACCEPT:
        parts.append(Content(slide.reason))
    return Content("  ").join(parts)


def _joined(layout: Layout, **columns: Content) -> Content:
    parts = [
        fitted(columns[column], width)
        for column in ("name", "scanner", "line", "doing", "time", "reason", "routes")
        if (width := getattr(layout, column))
    ]
    return Content.assemble(" " * MARK_WIDTH, Content(" ").join(parts))


def _glyph(word: Word) -> Content:
    return toned(word.glyph, word.tone, bold=word.tone in ("bad", "busy"))


def _doing(slide: SlideStatus, text: str, width: int) -> Content:
    tone = words.STATES[slide.state].tone
    if slide.state is not State.RUNNING or not slide.progress:
        return toned(text, tone)
    stage = words.STAGES[slide.stage]
    percent = f"{100 * slide.progress:3.0f} %"
    room = min(LONGEST_BAR, width - len(stage) - len(percent) - 2)
    if room < LEAST_BAR:
        return toned(text, tone)
    filled, rest = words.bar(slide.progress, room)
    return Content.assemble(
        toned(f"{stage} ", tone),
        toned(filled, tone),
        toned(rest, "quiet"),
        toned(f" {percent}", tone),
    )


def _time_s(slide: SlideStatus, now: float) -> float:
    """Seconds from the last byte to the verdict, or until now while there is none."""
    if slide.verdict_at is not None:
        return slide.verdict_at - slide.last_byte_at
    return (slide.updated_at if slide.state is State.ASIDE else now) - slide.last_byte_at


def _routes(slide: SlideStatus) -> Content:
    parts = []
    for delivery in slide.deliveries:
        word = words.DELIVERIES[delivery.state]
        parts.append(Content.assemble(_glyph(word), f" {delivery.route}"))
    return Content("  ").join(parts)

"""One slide as one line of the worklist: pure functions from values to styled text."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from textual.content import Content

from appliance.line import SlideStatus, State, Verdict
from tui import amounts, words
from tui.arrangement import Order
from tui.snapshot import Group
from tui.words import TONES, Tone, Word

MEDIUM = 100
WIDE = 132
BROAD = 176
MARK_WIDTH = 2
LEAST_BAR = 4
LONGEST_BAR = 10
SENT = "Sent"
CAME = "%d %b %H:%M"
WORST = (State.DONE, State.RECEIVING, State.HELD, State.WAITING, State.RUNNING, State.ASIDE)
"""Of several parcels on one route the state that comes last here is shown."""
NOTHING = Content(" ")
"""Where nothing was handed to a route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Widths of the columns in cells; a width of 0 leaves a column out."""

    name: int
    scanner: int
    connector: str
    """Between two glyphs of the stage line."""
    doing: int
    time: int
    came: int
    """When the first object came, as date and time."""
    sent: int
    """What became of each route's parcels."""
    reason: int = 0
    """The verdict and why; takes what is left."""
    routes: tuple[str, ...] = ()
    """Each has its place in the column `sent`, so that the eye can go down a column."""

    @property
    def line(self) -> int:
        """Width of the stage line."""
        return 6 + 5 * len(self.connector)

    @property
    def names_routes(self) -> bool:
        """Whether there is room for the names of the routes beside their glyphs."""
        return sum(len(route) + 2 for route in self.routes) + len(self.routes) - 1 <= self.sent


NARROW_COLUMNS = Layout(name=14, scanner=0, connector="─", doing=21, time=0, came=0, sent=0)
MEDIUM_COLUMNS = Layout(name=16, scanner=11, connector="─", doing=20, time=9, came=0, sent=4)
WIDE_COLUMNS = Layout(name=16, scanner=10, connector="──", doing=22, time=9, came=0, sent=20)
BROAD_COLUMNS = Layout(name=20, scanner=14, connector="───", doing=28, time=9, came=12, sent=30)
COLUMNS = ("name", "scanner", "line", "doing", "time", "came", "reason", "sent")
SORTED_BY: Mapping[Order, str] = MappingProxyType(
    {Order.NEWEST: "came", Order.NAME: "name", Order.SCANNER: "scanner", Order.TIME: "time"}
)
"""The column whose title shows the order, where that column is there."""
ORDERS: Mapping[Order, str] = MappingProxyType(
    {
        Order.URGENCY: "What needs you first",
        Order.NEWEST: "All slides, the newest first",
        Order.NAME: "All slides, by name",
        Order.SCANNER: "All slides, by scanner",
        Order.TIME: "All slides, what took longest first",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The line over a group of slides."""

    group: Group
    n_slides: int


@lru_cache(maxsize=16)
def layout_for(width: int, routes: tuple[str, ...] = ()) -> Layout:
    """Choose columns for a terminal of this width, from 80 cells up, and for these routes."""
    if width < MEDIUM:
        columns = NARROW_COLUMNS
    elif width < WIDE:
        columns = MEDIUM_COLUMNS
    else:
        columns = WIDE_COLUMNS if width < BROAD else BROAD_COLUMNS
    columns = replace(columns, routes=routes)
    if columns.sent and not columns.names_routes:
        columns = replace(columns, sent=max(len(SENT), len(routes)))
    widths = [getattr(columns, column) for column in COLUMNS if column != "reason"]
    used = MARK_WIDTH + sum(column + 1 for column in widths if column)
    return replace(columns, reason=max(8, width - used - 1))


def toned(text: str, tone: Tone, *, bold: bool = False) -> Content:
    """Give text the colour of its tone."""
    return Content.styled(text, f"bold {TONES[tone]}" if bold else TONES[tone])


def fitted(content: Content, width: int) -> Content:
    """Cut or fill to exactly so many cells."""
    return content.truncate(width, ellipsis=True, pad=True)


def titles(layout: Layout, order: Order = Order.URGENCY) -> Content:
    """Give the column titles, with a mark at the one that slides are sorted by."""
    said = {
        "name": "Slide",
        "scanner": "Scanner",
        "line": "Line",
        "doing": "Now",
        "time": "Time",
        "came": "Came",
        "reason": "Verdict",
        "sent": SENT,
    }
    by = SORTED_BY.get(order)
    return _joined(
        layout,
        **{
            column: Content.styled(f"{title} ▾", "bold") if column == by else Content(title)
            for column, title in said.items()
        },
    )


def order_at(layout: Layout, cell: int) -> Order:
    """Give the order that a click on the titles asks for: of that column, else what is urgent."""
    orders = {column: order for order, column in SORTED_BY.items()}
    end = MARK_WIDTH
    for column in COLUMNS:
        width: int = getattr(layout, column)
        end += width + 1 if width else 0
        if width and cell < end:
            return orders.get(column, Order.URGENCY)
    return Order.URGENCY


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


def slide_line(
    slide: SlideStatus, *, name: str, now: float, layout: Layout, superseded: bool = False
) -> Content:
    """Draw one slide; the same object again while nothing of what it says has changed."""
    left_s = words.seconds_left(slide, now)
    took = words.left(left_s) if left_s is not None else amounts.duration(_time_s(slide, now))
    doing = words.doing(slide, now)
    if left_s is not None and not layout.time:
        doing = words.doing_until(slide, left_s, layout.doing)
    return _slide_line(slide, name, doing, took, layout, superseded)


@lru_cache(maxsize=1024)
def _slide_line(  # noqa: PLR0917  a function with a cache takes its arguments by place
    slide: SlideStatus,
    name: str,
    doing: str,
    took: str,
    layout: Layout,
    superseded: bool,  # noqa: FBT001
) -> Content:
    came = time.strftime(CAME, time.localtime(slide.created_at)) if layout.came else ""
    is_running = slide.state is State.RUNNING and slide.progress > 0
    return _joined(
        layout,
        name=Content.styled(name, "bold"),
        scanner=toned(slide.scanner, "quiet"),
        line=stage_line(slide, layout.connector),
        doing=_doing(slide, doing, layout),
        time=toned(took, "busy" if is_running else "quiet"),
        came=toned(came, "quiet"),
        reason=verdict_and_reason(slide, superseded=superseded),
        sent=_sent(slide, layout),
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


def verdict_and_reason(slide: SlideStatus, *, superseded: bool = False) -> Content:
    """Say the verdict, what was done about it and why, or what is wrong."""
    parts: list[Content] = []
    settled = superseded or slide.mark is not None
    if slide.verdict is not None:
        word = words.VERDICTS[slide.verdict]
        tone: Tone = "quiet" if settled else word.tone
        parts.append(toned(f"{word.glyph} {word.text}", tone, bold=not settled))
    if superseded:
        parts.append(toned(f"{words.SUPERSEDED.glyph} {words.SUPERSEDED.text}", "quiet"))
    elif slide.mark is not None:
        word = words.MARKS[slide.mark]
        parts.append(toned(f"{word.glyph} {word.text}", word.tone))
    # A good slide needs no reason in a list; a problem always says why.
    if slide.error:
        tone = "bad" if slide.state is State.ASIDE else "warn"
        parts.append(toned(slide.error, tone))
    elif slide.reason and slide.verdict is not Verdict.ACCEPT:
        parts.append(Content(slide.reason))
    return Content("  ").join(parts)


def _joined(layout: Layout, **columns: Content) -> Content:
    parts = [
        fitted(columns[column], width) for column in COLUMNS if (width := getattr(layout, column))
    ]
    return Content.assemble(" " * MARK_WIDTH, Content(" ").join(parts))


def _glyph(word: Word) -> Content:
    return toned(word.glyph, word.tone, bold=word.tone in ("bad", "busy"))


def _doing(slide: SlideStatus, text: str, layout: Layout) -> Content:
    tone = words.STATES[slide.state].tone
    # Without a column for the seconds left they are in the text, and there is no room for a bar.
    if slide.state is not State.RUNNING or not slide.progress or not layout.time:
        return toned(text, tone)
    stage = words.STAGES[slide.stage]
    percent = f"{100 * slide.progress:3.0f} %"
    room = min(LONGEST_BAR, layout.doing - len(stage) - len(percent) - 2)
    if room < LEAST_BAR:
        return toned(text, tone)
    filled, rest = amounts.bar(slide.progress, room)
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


def _sent(slide: SlideStatus, layout: Layout) -> Content:
    """Show what became of each route's parcels, each route at its own place."""
    states: dict[str, State] = {}
    for delivery in slide.deliveries:
        known = states.get(delivery.route, State.DONE)
        states[delivery.route] = max(known, delivery.state, key=WORST.index)
    if layout.names_routes:
        return Content(" ").join([_route(route, states.get(route)) for route in layout.routes])
    return Content("").join(
        [
            _glyph(words.DELIVERIES[states[one]]) if one in states else NOTHING
            for one in layout.routes
        ]
    )


def _route(route: str, state: State | None) -> Content:
    if state is None:
        return Content(" " * (len(route) + 2))
    word = words.DELIVERIES[state]
    return Content.assemble(_glyph(word), toned(f" {route}", "quiet"))

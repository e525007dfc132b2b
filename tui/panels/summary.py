"""What the screens say of one slide in a few lines: pure, from values to styled text."""

import textwrap
from collections.abc import Callable
from types import MappingProxyType

from textual.content import Content

from appliance.line import DeliveryStatus, Mark, SlideStatus, State
from tui import amounts, words
from tui.rows import fitted, stage_line, toned
from tui.words import Tone

LABEL_WIDTH = 12
"""Cells of the labels that stand left of a card's lines."""
LEAST_TEXT = 12
MARKED = MappingProxyType(
    {Mark.REQUESTED: "The rescan was asked for", Mark.DONE: "The verdict was settled"}
)
"""What was done about a verdict, before how long ago that was."""
NEWLINE = "\n"


def lines(parts: list[Content]) -> Content:
    """Put lines under each other."""
    return Content(NEWLINE).join(parts)


def headline(slide: SlideStatus) -> Content:
    """Say the verdict in words, large."""
    if slide.verdict is None:
        return toned("No verdict yet.", "quiet")
    word = words.VERDICTS[slide.verdict]
    sentence = words.VERDICT_SENTENCES[slide.verdict]
    head = toned(f"{word.glyph} {word.text.upper()}", word.tone, bold=True)
    return Content.assemble(head, "  ", (sentence, "bold"), f"  {slide.reason or ''}")


def head(slide: SlideStatus, now: float) -> Content:
    """Say where a slide is, its verdict, what was noted about it, and where it comes from."""
    parts = [where(slide, now), headline(slide)]
    if slide.mark is not None:
        parts.append(marked(slide.mark, now - (slide.marked_at or now)))
    return lines([*parts, facts(slide, now)])


def marked(mark: Mark, ago_s: float) -> Content:
    """Say what a technician noted about the verdict."""
    word = words.MARKS[mark]
    what = f"{word.glyph} {MARKED[mark]}"
    return toned(f"{what} {amounts.age(ago_s)}", word.tone)


def where(slide: SlideStatus, now: float) -> Content:
    """Say where a slide is, and how long its stage still takes where that can be told."""
    word = words.STATES[slide.state]
    left_s = words.seconds_left(slide, now)
    left = "" if left_s is None else f", about {words.left(left_s)}"
    said = toned(f"{words.where(slide, now)}{left}", word.tone, bold=True)
    return Content.assemble(stage_line(slide, "──"), "  ", said)


def trouble(slide: SlideStatus) -> Content | None:
    """Say what is wrong and what to do, when something is."""
    if slide.error is None and slide.state not in (State.ASIDE, State.HELD):
        return None
    cause = slide.error or f"The slide is {words.STATES[slide.state].text}."
    tone: Tone = "bad" if slide.state is State.ASIDE else "warn"
    return lines(
        [
            Content.assemble(toned(words.STATES[slide.state].glyph, tone), " ", toned(cause, tone)),
            Content.assemble(("→ ", "bold"), words.next_step(slide)),
        ]
    )


def summary(
    slide: SlideStatus, *, now: float, superseded: bool, describe: Callable[[str], str]
) -> Content:
    """Say in a few lines what a technician wants to know about the slide at the cursor."""
    parts = [where(slide, now)]
    if slide.verdict is not None or slide.error is None:
        parts.append(headline(slide))
    wrong = trouble(slide)
    if wrong is not None:
        parts.append(wrong)
    if superseded:
        parts.append(toned("This container was scanned again since.", "quiet"))
    elif slide.supersedes:
        before = describe(slide.supersedes)
        parts.append(toned(f"This is a new scan; the earlier one is {before}.", "quiet"))
    if slide.deliveries:
        parts.append(Content("   ").join([_delivery_short(item) for item in slide.deliveries]))
    parts.append(facts(slide, now))
    return lines(parts)


def facts(slide: SlideStatus, now: float) -> Content:
    """Say where a slide comes from and what it is called inside."""
    revision = f" · revision {slide.revision}" if slide.revision > 1 else ""
    came = amounts.age(now - slide.created_at)
    text = f"from {slide.scanner}, {came}{revision} · id {words.short_id(slide.slide_id)}"
    return toned(text, "quiet")


def _delivery_short(delivery: DeliveryStatus) -> Content:
    word = words.DELIVERIES[delivery.state]
    return Content.assemble(
        toned(f"{word.glyph} ", word.tone), delivery.route, toned(f" {word.text}", "quiet")
    )


def hanging(label: Content, text: str, width: int, tone: Tone = "plain") -> Content:
    """Put text beside a label; its further lines begin under its first."""
    indent = label.cell_length
    room = max(LEAST_TEXT, width - indent)
    wrapped = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    rest = [Content.assemble(" " * indent, toned(line, tone)) for line in wrapped[1:]]
    return lines([Content.assemble(label, toned(wrapped[0], tone)), *rest])


def labelled(label: str, text: str, width: int, tone: Tone = "plain") -> Content:
    """Put text beside a quiet label of a card's width."""
    return hanging(fitted(toned(label, "quiet"), LABEL_WIDTH), text, width, tone)

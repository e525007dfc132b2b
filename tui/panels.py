"""What the screens say about one slide and about the line: pure, from values to styled text."""

import textwrap
import time
from collections.abc import Callable, Mapping

from textual.content import Content

from appliance.line import DeliveryStatus, Event, SlideStatus, Stage, State
from appliance.slides.classes import ARTIFACTS, SlideClass
from appliance.slides.findings import Findings, TileResult
from tui import words
from tui.rows import fitted, stage_line, toned
from tui.story import Span, Story
from tui.words import Tone

Limits = Mapping[str, float]

LABEL_WIDTH = 12
LEAST_SCALE = 0.30
"""Bars of artifacts are full at this share of the tissue, or at the largest one."""
NUMBERS_WIDTH = 19
LEAST_TEXT = 12
LONGEST_BAR = 44
DARK_LEVEL = 60
CLOCK = "%H:%M:%S"
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
    """Say where a slide is, its verdict, and where it comes from."""
    return lines([where(slide, now), headline(slide), facts(slide, now)])


def where(slide: SlideStatus, now: float) -> Content:
    """Say where a slide is."""
    word = words.STATES[slide.state]
    return Content.assemble(
        stage_line(slide, "──"), "  ", toned(words.where(slide, now), word.tone, bold=True)
    )


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
    came = words.age(now - slide.created_at)
    text = f"from {slide.scanner}, {came}{revision} · id {words.short_id(slide.slide_id)}"
    return toned(text, "quiet")


def areas(findings: Findings | None, limits: Limits, *, width: int) -> Content:
    """Draw area and share of each artifact as bars, with the limit that asks for a rescan.

    Parameters
    ----------
    findings
        What inference found; None while it has not.
    limits
        Share of the tissue from which an artifact asks for a rescan, by its key.
    width
        Cells to fill.
    """
    if findings is None:
        return toned("Not measured yet.", "quiet")
    found = [findings.artifact(kind) for kind in ARTIFACTS]
    scale = max([LEAST_SCALE, *(area.share_of_tissue for area in found)])
    room = max(4, min(LONGEST_BAR, width - LABEL_WIDTH - 3 - NUMBERS_WIDTH))
    parts = [
        Content.assemble(
            fitted(Content("  tissue"), LABEL_WIDTH + 3),
            (f"{findings.tissue_area_mm2:.1f} mm²", "bold"),
        )
    ]
    for kind, area in zip(ARTIFACTS, found, strict=True):
        limit = limits.get(kind.key)
        over = limit is not None and area.share_of_tissue >= limit
        tone: Tone = "bad" if over else "plain" if area.share_of_tissue else "quiet"
        number = f"{words.share(area.share_of_tissue):>7}{area.area_mm2:8.2f} mm²"
        parts.append(
            Content.assemble(
                swatch(kind),
                fitted(Content(kind.look.words), LABEL_WIDTH + 1),
                _limit_bar(area.share_of_tissue, limit, scale=scale, width=room, tone=tone),
                toned(number, tone, bold=over),
            )
        )
    parts.append(toned("│ from here on: scan again", "quiet"))
    return lines(parts)


def swatch(kind: SlideClass) -> Content:
    """Show the colour that an artifact has in the picture."""
    red, green, blue = kind.look.rgb
    # On a dark screen a dark colour is only seen on the white of the glass.
    ground = " on rgb(245,243,245)" if max(red, green, blue) < DARK_LEVEL else ""
    return Content.assemble(("■", f"rgb({red},{green},{blue}){ground}"), " ")


def _limit_bar(
    share: float, limit: float | None, *, scale: float, width: int, tone: Tone
) -> Content:
    filled, rest = words.bar(share / scale, width)
    bar = Content.assemble(toned(filled, tone), toned(" " * len(rest), "quiet"))
    if limit is None or limit > scale:
        return bar
    place = min(width - 1, round(limit / scale * width))
    return Content.assemble(bar[:place], toned("│", "quiet"), bar[place + 1 :])


def timeline(story: Story, *, now: float, width: int) -> Content:
    """Draw when each stage ran, as bars under each other, each beginning where the last ended."""
    spans = story.spans
    first = spans[0].began_at
    ended = max(span.ended_at or now for span in spans)
    whole_s = max(ended - first, 0.001)
    room = max(8, width - LABEL_WIDTH - 12)
    parts = [
        _span_line(span, first=first, whole_s=whole_s, room=room, story=story, now=now)
        for span in spans
    ]
    status = story.status
    if status.verdict_at is not None:
        took = words.duration(status.verdict_at - status.last_byte_at)
        parts.append(toned(f"Verdict {took} after the last byte.", "quiet"))
    return lines(parts)


def _span_line(
    span: Span, *, first: float, whole_s: float, room: int, story: Story, now: float
) -> Content:
    open_now = story.status.state in (State.RUNNING, State.RECEIVING)
    word = words.STATES[State.DONE if span.ended_at is not None else story.status.state]
    ended = span.ended_at if span.ended_at is not None else now
    left = min(room - 1, int((span.began_at - first) / whole_s * room))
    length = max(1, min(room - left, round((ended - span.began_at) / whole_s * room)))
    took = words.duration(ended - span.began_at)
    if span.ended_at is None and not open_now:
        took = word.text
    name = words.STAGES[Stage(span.name)] if span.name in list(Stage) else span.name
    return Content.assemble(
        toned(word.glyph, word.tone),
        " ",
        fitted(Content(name), LABEL_WIDTH),
        " " * left,
        toned("━" * length, word.tone),
        " " * (room - left - length),
        f"{took:>10}",
    )


def deliveries(
    slide: SlideStatus, now: float, sent_under: Callable[[DeliveryStatus], str]
) -> Content:
    """Say what went where and under which policy, or why it did not."""
    if not slide.deliveries:
        return toned("Nothing has been handed to a route yet.", "quiet")
    parts = []
    for delivery in slide.deliveries:
        word = words.DELIVERIES[delivery.state]
        when = words.age(now - delivery.updated_at)
        parts.append(
            Content.assemble(
                toned(word.glyph, word.tone),
                " ",
                fitted(Content.styled(delivery.route, "bold"), LABEL_WIDTH),
                toned(f"{word.text} ", word.tone),
                toned(f"{words.kind(delivery)} · {when}", "quiet"),
            )
        )
        policy = sent_under(delivery)
        if policy:
            parts.append(toned(f"{' ' * (LABEL_WIDTH + 2)}{policy}", "quiet"))
        if delivery.error:
            parts.append(toned(f"  {delivery.error}", "bad"))
    return lines(parts)


def _delivery_short(delivery: DeliveryStatus) -> Content:
    word = words.DELIVERIES[delivery.state]
    return Content.assemble(
        toned(f"{word.glyph} ", word.tone), delivery.route, toned(f" {word.text}", "quiet")
    )


def past(events: tuple[Event, ...], *, width: int) -> Content:
    """Tell what happened to a slide, the newest first."""
    if not events:
        return toned("Nothing yet.", "quiet")
    return lines(
        [
            hanging(
                Content.assemble(
                    toned(time.strftime(CLOCK, time.localtime(event.at)), "quiet"),
                    " ",
                    fitted(toned(event.actor, "quiet"), LABEL_WIDTH),
                    " ",
                ),
                event.text,
                width,
            )
            for event in reversed(events)
        ]
    )


def hanging(label: Content, text: str, width: int) -> Content:
    """Put text beside a label; its further lines begin under its first."""
    indent = label.cell_length
    wrapped = textwrap.wrap(text, max(LEAST_TEXT, width - indent)) or [""]
    rest = [Content(" " * indent + line) for line in wrapped[1:]]
    return lines([label.append(wrapped[0]), *rest])


def models(findings: Findings | None) -> Content | None:
    """Say which models ran, and what they warned of."""
    if findings is None:
        return None
    used = [
        toned(f"{model.name} {model.version} {model.where}, {model.um_px:g} µm/px", "quiet")
        for model in findings.models
    ]
    estimates = [
        toned(_remote(result), "plain") for result in findings.tile_results if result.remote
    ]
    warned = [toned(f"! {warning}", "warn") for warning in findings.warnings]
    return lines([*warned, *estimates, *used])


def _remote(result: TileResult) -> str:
    """Say what a remote model found, and whether it is an estimate."""
    said = f"{result.title} {words.share(result.share_of_tissue)} of the tissue"
    remote = result.remote
    if remote is None or remote.low is None or remote.high is None:
        return said
    between = f"{words.share(remote.low)} to {words.share(remote.high)}"
    return f"{said}, an estimate ({between}) from {words.share(remote.seen_share)} of it"

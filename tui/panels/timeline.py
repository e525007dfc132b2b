"""When each stage of a slide ran: bars under each other, each beginning where the last ended."""

from textual.content import Content

from appliance.line import Stage, State
from tui import amounts, words
from tui.panels.summary import LABEL_WIDTH, lines
from tui.rows import fitted, toned
from tui.story import Span, Story


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
    left_s = words.seconds_left(status, now)
    if left_s is not None:
        stage, share = words.STAGES[status.stage], amounts.share(status.progress)
        parts.append(toned(f"{stage} {share}, about {words.left(left_s)}.", "busy"))
    if status.verdict_at is not None:
        took = amounts.duration(status.verdict_at - status.last_byte_at)
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
    took = amounts.duration(ended - span.began_at)
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

"""The worklist as plain text and as values for scripts: the same words in the same order."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from appliance.attention import Attention
from appliance.line import SlideStatus
from appliance.messages import message
from tui import rows, words
from tui.health import pulses
from tui.snapshot import GROUPS
from tui.view import View

FORMAT = 1
"""Counts changes of the values that break what reads them; new keys do not."""
MOST_DONE = 20
"""Slides that are done and shown, unless all are asked for; the newest."""
EMPTY = "No slide is on the line."


def needs_person(view: View) -> bool:
    """Whether a slide or the machine needs somebody."""
    return bool(view.alarms) or any(need < Attention.REQUESTED for need in view.counts)


def lines(view: View, *, width: int | None, every: bool = False) -> Iterator[str]:
    """Write the line as text.

    Parameters
    ----------
    view
        The line, and what slides are called.
    width
        Cells of the terminal; None cuts nothing and gives slides their whole ids.
    every
        Whether to write all slides that are done, not only the newest.
    """
    for alarm in view.alarms:
        yield _cut(f"! {alarm.sentence} → {alarm.next_step}", width)
    if not view.slides:
        yield EMPTY
        return
    layout = _uncut(view) if width is None else rows.layout_for(width, view.routes)
    yield rows.titles(layout).plain.rstrip()
    for need, slide_ids in view.followed.groups():
        group = GROUPS[Attention.DONE if need is None else need]
        heading = rows.Heading(group=group, n_slides=len(slide_ids))
        yield rows.heading(heading, width or 0).plain.strip()
        shown = slide_ids if every or need is not Attention.DONE else slide_ids[:MOST_DONE]
        slides = (view.slide(slide_id) for slide_id in shown)
        yield from (_slide_line(view, slide, layout, width) for slide in slides if slide)
        if len(shown) < len(slide_ids):
            yield f"  and {len(slide_ids) - len(shown):,} more; --all shows them"


def _uncut(view: View) -> rows.Layout:
    """Choose columns in which nothing is cut, for what is not a terminal."""
    layout = rows.layout_for(rows.BROAD, view.routes)
    names = [len(_name(view, slide, None)) for slide in view.slides]
    reasons = [rows.verdict_and_reason(slide).cell_length for slide in view.slides]
    return replace(layout, name=max(layout.name, *names), reason=max(layout.reason, *reasons))


def _slide_line(view: View, slide: SlideStatus, layout: rows.Layout, width: int | None) -> str:
    drawn = rows.slide_line(
        slide,
        name=_name(view, slide, width),
        now=view.now,
        layout=layout,
        superseded=view.is_superseded(slide.slide_id),
    )
    return drawn.plain.rstrip()


def change(view: View, slide: SlideStatus) -> str:
    """Say in one line, without a date, how a slide is now."""
    said = rows.verdict_and_reason(slide, superseded=view.is_superseded(slide.slide_id)).plain
    sent = ", ".join(
        f"{item.route} {words.DELIVERIES[item.state].text}" for item in slide.deliveries
    )
    doing = f"{words.STAGES[slide.stage]} {words.STATES[slide.state].text}"
    parts = (_name(view, slide, None), slide.scanner, doing, said, sent)
    return "  ".join(part for part in parts if part)


def values(view: View) -> dict[str, Any]:
    """Give the line as values for a script; the keys are in docs/status.md."""
    snapshot = view.snapshot
    counts = view.counts
    return {
        "format": FORMAT,
        "at": view.now,
        "needs_person": needs_person(view),
        "alarms": [asdict(alarm) for alarm in view.alarms],
        "counts": {need.name.lower(): counts.get(need, 0) for need in Attention},
        "disk": asdict(snapshot.disk) if snapshot and snapshot.disk else None,
        "daemons": [
            {
                "daemon": pulse.daemon,
                "alive": pulse.is_alive(view.now),
                "seen_at": pulse.beat.at if pulse.beat else None,
                "words": pulse.beat.words if pulse.beat else "",
            }
            for pulse in (pulses(snapshot, view.settings) if snapshot else ())
        ],
        "pauses": [asdict(pause) for pause in (snapshot.pauses if snapshot else ())],
        "slides": [
            slide_values(view, slide)
            for _, slide_ids in view.followed.groups()
            for slide_id in slide_ids
            if (slide := view.slide(slide_id)) is not None
        ],
    }


def slide_values(view: View, slide: SlideStatus) -> dict[str, Any]:
    """Give one slide as values for a script."""
    need = view.followed.need(slide.slide_id)
    known = view.names.is_known(slide.slide_id)
    return asdict(slide) | {
        "needs": need.name.lower() if need is not None else None,
        "doing": words.where(slide, view.now),
        "seconds_left": words.seconds_left(slide, view.now),
        "trouble": message(slide.error_code).title if slide.error_code else None,
        "superseded": view.is_superseded(slide.slide_id),
        "container_identifier": view.names.of(slide.slide_id) if known else None,
    }


def _name(view: View, slide: SlideStatus, width: int | None) -> str:
    """Give the container identifier where it is known; a whole id where nothing is cut."""
    if width is None and not view.names.is_known(slide.slide_id):
        return slide.slide_id
    return view.names.of(slide.slide_id)


def _cut(text: str, width: int | None) -> str:
    return text if width is None or len(text) <= width else f"{text[: width - 1]}…"

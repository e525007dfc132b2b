"""The audit trail: the journal's events, who did what to which slide, as they come. Pure values."""

import time
from collections.abc import Callable, Iterable

from textual.content import Content

from appliance.line import DAEMONS, SIDING, Event, Stage
from tui import words
from tui.panels.summary import hanging
from tui.rows import fitted, toned
from tui.words import Tone

NOTIFY = "notify"
DELIVER = "deliver@"
MACHINES = frozenset({*DAEMONS.values(), *Stage, SIDING, NOTIFY})
RECEIVED = "received"
"""The kind of event whose actor is a scanner."""
BAD_KINDS = frozenset(
    {"set-aside", "delivery-set-aside", "archiving-set-aside", "refused", "notice-failed"}
)
MEDIUM = 98
OPERATOR = "◆"
MACHINE = " "
OPERATORS_ONLY = f"{OPERATOR} operators only"
EVERYONE = "everyone"
DAY = "%Y-%m-%d"
CLOCK = "%H:%M:%S"
SHORT_DAY = "%m-%d %H:%M"
LONG_DAY = "%Y-%m-%d %H:%M:%S"


def is_operator(event: Event) -> bool:
    """Whether a person did it; daemons, stages, routes and scanners are no persons."""
    machine = event.actor in MACHINES or event.actor.startswith(DELIVER)
    return not machine and event.kind != RECEIVED


def wanted(
    events: Iterable[Event], sought: str, *, operators_only: bool, name_of: Callable[[str], str]
) -> list[Event]:
    """Keep the events that contain every word that is sought, in the name of their slide too."""
    parts = sought.casefold().split()
    return [
        event
        for event in events
        if (not operators_only or is_operator(event)) and _has(event, parts, name_of)
    ]


def _has(event: Event, parts: list[str], name_of: Callable[[str], str]) -> bool:
    if not parts:
        return True
    slide = f"{event.slide_id} {name_of(event.slide_id)}" if event.slide_id else ""
    said = f"{event.actor} {event.kind} {event.text} {slide}".casefold()
    return all(part in said for part in parts)


def event_line(event: Event, *, name: str, now: float, width: int) -> Content:
    """Draw one event in one line: when, who, which slide, what.

    Parameters
    ----------
    event
        What happened.
    name
        How the technician knows the slide; empty for none.
    now
        Seconds since the epoch: what is not of today shows its day.
    width
        Cells there are.
    """
    narrow = width < MEDIUM
    when = LONG_DAY if not narrow else CLOCK if _is_today(event.at, now) else SHORT_DAY
    actor, slide = (12, 12) if narrow else (16, 16)
    person = is_operator(event)
    tone = _tone(event)
    return fitted(
        Content.assemble(
            fitted(toned(_local(when, event.at), "quiet"), len(_local(when, now))),
            " ",
            toned(OPERATOR if person else MACHINE, "busy", bold=True),
            " ",
            fitted(toned(event.actor, "plain" if person else "quiet", bold=person), actor),
            " ",
            fitted(Content(name), slide),
            " ",
            toned(_said(event), tone),
        ),
        width,
    )


def whole_event(event: Event, *, name: str, width: int) -> Content:
    """Draw the event that is read, with all its words."""
    person = f"{OPERATOR} operator " if is_operator(event) else ""
    about = f" · slide {name}" if name else ""
    head = f"{_local(LONG_DAY, event.at)} · {person}{event.actor} · {event.kind}{about}"
    text = hanging(Content(""), _said(event), width)
    return Content("\n").join([toned(f"{head} · number {event.number}", "quiet"), text])


def _said(event: Event) -> str:
    return " ".join(words.short_digests(event.text).split())


def _tone(event: Event) -> Tone:
    return "bad" if event.kind in BAD_KINDS else "plain"


def _is_today(at: float, now: float) -> bool:
    return _local(DAY, at) == _local(DAY, now)


def _local(form: str, at: float) -> str:
    return time.strftime(form, time.localtime(at))

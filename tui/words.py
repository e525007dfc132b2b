"""Every value the screen shows, as text, glyph and tone. Pure tables, total over their enums.

A tone is a CSS class and a name of a theme colour; no tone stands without its glyph or word, so
that nothing is lost without colour.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from appliance.line import DeliveryStatus, Mark, Role, SlideStatus, Stage, State, Verdict
from tui import amounts

Tone = Literal["good", "bad", "warn", "busy", "quiet", "plain"]

TONES: Mapping[Tone, str] = MappingProxyType(
    {
        "good": "$text-success",
        "bad": "$text-error",
        "warn": "$text-warning",
        "busy": "$text-primary",
        "quiet": "$text-muted",
        "plain": "$foreground",
    }
)
"""The theme colour of each tone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """How a value is shown: a plain word, one cell of glyph, and a tone."""

    text: str
    glyph: str
    tone: Tone


STAGES: Mapping[Stage, str] = MappingProxyType(
    {
        Stage.ASSEMBLE: "assemble",
        Stage.DEIDENTIFY: "de-identify",
        Stage.INFER: "infer",
        Stage.REPORT: "report",
        Stage.RELEASE: "release",
        Stage.DELIVER: "deliver",
    }
)

STAGE_SENTENCES: Mapping[Stage, str] = MappingProxyType(
    {
        Stage.ASSEMBLE: "objects from the scanner are put together into one slide",
        Stage.DEIDENTIFY: "the patient is taken off",
        Stage.INFER: "tissue and artifacts are found",
        Stage.REPORT: "the report and the picture are made",
        Stage.RELEASE: "what may leave is checked and signed",
        Stage.DELIVER: "it is sent to each route",
    }
)

STATES: Mapping[State, Word] = MappingProxyType(
    {
        State.RECEIVING: Word(text="receiving", glyph="↓", tone="busy"),
        State.WAITING: Word(text="waiting", glyph="◌", tone="quiet"),
        State.RUNNING: Word(text="running", glyph="◉", tone="busy"),
        State.HELD: Word(text="held", glyph="‖", tone="warn"),
        State.ASIDE: Word(text="set aside", glyph="✕", tone="bad"),
        State.DONE: Word(text="done", glyph="●", tone="good"),
    }
)

VERDICTS: Mapping[Verdict, Word] = MappingProxyType(
    {
        Verdict.ACCEPT: Word(text="accept", glyph="✓", tone="good"),
        Verdict.RESCAN: Word(text="rescan", glyph="↻", tone="bad"),
        Verdict.REVIEW: Word(text="review", glyph="?", tone="warn"),
    }
)

VERDICT_SENTENCES: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.ACCEPT: "The slide is good.",
        Verdict.RESCAN: "Scan this slide again.",
        Verdict.REVIEW: "Look at the picture and decide.",
    }
)

MARKS: Mapping[Mark, Word] = MappingProxyType(
    {
        Mark.REQUESTED: Word(text="asked for", glyph="»", tone="quiet"),
        Mark.DONE: Word(text="settled", glyph="✓", tone="quiet"),
    }
)
"""What a technician noted about a verdict, to follow it."""

MARK_SENTENCES: Mapping[Mark, str] = MappingProxyType(
    {
        Mark.REQUESTED: "A rescan was asked for.",
        Mark.DONE: "Somebody noted that nothing more is to be done.",
    }
)

SUPERSEDED = Word(text="scanned again", glyph="»", tone="quiet")
"""What follows the verdict of a slide whose container has a newer scan."""

DELIVERIES: Mapping[State, Word] = MappingProxyType(
    {
        State.RECEIVING: Word(text="being made", glyph="↓", tone="quiet"),
        State.WAITING: Word(text="waiting", glyph="◌", tone="quiet"),
        State.RUNNING: Word(text="sending", glyph="◉", tone="busy"),
        State.HELD: Word(text="held", glyph="‖", tone="warn"),
        State.ASIDE: Word(text="refused", glyph="✕", tone="bad"),
        State.DONE: Word(text="arrived", glyph="●", tone="good"),
    }
)

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "report": "report and segmentation",
        "outside_sr": "bare report",
        "tiles": "tiles",
    }
)
"""What a parcel carries; a kind that is not here is shown by its own name."""

CARRIED: Mapping[str, str] = MappingProxyType(
    {
        "SR": "report",
        "SEG": "segmentation",
        "ANN": "annotations",
        "heat_map": "heat map",
        "one_pager": "one-pager",
        "originals": "originals",
        "outside_sr": "bare report",
        "tiles": "tiles",
    }
)
"""What a route may carry, by its name in the settings."""

WAYS: Mapping[str, str] = MappingProxyType(
    {
        "dimse": "DICOM",
        "stow": "DICOMweb",
        "folder": "a folder",
        "object_store": "an object store",
        "model_servers": "model servers",
    }
)
"""How a route goes, by its kind in the settings."""

ROLES: Mapping[Role, str] = MappingProxyType(
    {
        Role.VIEWER: "viewer",
        Role.TECHNICIAN: "technician",
        Role.ADMINISTRATOR: "administrator",
    }
)

NEXT_STEPS: Mapping[State, str] = MappingProxyType(
    {
        State.RECEIVING: "Wait for the scanner; c begins without what is missing.",
        State.WAITING: "Nothing to do: the line works on it by itself.",
        State.RUNNING: "Nothing to do: the line works on it.",
        State.HELD: "Press u to let it go on.",
        State.ASIDE: "Press r to try it again once the cause is gone.",
        State.DONE: "Nothing to do.",
    }
)
"""What a person can do when the slide itself carries no better advice."""

TO_COME = Word(text="to come", glyph="○", tone="quiet")

SHORT_ID_LENGTH = 8
DIGEST_LENGTH = 12
LEAST_PROGRESS = 0.05
"""Of a stage, from which on the time that is left can be guessed."""
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


def stage_glyphs(stage: Stage, state: State) -> tuple[Word, ...]:
    """Give one word a stage: done before the slide's stage, its state at it, to come after."""
    stages = list(Stage)
    here = stages.index(stage)
    done = STATES[State.DONE]
    return tuple(
        done if number < here else STATES[state] if number == here else TO_COME
        for number in range(len(stages))
    )


def doing(slide: SlideStatus, now: float) -> str:
    """Say in at most 19 cells what a slide is doing; the stage line shows where."""
    match slide.state:
        case State.RECEIVING:
            return slide.words or STATES[State.RECEIVING].text
        case State.WAITING:
            return _waiting(slide, now)
        case State.RUNNING:
            percent = f" {100 * slide.progress:.0f} %" if slide.progress > 0 else ""
            return f"{STAGES[slide.stage]}{percent}"
        case State.HELD | State.ASIDE:
            return STATES[slide.state].text
        case State.DONE:
            return f"done {amounts.age(now - slide.updated_at)}"


def left(seconds: float) -> str:
    """Say in at most 9 cells how much longer something takes."""
    if seconds >= amounts.HOUR_S:
        return f"{math.ceil(seconds / amounts.HOUR_S)} h left"
    return f"{amounts.duration(math.ceil(seconds) or 1).replace('.0', '')} left"


def doing_until(slide: SlideStatus, seconds: float, room: int) -> str:
    """Say what a running slide is doing and how much longer, in so many cells."""
    stage, percent = STAGES[slide.stage], f"{100 * slide.progress:.0f} %"
    until = left(seconds)
    tries = (f"{stage} {percent} {until}", f"{stage} {percent} {until.removesuffix(' left')}")
    return next((text for text in tries if len(text) <= room), f"{stage} {until}"[:room])


def where(slide: SlideStatus, now: float) -> str:
    """Say in words what a slide is doing, and at which stage."""
    stage = STAGES[slide.stage]
    what = doing(slide, now)
    match slide.state:
        case State.RECEIVING | State.DONE:
            return what
        case State.RUNNING:
            return f"{what}: {slide.words or STAGE_SENTENCES[slide.stage]}"
        case _:
            return what if stage in what else f"{what} at {stage}"


def _waiting(slide: SlideStatus, now: float) -> str:
    if slide.next_try_at is not None and slide.next_try_at > now:
        return f"again in {amounts.duration(slide.next_try_at - now)}"
    if slide.stage is Stage.DELIVER:
        n_done = sum(delivery.state is State.DONE for delivery in slide.deliveries)
        return f"deliver: {n_done} of {len(slide.deliveries)}"
    return f"waits: {STAGES[slide.stage]}"


def seconds_left(slide: SlideStatus, now: float) -> float | None:
    """Guess how long the present stage still takes, from its share done; None while none is."""
    if slide.state is not State.RUNNING or slide.claimed_at is None:
        return None
    if slide.progress < LEAST_PROGRESS:
        return None
    whole_s = (slide.updated_at - slide.claimed_at) / slide.progress
    return max(0.0, slide.claimed_at + whole_s - now)


def next_step(slide: SlideStatus) -> str:
    """Say what a person can do now."""
    return slide.next_step or NEXT_STEPS[slide.state]


def reason(slide: SlideStatus) -> str:
    """Say in one sentence why a slide is as it is: its error first, then its verdict."""
    return slide.error or slide.reason or ""


def kind(delivery: DeliveryStatus) -> str:
    """Say what a parcel carries."""
    return KINDS.get(delivery.kind, delivery.kind)


def short_id(slide_id: str) -> str:
    """Shorten an opaque slide id to what people can compare."""
    return slide_id[:SHORT_ID_LENGTH]


def short_digests(text: str) -> str:
    """Shorten every SHA-256 in a text to what people can compare."""
    return _DIGEST.sub(lambda found: f"{found[0][:DIGEST_LENGTH]}…", text)

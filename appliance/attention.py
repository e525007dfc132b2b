"""How much a slide needs a person: one rule for the screen, the status command and the notices."""

from collections.abc import Iterable
from enum import IntEnum

from appliance.line import Mark, SlideStatus, State, Verdict

STALE_RUNNING_S = 60.0
"""A lease is renewed every 10 s: a running slide that is silent for longer has lost its worker."""
STALE_RECEIVING_S = 600.0
MANY_RETRIES = 3
NOT_TOLD = "takes no notices"
"""In the words of the notify daemon while a receiver fails: then nobody hears of anything."""


class Attention(IntEnum):
    """How much a slide needs a person; the smaller, the further up it stands."""

    RESCAN = 0
    STUCK = 1
    HELD = 2
    REVIEW = 3
    REQUESTED = 4
    """A rescan was asked for; the new scan has not come yet."""
    MOVING = 5
    DONE = 6


def superseded(slides: Iterable[SlideStatus]) -> frozenset[str]:
    """Give the ids of slides whose container was scanned again since."""
    return frozenset(slide.supersedes for slide in slides if slide.supersedes)


def attention(slide: SlideStatus, *, now: float, is_superseded: bool) -> Attention:
    """Say how much a slide needs a person.

    Parameters
    ----------
    slide
        As the journal has it.
    now
        Seconds since the epoch.
    is_superseded
        Whether its container was scanned again since: its verdict then asks for nothing.
    """
    settled = is_superseded or slide.mark is Mark.DONE
    asked = slide.mark is Mark.REQUESTED
    verdict = None if settled else slide.verdict
    if verdict is Verdict.RESCAN and not asked:
        return Attention.RESCAN
    if is_stuck(slide, now):
        return Attention.STUCK
    if slide.state is State.HELD:
        return Attention.HELD
    if verdict in (Verdict.RESCAN, Verdict.REVIEW):
        return Attention.REQUESTED if asked else Attention.REVIEW
    return Attention.DONE if slide.state is State.DONE else Attention.MOVING


def is_stuck(slide: SlideStatus, now: float) -> bool:
    """Whether a slide will not move by itself, or has tried in vain for a while."""
    silent_s = now - slide.updated_at
    match slide.state:
        case State.ASIDE:
            return True
        case State.RUNNING:
            return silent_s > STALE_RUNNING_S
        case State.RECEIVING:
            return silent_s > STALE_RECEIVING_S
        case State.WAITING:
            return slide.retries >= MANY_RETRIES
        case _:
            return False

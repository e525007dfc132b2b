"""When a slide is complete: a pure function of what came, what is coming, and the time.

Vetoes come first: a transfer in flight, an open concatenation, missing frames, no VOLUME image, or
doubt about what belongs together. Then a slide is complete at once when the scanner asked for
storage commitment of all that came and the base is among it; else when its association ended and
the image flavors that the scanner sends are all there, or nothing came for `quiet_s`. A veto that
outlasts `GIVE_UP_FACTOR` quiet times puts the slide before a person, with the veto as the reason.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dicom_node.headers import Instance
from dicom_node.slides.grouping import VOLUME

GIVE_UP_FACTOR: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How a scanner behaves."""

    quiet_s: float
    expects: tuple[str, ...] = ()
    """Image flavors that it always sends, a flavor as often as it is sent at least."""
    commits: bool = False
    """It asks for storage commitment of a slide when it has sent all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """What is known of a slide that is being received."""

    instances: Sequence[Instance]
    in_flight: bool
    """Whether an object that is, or may be, its own is being received."""
    association_open: bool
    """Whether an association that carried one of its objects is still open."""
    last_byte_at: float
    doubt: str | None = None
    committed: bool = False
    """Whether one request for storage commitment covers all that came."""


class Progress(StrEnum):
    """What to do with a slide now."""

    WAIT = "wait"
    COMPLETE = "complete"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A decision and its reason in one sentence."""

    progress: Progress
    reason: str


def judge(slide: Receiving, profile: Profile, *, now: float, forced: bool = False) -> Judgement:
    """Decide whether a slide is complete.

    Parameters
    ----------
    slide
        What came and what is coming.
    profile
        Of its scanner.
    now
        Seconds since the epoch, the clock of `last_byte_at`.
    forced
        An operator declared it complete.
    """
    quiet_s = now - slide.last_byte_at
    if slide.in_flight:
        return _wait("An object is being received.")
    if forced:
        return Judgement(progress=Progress.COMPLETE, reason="An operator declared it complete.")
    missing = veto(slide.instances, slide.doubt)
    if missing is not None:
        patient = slide.association_open or quiet_s < profile.quiet_s * GIVE_UP_FACTOR
        progress = Progress.WAIT if patient else Progress.GIVE_UP
        return Judgement(progress=progress, reason=missing)
    return _judge_time(slide, profile, quiet_s)


def _judge_time(slide: Receiving, profile: Profile, quiet_s: float) -> Judgement:
    """Decide about a slide that lacks nothing as far as its headers say."""
    is_quiet = quiet_s >= profile.quiet_s
    if profile.commits and slide.committed and _has_base(slide.instances):
        reason = "The scanner asked us to commit to all that it sent."
    elif _has_all(slide.instances, profile.expects) and (is_quiet or not slide.association_open):
        reason = "Everything that this scanner sends is there."
    elif slide.association_open:
        return _wait("The scanner may send more: its association is open.")
    elif is_quiet:
        reason = f"The association ended and nothing came for {profile.quiet_s:g} s."
    else:
        return _wait("The scanner may send more.")
    return Judgement(progress=Progress.COMPLETE, reason=reason)


def veto(instances: Sequence[Instance], doubt: str | None) -> str | None:
    """Say why a slide cannot be complete whatever the time; None when nothing speaks against it."""
    if doubt is not None:
        return doubt
    volumes = [one for one in instances if one.flavour == VOLUME]
    if not volumes:
        return "No VOLUME image came."
    parts: dict[str, list[Instance]] = {}
    for one in volumes:
        if one.concatenation_uid is not None:
            parts.setdefault(one.concatenation_uid, []).append(one)
        elif one.n_frames_expected is not None and one.n_frames < one.n_frames_expected:
            return "A level holds fewer frames than its matrix has tiles."
    for concatenation in parts.values():
        missing = _missing_part(concatenation)
        if missing is not None:
            return missing
    return None


def _missing_part(parts: Sequence[Instance]) -> str | None:
    """Say what a concatenation lacks (PS3.3 C.7.6.16.2.2.4).

    Parts are counted by number. A scanner that does not tell how many there are is believed when
    the frames add up.
    """
    by_number = {one.part: one for one in parts}
    wanted = set(range(1, max((one.parts or 0 for one in parts), default=0) + 1))
    if wanted - by_number.keys():
        return f"{len(wanted & by_number.keys())} of {len(wanted)} parts of a level came."
    expected = [one.n_frames_expected for one in parts if one.n_frames_expected is not None]
    n_frames = sum(one.n_frames for one in by_number.values())
    if expected and n_frames < max(expected):
        return "The parts of a level hold fewer frames than its matrix has tiles."
    return None


def _has_base(instances: Sequence[Instance]) -> bool:
    """Whether a VOLUME image is there that was not made from a finer one (PS3.3 C.8.12.4.1.1)."""
    return any(one.flavour == VOLUME and not one.is_resampled for one in instances)


def _has_all(instances: Sequence[Instance], expects: Sequence[str]) -> bool:
    if not expects:
        return False
    present = Counter(one.flavour for one in instances)
    return all(present[flavour] >= n for flavour, n in Counter(expects).items())


def _wait(reason: str) -> Judgement:
    return Judgement(progress=Progress.WAIT, reason=reason)

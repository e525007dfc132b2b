"""A notice: one thing that needs a person, in words of a closed vocabulary only.

The journal may be written by every daemon and by operators, and a notice leaves the appliance. So
no text of the journal is ever passed on: a slide's id must look like one of ours, a scanner, daemon
or route must be in the settings, sentences are looked up by code, and of a verdict's reason only
shares of known artifacts are taken.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from appliance.attention import Attention
from appliance.line import SlideStatus, State
from appliance.messages import MESSAGES, message
from appliance.settings import Settings
from appliance.settings.notices import Subject

OURS: Final = re.compile(r"[a-z2-7]{26}")
"""How the node makes slide ids: 128 random bits in base 32."""
_FINDING: Final = re.compile(
    r"\d{1,3}(?:\.\d)? % of the tissue "
    r"(?:is folded|is covered by (?:dark spots|pen marks|blood)|lies under air bubbles"
    r"|is out of focus)"
)
_LONGEST_REASON: Final = 1000
_MOST_FINDINGS: Final = 6
_NO_TISSUE: Final = "No tissue was found on the slide."
_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that needs a person."""

    key: str
    """The same as long as it is the same thing: told once under it."""
    subject: Subject
    code: str
    sentence: str
    next_step: str
    slide_id: str = ""
    scanner: str = ""
    name: str = ""
    """Of the daemon or route that it is about."""


def of_slide(slide: SlideStatus, need: Attention, settings: Settings) -> Notice:
    """Say that a slide is to be scanned again, or that it stands still."""
    slide_id = slide.slide_id if OURS.fullmatch(slide.slide_id) else ""
    known = {scanner.name for scanner in settings.scanners}
    scanner = slide.scanner if slide.scanner in known else ""
    if need is Attention.RESCAN:
        return Notice(
            key=f"rescan:{_told_apart(slide.slide_id)}:{slide.revision}",
            subject="rescan",
            code="rescan",
            sentence=f"Scan this slide again: {_why(slide.reason or '')}.",
            next_step="Look at the glass slide, clean it if needed, and scan it again.",
            slide_id=slide_id,
            scanner=scanner,
        )
    code = _code(slide)
    title, next_step = _SILENT.get(code) or (message(code).title, message(code).next_step)
    return Notice(
        key=f"stuck:{_told_apart(slide.slide_id)}:{slide.revision}:{code}",
        subject="stuck",
        code=code,
        sentence=f"{title}.",
        next_step=next_step,
        slide_id=slide_id,
        scanner=scanner,
    )


def of_daemon(name: str, silent_s: float | None) -> Notice:
    """Say that a daemon gives no sign of life, for so long or (None) ever."""
    since = "was never started" if silent_s is None else f"has been silent for {_minutes(silent_s)}"
    return Notice(
        key=f"daemon:{name}",
        subject="daemon",
        code="daemon-silent",
        sentence=f"The {name} daemon {since}.",
        next_step=f"Start it: systemctl start coverslip-{name}, or coverslip up.",
        name=name,
    )


def of_all_daemons() -> Notice:
    """Say that nothing runs."""
    return Notice(
        key="daemon:all",
        subject="daemon",
        code="daemon-silent",
        sentence="No daemon is running: the line stands still.",
        next_step="Start them: systemctl start coverslip.target, or coverslip up.",
    )


def of_journal() -> Notice:
    """Say that the journal cannot be read."""
    return Notice(
        key="daemon:journal",
        subject="daemon",
        code="journal-silent",
        sentence="The journal does not answer: nobody can tell how the line is.",
        next_step="Look at the database and at the disk it lies on.",
        name="journal",
    )


def of_failing_route(route: str, n_parcels: int, since_s: float) -> Notice:
    """Say that a route tries in vain."""
    parcels = "One delivery waits" if n_parcels == 1 else f"{n_parcels} deliveries wait"
    return Notice(
        key=f"route:{route}:failing",
        subject="route",
        code="peer-unavailable",
        sentence=f"Nothing has arrived by route {route} for {_minutes(since_s)}. {parcels}.",
        next_step="Look at the network and the other system; it is tried again by itself.",
        name=route,
    )


def of_refusing_route(route: str, n_parcels: int) -> Notice:
    """Say that a route's peer does not take what belongs to no single slide."""
    parcels = "A delivery was" if n_parcels == 1 else f"{n_parcels} deliveries were"
    return Notice(
        key=f"route:{route}:refused",
        subject="route",
        code="delivery-refused",
        sentence=f"{parcels} refused on route {route}.",
        next_step=message("delivery-refused").next_step,
        name=route,
    )


def of_disk(free_gib: float, *, is_full: bool) -> Notice:
    """Say that the disk is full or nearly so."""
    what = "full" if is_full else "nearly full"
    then = "scanners are told to wait" if is_full else "new transfers are put off"
    return Notice(
        key=f"disk:{'full' if is_full else 'low'}",
        subject="disk",
        code="storage-full",
        sentence=f"The disk is {what} ({free_gib:,.0f} GiB free): {then}.",
        next_step=message("storage-full").next_step,
    )


def headline(notices: Iterable[Notice]) -> str:
    """Count what notices are about: "2 slides to scan again, 1 slide stands still"."""
    subjects = [notice.subject for notice in notices]
    parts = [_counted(subjects.count(subject), subject) for subject in _HEADLINES]
    return ", ".join(part for part in parts if part)


def _counted(number: int, subject: Subject) -> str:
    one, many = _HEADLINES[subject]
    return "" if not number else f"{number} {one if number == 1 else many}"


def _told_apart(slide_id: str) -> str:
    """Tell slides apart without passing on what may be no id of ours."""
    return hashlib.sha256(slide_id.encode()).hexdigest()[:16]


def _why(reason: str) -> str:
    found = _FINDING.findall(reason[:_LONGEST_REASON])[:_MOST_FINDINGS]
    if found:
        return "; ".join(found)
    return "no tissue was found on it" if _NO_TISSUE in reason else "its quality is too low"


def _code(slide: SlideStatus) -> str:
    if slide.state in _SILENT_STATES:
        return _SILENT_STATES[slide.state]
    code = slide.error_code or ""
    return code if code in MESSAGES else "error"


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / _MINUTE_S))
    return f"{minutes} min" if minutes < _MINUTE_S else f"{minutes / _MINUTE_S:.0f} h"


_SILENT_STATES: Final = {State.RUNNING: "worker-silent", State.RECEIVING: "scanner-silent"}
_SILENT: Final = {
    "worker-silent": (
        "The work on a slide has stopped without a word",
        "Look at the system screen: is the daemon of its stage running?",
    ),
    "scanner-silent": (
        "The scanner has stopped in the middle of a slide",
        "Look at the scanner; if nothing more will come, force complete on the screen.",
    ),
}
_HEADLINES: Final[dict[Subject, tuple[str, str]]] = {
    "rescan": ("slide to scan again", "slides to scan again"),
    "stuck": ("slide stands still", "slides stand still"),
    "daemon": ("daemon silent", "daemons silent"),
    "route": ("route fails", "routes fail"),
    "disk": ("disk nearly full", "disks nearly full"),
}

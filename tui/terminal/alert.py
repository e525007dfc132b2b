"""A bell and a desktop notification when a slide begins to need a person.

Once for each slide that is to be scanned again or that stands still, and never for what was so
when the screen was opened. What the desktop is shown may be kept by it for days: it names a slide
by its opaque id only.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Final

from appliance.attention import Attention
from appliance.messages import SET_ASIDE_BY_OPERATOR
from tui.arrangement import Arrangement
from tui.preferences import Desktop
from tui.words import short_id

BELL: Final = "\a"
TITLE: Final = "Coverslip"
_LOUD: Final = (Attention.RESCAN, Attention.STUCK)
_ONE: Final = {Attention.RESCAN: "Scan again", Attention.STUCK: "Needs you"}
_MANY: Final = {
    Attention.RESCAN: ("slide to scan again", "slides to scan again"),
    Attention.STUCK: ("slide needs you", "slides need you"),
}
_SILENT_TERMINALS: Final = ("", "dumb", "linux")
"""They print what they do not understand."""
_KNOW_777: Final = ("foot", "rxvt", "ghostty", "wezterm")

Need = tuple[str, int, Attention]


class Alerts:
    """Remembers what was told, and finds what is new."""

    def __init__(self) -> None:
        self._told: set[Need] | None = None
        self._serial = -1

    def look(self, arrangement: Arrangement) -> str:
        """Give one sentence about what is new; empty when nothing is.

        Parameters
        ----------
        arrangement
            Where the slides stand now; as long as none has moved, this costs nothing.
        """
        if self._told is not None and arrangement.serial == self._serial:
            return ""
        self._serial = arrangement.serial
        present = {need: arrangement.members(need) for need in _LOUD}
        needs = [
            (slide.slide_id, slide.revision, need)
            for need, slides in present.items()
            for slide in slides
            if slide.error_code != SET_ASIDE_BY_OPERATOR  # somebody knows
        ]
        if self._told is None:
            self._told = set(needs)
            return ""
        new = [need for need in needs if need not in self._told]
        verdicts = {need for need in self._told if need[2] is Attention.RESCAN}
        self._told = verdicts | set(needs)  # what stood still, went on and stands again is new
        scanners = {
            slide.slide_id: slide.scanner for slides in present.values() for slide in slides
        }
        return _sentence(new, scanners) if new else ""


def _sentence(new: Sequence[Need], scanners: Mapping[str, str]) -> str:
    if len(new) == 1:
        ((slide_id, _, need),) = new
        return f"{_ONE[need]}: slide {short_id(slide_id)} from {scanners[slide_id]}."
    counts = {need: sum(one[2] is need for one in new) for need in _LOUD}
    return (
        ", ".join(
            f"{number} {_MANY[need][number > 1]}" for need, number in counts.items() if number
        )
        + "."
    )


def ring(
    sentence: str, *, bell: bool, desktop: Desktop, environ: Mapping[str, str] = os.environ
) -> str:
    """Give what is written to the terminal so that somebody looks up.

    Parameters
    ----------
    sentence
        What has happened.
    bell
        Whether the terminal's bell rings.
    desktop
        How the terminal is asked for a desktop notification: `auto` goes by what the environment
        tells of it, which is little over SSH; OSC 9 is then what most know, and the others pass
        over.
    environ
        The environment.
    """
    plain = "".join(letter for letter in sentence if letter.isprintable() and letter != ";")
    way = _way(environ) if desktop == "auto" else desktop
    return (BELL if bell else "") + _passed_through(_asked(plain, way), environ)


def _way(environ: Mapping[str, str]) -> Desktop:
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "").lower()
    if term in _SILENT_TERMINALS:
        return "off"
    if "KITTY_WINDOW_ID" in environ or term == "xterm-kitty":
        return "osc99"
    if "VTE_VERSION" in environ or any(name in f"{term} {program}" for name in _KNOW_777):
        return "osc777"
    return "osc9"


def _asked(plain: str, way: Desktop) -> tuple[str, ...]:
    """Give the sequences; they end with BEL, which also passes through screen."""
    match way:
        case "osc9":
            return (f"\x1b]9;{TITLE}: {plain}\a",)
        case "osc777":
            return (f"\x1b]777;notify;{TITLE};{plain}\a",)
        case "osc99":  # the title first, and shown once the rest is there
            return (f"\x1b]99;i=coverslip:d=0;{TITLE}\a", f"\x1b]99;i=coverslip:p=body;{plain}\a")
        case _:
            return ()


def _passed_through(sequences: Sequence[str], environ: Mapping[str, str]) -> str:
    """Wrap sequences for the terminal around tmux (with allow-passthrough on) or screen."""
    if "TMUX" in environ:
        doubled = (one.replace("\x1b", "\x1b\x1b") for one in sequences)
        return "".join(f"\x1bPtmux;{one}\x1b\\" for one in doubled)
    if "STY" in environ:
        return "".join(f"\x1bP{one}\x1b\\" for one in sequences)
    return "".join(sequences)

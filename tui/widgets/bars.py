"""The two lines on top of every screen: how the line is, and what is not well."""

from textual.content import Content

from appliance.attention import Attention
from appliance.line import DAEMONS, Stage
from tui import amounts, words
from tui.health import Alarm, pulses
from tui.rows import toned
from tui.snapshot import GROUPS
from tui.view import View
from tui.widgets.card import Words

NODE = DAEMONS[Stage.ASSEMBLE]
"""While it is paused no new slide is taken: the line drains."""
SIGNS = {
    Attention.RESCAN: "↻",
    Attention.STUCK: "✕",
    Attention.HELD: "‖",
    Attention.REVIEW: "?",
    Attention.REQUESTED: "»",
    Attention.MOVING: "◉",
}
SHORT_TITLES = {
    Attention.RESCAN: "rescan",
    Attention.STUCK: "stuck",
    Attention.HELD: "held",
    Attention.REVIEW: "review",
    Attention.REQUESTED: "asked for",
    Attention.MOVING: "on the line",
}


class StatusBar(Words):
    """One line: which screen this is, how many slides need what, and how the machine is."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def show(self, view: View) -> None:
        """Show the newest counts."""
        left = Content.assemble(("Coverslip", "bold $primary"), (f"  {self._title}", "bold"))
        room = self.size.width - left.cell_length - 4
        right = _fitting([*_pauses(view), *_counts(view), *_machine(view)], room)
        self.say(Content.assemble(left, " " * (room + 2 - right.cell_length), right))


class AlarmBar(Words):
    """The worst of what is not well, with what to do; not there when all is well."""

    def show(self, view: View) -> None:
        """Show the worst alarm and how many more there are."""
        found = view.alarms
        self.display = bool(found)
        if found:
            self.say(alarm_line(found[0], n_more=len(found) - 1))


def alarm_line(alarm: Alarm, *, n_more: int = 0) -> Content:
    """Write an alarm as sentence and next step."""
    more = f"  (and {n_more} more: s)" if n_more else ""
    return Content.assemble(
        toned(f"! {alarm.sentence}", alarm.tone, bold=True),
        f"  → {alarm.next_step}",
        toned(more, "quiet"),
    )


def _fitting(parts: list[Content], room: int) -> Content:
    """Join as many parts as there is room for, the first ones first."""
    joined = Content("")
    for number in range(1, len(parts) + 1):
        longer = Content("   ").join(parts[:number])
        if longer.cell_length > room:
            break
        joined = longer
    return joined


def _pauses(view: View) -> list[Content]:
    """Say what an operator stopped; it comes first, for it waits until someone lets it go on."""
    paused = [one.daemon for one in view.snapshot.pauses] if view.snapshot else []
    parts = ["drained"] if NODE in paused else []
    others = [daemon.rpartition("@")[2] for daemon in paused if daemon != NODE]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        parts.append(f"{others[0]}{more} paused")
    return [toned(f"‖ {part}", "warn", bold=True) for part in parts]


def _counts(view: View) -> list[Content]:
    return [
        toned(f"{SIGNS[need]} {number:,} {SHORT_TITLES[need]}", GROUPS[need].tone)
        for need, number in view.counts.items()
        if need in SIGNS
    ]


def _machine(view: View) -> list[Content]:
    if view.snapshot is None or view.snapshot.disk is None:
        return []
    found = pulses(view.snapshot, view.settings)
    n_alive = sum(pulse.is_alive(view.now) for pulse in found)
    tone: words.Tone = "quiet" if n_alive == len(found) else "bad"
    return [
        toned(f"{n_alive}/{len(found)} daemons", tone),
        toned(f"{amounts.gib(view.snapshot.disk.free_bytes)} free", "quiet"),
    ]

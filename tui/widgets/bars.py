"""The two lines on top of every screen: how the line is, and what is not well."""

from textual.content import Content

from appliance.attention import Attention
from tui import words
from tui.health import Alarm, pulses
from tui.rows import toned
from tui.snapshot import GROUPS
from tui.view import View
from tui.widgets.card import Words

SIGNS = {
    Attention.RESCAN: "↻",
    Attention.STUCK: "✕",
    Attention.HELD: "‖",
    Attention.REVIEW: "?",
    Attention.MOVING: "◉",
}
SHORT_TITLES = {
    Attention.RESCAN: "rescan",
    Attention.STUCK: "stuck",
    Attention.HELD: "held",
    Attention.REVIEW: "review",
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
        right = _fitting([*_counts(view), *_machine(view)], room)
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


def _counts(view: View) -> list[Content]:
    return [
        toned(f"{SIGNS[need]} {len(slides)} {SHORT_TITLES[need]}", GROUPS[need].tone)
        for need, slides in view.arranged()
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
        toned(f"{words.gib(view.snapshot.disk.free_bytes)} free", "quiet"),
    ]

"""The line on the system screen: what waits at each stage, and how much went through. Pure."""

from collections.abc import Sequence

from textual.content import Content

from appliance.line import Stage, State
from appliance.stores.figures import Throughput
from tui import amounts, words
from tui.panels.summary import lines
from tui.rows import fitted, toned
from tui.view import View

LABEL_WIDTH = 13
COUNT_WIDTH = 32
TOTALS_WIDTH = 26
MOST_BARS = 72
LONGEST_BAR = 40
HOUR_S = 3600


def queues(view: View, width: int) -> Content:
    """Show how many slides wait, run and are set aside at each stage."""
    counted = view.snapshot.tally.stages if view.snapshot else {}
    counts = {stage: {state: counted.get((stage, state), 0) for state in State} for stage in Stage}
    most = max([4, *(_queued(counts[stage]) for stage in Stage)])
    room = max(6, min(LONGEST_BAR, width - LABEL_WIDTH - COUNT_WIDTH))
    parts = []
    for stage in Stage:
        filled, rest = amounts.bar(_queued(counts[stage]) / most, room)
        parts.append(
            Content.assemble(
                fitted(Content(words.STAGES[stage]), LABEL_WIDTH),
                toned(filled if _queued(counts[stage]) else " " * len(filled), "busy"),
                " " * len(rest),
                "  ",
                _counts(counts[stage]),
            )
        )
    return lines(parts)


def throughput(view: View, width: int) -> Content:
    """Show over the last day how many slides came, were judged, and how much arrived."""
    found = view.system.throughput if view.system else None
    if found is None:
        return toned("Not counted yet.", "quiet")
    room = max(12, min(MOST_BARS, width - LABEL_WIDTH - TOTALS_WIDTH))
    step_s = amounts.bins_together(len(found.received), room) * found.bin_s
    shown = (
        ("slides came", found.received),
        ("verdicts", found.verdicts),
        ("deliveries", found.deliveries),
    )
    return lines(
        [
            *(_over_time(label, counts, found, room) for label, counts in shown),
            toned(f"One bar is {amounts.lasting(step_s)}, the newest on the right.", "quiet"),
        ]
    )


def _over_time(label: str, counts: Sequence[int], found: Throughput, room: int) -> Content:
    last_hour = sum(counts[-round(HOUR_S / found.bin_s) :])
    hours = f"{len(counts) * found.bin_s / HOUR_S:.0f} h"
    return Content.assemble(
        fitted(Content(label), LABEL_WIDTH),
        toned(amounts.sparkline(counts, room), "busy"),
        f"  {last_hour:,} in 1 h, {sum(counts):,} in {hours}",
    )


def _queued(counts: dict[State, int]) -> int:
    return counts[State.RECEIVING] + counts[State.WAITING] + counts[State.RUNNING]


def _counts(counts: dict[State, int]) -> Content:
    shown = (State.RECEIVING, State.WAITING, State.RUNNING, State.HELD, State.ASIDE)
    parts = []
    for state in shown:
        word = words.STATES[state]
        if counts[state]:
            parts.append(toned(f"{counts[state]} {word.text}", word.tone))
    return Content(" · ").join(parts) if parts else toned("empty", "quiet")

"""What the system screen says: pure, from a view to styled text."""

from collections.abc import Callable, Mapping

from textual.content import Content

from appliance.line import Stage, State
from tui import words
from tui.health import GIB, pulses, route_states
from tui.panels import hanging, lines
from tui.policy_panels import policies
from tui.rows import fitted, toned
from tui.view import View
from tui.widgets.bars import alarm_line
from tui.words import Tone

LABEL_WIDTH = 14
COUNT_WIDTH = 32
NOT_KNOWN = "Not known yet."


def alarms(view: View) -> Content:
    """Give every alarm."""
    return lines([alarm_line(alarm) for alarm in view.alarms])


def disk(view: View, width: int) -> Content:
    """Show how full the disk is, and what happens when."""
    if view.snapshot is None or view.snapshot.disk is None:
        return toned(NOT_KNOWN, "quiet")
    found = view.snapshot.disk
    storage = view.settings.storage
    free_gib = found.free_bytes / GIB
    tone: Tone = "good"
    if free_gib < storage.soft_free_gib:
        tone = "bad" if free_gib < storage.hard_free_gib else "warn"
    used = 1 - found.free_bytes / max(1, found.total_bytes)
    filled, rest = words.bar(used, max(10, min(40, width - 12)))
    return lines(
        [
            Content.assemble(
                toned(filled, tone), toned(rest, "quiet"), f"  {words.share(used)} used"
            ),
            Content.assemble(
                toned(words.gib(found.free_bytes), tone, bold=True),
                f" free of {words.gib(found.total_bytes)}",
            ),
            toned(f"below {storage.soft_free_gib:g} GiB new transfers are put off", "quiet"),
            toned(f"below {storage.hard_free_gib:g} GiB nothing is taken", "quiet"),
        ]
    )


def queues(view: View, width: int) -> Content:
    """Show how many slides wait, run and are set aside at each stage."""
    slides = view.slides
    counted = {
        stage: {
            state: sum(slide.stage is stage and slide.state is state for slide in slides)
            for state in State
        }
        for stage in Stage
    }
    most = max([4, *(_queued(counted[stage]) for stage in Stage)])
    room = max(6, width - LABEL_WIDTH - COUNT_WIDTH)
    parts = []
    for stage in Stage:
        counts = counted[stage]
        filled, rest = words.bar(_queued(counts) / most, room)
        parts.append(
            Content.assemble(
                fitted(Content(words.STAGES[stage]), LABEL_WIDTH),
                toned(filled if _queued(counts) else " " * len(filled), "busy"),
                " " * len(rest),
                "  ",
                _counts(counts),
            )
        )
    return lines(parts)


def _queued(counts: Mapping[State, int]) -> int:
    return counts[State.RECEIVING] + counts[State.WAITING] + counts[State.RUNNING]


def _counts(counts: Mapping[State, int]) -> Content:
    shown = (State.RECEIVING, State.WAITING, State.RUNNING, State.HELD, State.ASIDE)
    parts = []
    for state in shown:
        word = words.STATES[state]
        if counts[state]:
            parts.append(toned(f"{counts[state]} {word.text}", word.tone))
    return Content(" · ").join(parts) if parts else toned("empty", "quiet")


def daemons(view: View, _width: int) -> Content:
    """Show every daemon that should run, and when it was last seen."""
    if view.snapshot is None:
        return toned(NOT_KNOWN, "quiet")
    parts = []
    for pulse in pulses(view.snapshot, view.settings):
        alive = pulse.is_alive(view.now)
        seen = words.age(view.now - pulse.beat.at) if pulse.beat else "never started"
        parts.append(
            Content.assemble(
                toned("● " if alive else "✕ ", "good" if alive else "bad"),
                fitted(Content.styled(pulse.daemon, "bold"), LABEL_WIDTH + 4),
                fitted(toned(seen, "quiet" if alive else "bad"), LABEL_WIDTH),
                toned(pulse.beat.words if pulse.beat else "", "quiet"),
            )
        )
    return lines(parts)


def routes(view: View, width: int) -> Content:
    """Show every route: where it goes, what it carries, and how its parcels fare."""
    if view.snapshot is None:
        return toned(NOT_KNOWN, "quiet")
    parts = []
    for state in route_states(view.snapshot, view.settings):
        route = state.route
        last = f", last {words.age(view.now - state.last_at)}" if state.last_at else ""
        carried = ", ".join(words.CARRIED[item] for item in route.carries)
        way = f"{carried} to {route.recipient}, {route.place}, by {words.WAYS[route.kind]}"
        name = fitted(Content.styled(route.name, "bold"), LABEL_WIDTH + 1)
        parts.append(hanging(name, way, width))
        refused = toned(f"{state.refused} refused", "bad" if state.refused else "quiet")
        parts.append(
            Content.assemble(
                " " * (LABEL_WIDTH + 1),
                toned(f"{state.arrived} arrived{last} · {state.waiting} waiting · ", "quiet"),
                refused,
            )
        )
        if state.error:
            parts.append(toned(f"{' ' * (LABEL_WIDTH + 1)}{state.error}", "warn"))
    return lines(parts) if parts else toned("The settings name no route.", "quiet")


CARDS: Mapping[str, Callable[[View, int], Content]] = {
    "disk": disk,
    "queues": queues,
    "daemons": daemons,
    "routes": routes,
    "policies": policies,
}
"""Each card of the screen and what draws it, given its width in cells."""

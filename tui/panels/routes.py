"""The routes on the system screen: where each goes, what waits, and whether its peer is there."""

from textual.content import Content

from appliance.facts import ArchiveQueue, Facts, Probe
from appliance.settings import Route
from tui import amounts, words
from tui.health import RouteState, route_states
from tui.panels.daemons import paused_words
from tui.panels.machine import NOT_KNOWN
from tui.panels.summary import hanging, lines
from tui.rows import fitted, toned
from tui.view import View

NAME_WIDTH = 15


def routes(view: View, width: int) -> Content:
    """Show every route: where it goes, what it carries, and how its parcels fare."""
    if view.snapshot is None:
        return toned(NOT_KNOWN, "quiet")
    parts: list[Content] = []
    for state in route_states(view.snapshot, view.settings):
        daemon = f"deliver@{state.route.name}"
        facts = view.system.of(daemon) if view.system else Facts()
        parts.extend(_route(state, facts, view, width))
    return lines(parts) if parts else toned("The settings name no route.", "quiet")


def _route(state: RouteState, facts: Facts, view: View, width: int) -> list[Content]:
    name = fitted(Content.styled(state.route.name, "bold"), NAME_WIDTH)
    parts = [hanging(name, _way(state.route), width)]
    if facts.archive is not None:
        parts.append(_archive(facts.archive))
    else:
        parts.append(_parcels(state, view.now))
    queue = facts.archive or facts.route
    tried = queue.next_try_at if queue else None
    if tried is not None and tried > view.now:
        parts.append(_below(f"tried again in {amounts.duration(tried - view.now)}", width, "quiet"))
    if state.pause is not None:
        parts.append(_below(f"‖ {paused_words(state.pause, view.now)}", width, "warn"))
    if error := (queue.error if queue else state.error):
        parts.append(_below(error, width, "warn"))
    if queue and queue.refusal:
        parts.append(_below(f"✕ refused: {queue.refusal}", width, "bad"))
    if facts.probe is not None:
        parts.append(_probe(facts.probe, view.now, width))
    return parts


def _way(route: Route) -> str:
    carried = ", ".join(words.CARRIED[item] for item in route.carries)
    return f"{carried} to {route.recipient}, {route.place}, by {words.WAYS[route.kind]}"


def _parcels(state: RouteState, now: float) -> Content:
    last = f" ({amounts.age(now - state.last_at)})" if state.last_at else ""
    refused = toned(f"{state.refused} refused", "bad" if state.refused else "quiet")
    counts = f"{state.arrived} arrived{last} · {state.waiting} waiting · "
    return Content.assemble(" " * NAME_WIDTH, toned(counts, "quiet"), refused)


def _archive(queue: ArchiveQueue) -> Content:
    waiting = amounts.counted(queue.waiting, "object")
    room = f" ({amounts.size(queue.waiting_bytes)})" if queue.waiting else ""
    refused = toned(f"{queue.refused} refused", "bad" if queue.refused else "quiet")
    counts = f"{waiting}{room} waiting · {queue.unconfirmed} unconfirmed · "
    return Content.assemble(" " * NAME_WIDTH, toned(counts, "quiet"), refused)


def _probe(probe: Probe, now: float, width: int) -> Content:
    glyph = "✓" if probe.well else "✕"
    took = f" in {1000 * probe.took_s:.0f} ms" if probe.well else ""
    text = f"{glyph} probe {amounts.age(now - probe.at)}: {probe.words}{took}"
    return _below(text, width, "good" if probe.well else "bad")


def _below(text: str, width: int, tone: words.Tone) -> Content:
    return hanging(Content(" " * NAME_WIDTH), text, width).stylize(words.TONES[tone])

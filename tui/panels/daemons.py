"""The daemons on the system screen: who runs since when, and who does not answer. Pure."""

from textual.content import Content

from appliance.facts import Told
from appliance.line import Pause
from tui import amounts, words
from tui.health import Pulse, pulses
from tui.panels.machine import NOT_KNOWN
from tui.panels.summary import hanging, lines
from tui.rows import fitted, toned
from tui.view import View

NAME_WIDTH = 20
SEEN_WIDTH = 12
UPTIME_WIDTH = 10
MEMORY_WIDTH = 8
INDENT = "    "


def daemons(view: View, width: int) -> Content:
    """Show every daemon that should run: when it was seen, since when, how much memory it holds."""
    if view.snapshot is None:
        return toned(NOT_KNOWN, "quiet")
    paused = {pause.daemon: pause for pause in view.snapshot.pauses}
    parts: list[Content] = []
    for pulse in pulses(view.snapshot, view.settings):
        parts.extend(_daemon(pulse, view, paused.get(pulse.daemon), width))
    return lines(parts)


def _daemon(pulse: Pulse, view: View, pause: Pause | None, width: int) -> list[Content]:
    alive = pulse.is_alive(view.now)
    told = view.system.told.get(pulse.daemon) if view.system else None
    mark = toned("✕ ", "bad") if not alive else toned("● ", "good")
    if alive and pause is not None:
        mark = toned("‖ ", "warn")
    seen = amounts.age(view.now - pulse.beat.at) if pulse.beat else "never started"
    row = Content.assemble(
        mark,
        fitted(Content.styled(pulse.daemon, "bold"), NAME_WIDTH - 1),
        " ",
        fitted(toned(seen, "quiet" if alive else "bad"), SEEN_WIDTH + 2),
        *(_process(told, view.now) if alive and told else ()),
    )
    said = [pulse.beat.words] if alive and pulse.beat and pulse.beat.words else []
    parts = [row, *(_beside(text, width, "quiet") for text in said)]
    if alive and pause is not None:
        parts.append(_beside(paused_words(pause, view.now), width, "warn"))
    if alive and (lacking := _lacking(pulse.daemon, view)):
        parts.append(_beside(lacking, width, "warn"))
    return parts


def paused_words(pause: Pause, now: float) -> str:
    """Say who paused a daemon, when and why."""
    because = f": {pause.reason}" if pause.reason else ""
    return f"paused {amounts.age(now - pause.at)} by {pause.operator}{because}"


def _process(told: Told, now: float) -> tuple[Content, ...]:
    up = f"up {amounts.lasting(now - told.started_at)}" if told.started_at else ""
    return (
        fitted(toned(up, "quiet"), UPTIME_WIDTH),
        fitted(toned(amounts.size(told.memory_bytes), "quiet"), MEMORY_WIDTH),
        toned(told.version, "quiet"),
    )


def _lacking(daemon: str, view: View) -> str:
    """Say why a daemon that runs did not tell of itself."""
    if view.system is None:
        return ""
    told = view.system.told.get(daemon)
    return told.lacks if told else view.system.silent.get(daemon, "")


def _beside(text: str, width: int, tone: words.Tone) -> Content:
    return hanging(Content(INDENT), text, width).stylize(words.TONES[tone])

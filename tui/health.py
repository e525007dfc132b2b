"""Is the line well? Pure: a snapshot and the settings in, sentences with a next step out."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from appliance.attention import NOT_TOLD
from appliance.line import DAEMONS, Heartbeat, Pause, Stage, State
from appliance.settings import Route, Settings
from appliance.stores.slide_reading import Kind
from tui import amounts
from tui.forecast import Forecast, forecast
from tui.snapshot import Snapshot
from tui.tally import RouteTally
from tui.words import Tone

SILENT_S = 15.0
"""Daemons beat every 2 s; one that is silent for this long is gone or hangs."""
SOON_S = 2 * 86_400.0
"""A disk that fills is worth a word when nothing is taken any more so soon."""
NODE = DAEMONS[Stage.ASSEMBLE]
UNDER_WAY = (State.RECEIVING, State.WAITING, State.RUNNING)
GIB = 2**30
SHOWN_AS: Mapping[Kind, tuple[str, str]] = MappingProxyType(
    {
        "slide": ("slide", "slides"),
        "delivery": ("delivery", "deliveries"),
        "shard": ("delivery of tiles", "deliveries of tiles"),
        "event": ("event", "events"),
        "heartbeat": ("sign of life", "signs of life"),
        "pause": ("pause", "pauses"),
        "sample": ("measurement of the disk", "measurements of the disk"),
    }
)
"""What a row of the journal tells of: one, and many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that is not well, and what a person can do about it."""

    tone: Tone
    sentence: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """One daemon that should run, and when it was last seen."""

    daemon: str
    beat: Heartbeat | None

    def is_alive(self, now: float) -> bool:
        """Whether the daemon was seen lately."""
        return self.beat is not None and now - self.beat.at <= SILENT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteState:
    """What of a route's parcels is where."""

    route: Route
    waiting: int
    refused: int
    arrived: int
    last_at: float | None
    """When the last parcel arrived."""
    error: str | None
    """What is wrong with the parcel that changed last, when something is."""
    pause: Pause | None = None


def daemons_of(settings: Settings) -> tuple[str, ...]:
    """Name every daemon that should run by these settings."""
    fixed = tuple(dict.fromkeys(DAEMONS.values()))
    told = () if settings.notices is None else ("notify",)
    return fixed + tuple(f"deliver@{route.name}" for route in settings.routes) + told


def pulses(snapshot: Snapshot, settings: Settings) -> tuple[Pulse, ...]:
    """Give every daemon that should run, with its last heartbeat."""
    beats = {beat.daemon: beat for beat in snapshot.heartbeats}
    return tuple(Pulse(daemon=daemon, beat=beats.get(daemon)) for daemon in daemons_of(settings))


def route_states(snapshot: Snapshot, settings: Settings) -> tuple[RouteState, ...]:
    """Give every route with its parcels counted."""
    counted = (snapshot.tally.routes, snapshot.tally.shards)
    paused = {pause.daemon: pause for pause in snapshot.pauses}
    return tuple(
        _route_state(
            route,
            [one[route.name] for one in counted if route.name in one],
            paused.get(f"deliver@{route.name}"),
        )
        for route in settings.routes
    )


def _route_state(route: Route, counted: list[RouteTally], pause: Pause | None) -> RouteState:
    newest = max((one.newest for one in counted), key=lambda one: one.updated_at, default=None)
    return RouteState(
        route=route,
        waiting=sum(one.waiting for one in counted),
        refused=sum(one.refused for one in counted),
        arrived=sum(one.arrived for one in counted),
        last_at=max((one.last_at for one in counted if one.last_at is not None), default=None),
        error=newest.error if newest else None,
        pause=pause,
    )


def disk_forecast(snapshot: Snapshot, settings: Settings) -> Forecast | None:
    """Tell when the disk will be full; None while too little is known."""
    if snapshot.disk is None:
        return None
    return forecast(
        snapshot.disk_samples,
        free_bytes=snapshot.disk.free_bytes,
        soft_bytes=settings.storage.soft_free_gib * GIB,
        hard_bytes=settings.storage.hard_free_gib * GIB,
    )


def alarms(snapshot: Snapshot, settings: Settings, *, now: float) -> tuple[Alarm, ...]:
    """Give what is not well, worst first."""
    found = [
        *_silence(pulses(snapshot, settings), now),
        *_unreadable(snapshot),
        *_disk(snapshot, settings),
        *_routes(route_states(snapshot, settings)),
        *_pauses(snapshot, now),
        *_notices(snapshot),
    ]
    return tuple(sorted(found, key=lambda alarm: alarm.tone != "bad"))


def _silence(found: tuple[Pulse, ...], now: float) -> list[Alarm]:
    silent = [pulse for pulse in found if not pulse.is_alive(now)]
    if not silent:
        return []
    if len(silent) == len(found):
        return [
            Alarm(
                tone="bad",
                sentence="No daemon is running: the line stands still.",
                next_step="Start them: systemctl start coverslip.target, or coverslip up.",
            )
        ]
    return [
        Alarm(tone="bad", sentence=_silent_sentence(pulse, now), next_step=start_step(pulse.daemon))
        for pulse in silent
    ]


def _silent_sentence(pulse: Pulse, now: float) -> str:
    if pulse.beat is None:
        return f"The {pulse.daemon} daemon was never started."
    return f"The {pulse.daemon} daemon was last seen {amounts.age(now - pulse.beat.at)}."


def start_step(daemon: str) -> str:
    """Say how a daemon is started."""
    return f"Start it: systemctl start coverslip-{daemon}, or coverslip up."


def _disk(snapshot: Snapshot, settings: Settings) -> list[Alarm]:
    disk = snapshot.disk
    if disk is None:
        return []
    free = amounts.gib(disk.free_bytes)
    if disk.free_bytes < settings.storage.hard_free_gib * GIB:
        sentence = f"The disk is full ({free} free): scanners are told to wait."
        return [Alarm(tone="bad", sentence=sentence, next_step="Free disk space.")]
    if disk.free_bytes < settings.storage.soft_free_gib * GIB:
        sentence = f"The disk is nearly full ({free} free): new transfers are put off."
        return [Alarm(tone="warn", sentence=sentence, next_step="Free disk space soon.")]
    expected = disk_forecast(snapshot, settings)
    if expected is None or expected.put_off_in_s is None or expected.put_off_in_s > SOON_S:
        return []
    sentence = (
        f"The disk fills: new transfers are put off in {amounts.about(expected.put_off_in_s)}."
    )
    return [Alarm(tone="warn", sentence=sentence, next_step="Free disk space before then.")]


def _pauses(snapshot: Snapshot, now: float) -> list[Alarm]:
    return [_pause(pause, snapshot, now) for pause in snapshot.pauses]


def _pause(pause: Pause, snapshot: Snapshot, now: float) -> Alarm:
    since = f"{amounts.age(now - pause.at)} by {pause.operator}"
    because = f" ({pause.reason})" if pause.reason else ""
    if pause.daemon != NODE:
        name = pause.daemon.removeprefix("deliver@")
        who = f"Route {name}" if name != pause.daemon else f"The {pause.daemon} daemon"
        sentence = f"{who} was paused {since}{because}."
        return Alarm(tone="warn", sentence=sentence, next_step="Let it go on when you are done.")
    sentence = f"No slides are taken: drained {since}{because}."
    return Alarm(tone="warn", sentence=sentence, next_step=_switching_off(snapshot))


def _switching_off(snapshot: Snapshot) -> str:
    """Say whether the machine may be switched off: deliveries that wait go on afterwards."""
    stages = snapshot.tally.stages
    n_waiting = stages.get((Stage.DELIVER, State.WAITING), 0)
    n_open = sum(n for (_, state), n in stages.items() if state in UNDER_WAY) - n_waiting
    if n_open:
        return f"Wait: {amounts.counted(n_open, 'slide')} still on the line."
    later = f"; {amounts.counted(n_waiting, 'slide')} will be delivered afterwards"
    return f"The line is empty: it is safe to switch off{later if n_waiting else ''}."


def _routes(found: tuple[RouteState, ...]) -> list[Alarm]:
    return [
        Alarm(
            tone="warn",
            sentence=f"Route {state.route.name}: {state.error}",
            next_step="Look at the other system; waiting parcels are sent again by themselves.",
        )
        for state in found
        if state.error
    ]


def _notices(snapshot: Snapshot) -> list[Alarm]:
    return [
        Alarm(
            tone="warn",
            sentence=f"Notices do not arrive: {beat.words}",
            next_step="Look at the receiver; it is tried again by itself.",
        )
        for beat in snapshot.heartbeats
        if beat.daemon == "notify" and NOT_TOLD in beat.words
    ]


def _unreadable(snapshot: Snapshot) -> list[Alarm]:
    """Say what is left out because its row does not hold what it should; it hides no other."""
    counts = [(snapshot.unreadable.get(kind, 0), names) for kind, names in SHOWN_AS.items()]
    found = [f"{n:,} {one if n == 1 else many}" for n, (one, many) in counts if n]
    if not found:
        return []
    n_rows = sum(n for n, _ in counts)
    row = "its row in the journal is" if n_rows == 1 else "their rows in the journal are"
    return [
        Alarm(
            tone="bad",
            sentence=f"{', '.join(found)} cannot be read: {row} damaged, or of a newer version.",
            next_step="Are screen and daemons of one version? Else tell the administrator.",
        )
    ]

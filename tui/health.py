"""Is the line well? Pure: a snapshot and the settings in, sentences with a next step out."""

from dataclasses import dataclass

from appliance.line import DAEMONS, DeliveryStatus, Heartbeat, State
from appliance.settings import Route, Settings
from tui import words
from tui.snapshot import Disk, Snapshot
from tui.words import Tone

SILENT_S = 15.0
"""Daemons beat every 2 s; one that is silent for this long is gone or hangs."""
GIB = 2**30


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


def daemons_of(settings: Settings) -> tuple[str, ...]:
    """Name every daemon that should run by these settings."""
    fixed = tuple(dict.fromkeys(DAEMONS.values()))
    return fixed + tuple(f"deliver@{route.name}" for route in settings.routes)


def pulses(snapshot: Snapshot, settings: Settings) -> tuple[Pulse, ...]:
    """Give every daemon that should run, with its last heartbeat."""
    beats = {beat.daemon: beat for beat in snapshot.heartbeats}
    return tuple(Pulse(daemon=daemon, beat=beats.get(daemon)) for daemon in daemons_of(settings))


def route_states(snapshot: Snapshot, settings: Settings) -> tuple[RouteState, ...]:
    """Give every route with its parcels counted."""
    parcels = [delivery for slide in snapshot.slides for delivery in slide.deliveries]
    parcels.extend(snapshot.shards)
    return tuple(
        _route_state(route, [parcel for parcel in parcels if parcel.route == route.name])
        for route in settings.routes
    )


def _route_state(route: Route, parcels: list[DeliveryStatus]) -> RouteState:
    def count(*states: State) -> int:
        return sum(parcel.state in states for parcel in parcels)

    arrived = [parcel.updated_at for parcel in parcels if parcel.state is State.DONE]
    newest = max(parcels, key=lambda parcel: parcel.updated_at, default=None)
    return RouteState(
        route=route,
        waiting=count(State.WAITING, State.RUNNING, State.HELD),
        refused=count(State.ASIDE),
        arrived=len(arrived),
        last_at=max(arrived, default=None),
        error=newest.error if newest else None,
    )


def alarms(snapshot: Snapshot, settings: Settings, *, now: float) -> tuple[Alarm, ...]:
    """Give what is not well, worst first."""
    found = [
        *_silence(pulses(snapshot, settings), now),
        *_disk(snapshot.disk, settings),
        *_routes(route_states(snapshot, settings)),
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
    return f"The {pulse.daemon} daemon was last seen {words.age(now - pulse.beat.at)}."


def start_step(daemon: str) -> str:
    """Say how a daemon is started."""
    return f"Start it: systemctl start coverslip-{daemon}, or coverslip up."


def _disk(disk: Disk | None, settings: Settings) -> list[Alarm]:
    if disk is None:
        return []
    free = words.gib(disk.free_bytes)
    if disk.free_bytes < settings.storage.hard_free_gib * GIB:
        sentence = f"The disk is full ({free} free): scanners are told to wait."
        return [Alarm(tone="bad", sentence=sentence, next_step="Free disk space.")]
    if disk.free_bytes < settings.storage.soft_free_gib * GIB:
        sentence = f"The disk is nearly full ({free} free): new transfers are put off."
        return [Alarm(tone="warn", sentence=sentence, next_step="Free disk space soon.")]
    return []


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

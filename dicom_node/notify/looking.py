"""What needs a person now: a look at the line in, notices out. Pure but for `look`."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from appliance.attention import Attention, attention
from appliance.line import Heartbeat, SlideStatus
from appliance.messages import SET_ASIDE_BY_OPERATOR
from appliance.settings import Settings
from appliance.storage import free_bytes
from appliance.stores.journal import Journal
from appliance.stores.needs import RouteNeed
from appliance.supervisor import daemon_commands
from dicom_node.notify import notice
from dicom_node.notify.notice import Notice

NAME = "notify"
"""Of our own daemon, which nobody tells of: the screen does."""
RESCANS_S = 7 * 86_400.0
"""A verdict that is older is no news, also to one who was off for a while."""
MOST_SLIDES = 1000
"""Slides that are told of at a time: of more nobody reads, and each is kept, and sent."""
GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The line at one moment, as far as notices go."""

    at: float
    began_at: float
    """When we began to look: a daemon that never beat is silent since then."""
    free_bytes: int
    slides: tuple[SlideStatus, ...] = ()
    superseded: frozenset[str] = frozenset()
    heartbeats: tuple[Heartbeat, ...] = ()
    routes: tuple[RouteNeed, ...] = ()
    paused: frozenset[str] = frozenset()
    """Daemons that an operator paused."""


def look(
    journal: Journal,
    settings: Settings,
    *,
    began_at: float,
    clock: Callable[[], float] = time.time,
) -> Look:
    """Read what there is to see; raises TransientError when the journal does not answer."""
    now = clock()
    limit_s = settings.notices.route_down_s if settings.notices is not None else 0.0
    return Look(
        at=now,
        began_at=began_at,
        free_bytes=free_bytes(settings.storage.root),
        slides=journal.unsettled(since=now - RESCANS_S),
        superseded=journal.superseded(),
        heartbeats=journal.shown.heartbeats(),
        routes=journal.route_needs(since=now - limit_s),
        paused=frozenset(pause.daemon for pause in journal.board.pauses()),
    )


def notices_of(seen: Look, settings: Settings) -> tuple[Notice, ...]:
    """Give all that needs a person and that the settings want told."""
    if settings.notices is None:
        return ()
    found = (
        *_slides(seen, settings),
        *_daemons(seen, settings, settings.notices.silent_s),
        *_routes(seen, settings, settings.notices.route_down_s),
        *_disk(seen, settings),
    )
    told = settings.notices.tell
    return tuple(one for one in found if one.subject in told)


def _slides(seen: Look, settings: Settings) -> list[Notice]:
    """Give the newest, the oldest of them first."""
    return list(itertools.islice(_newest_first(seen, settings), MOST_SLIDES))[::-1]


def _newest_first(seen: Look, settings: Settings) -> Iterator[Notice]:
    for slide in reversed(seen.slides):
        if slide.error_code == SET_ASIDE_BY_OPERATOR:
            continue  # somebody knows
        need = attention(slide, now=seen.at, is_superseded=slide.slide_id in seen.superseded)
        if need in (Attention.RESCAN, Attention.STUCK):
            yield notice.of_slide(slide, need, settings)


def _daemons(seen: Look, settings: Settings, limit_s: float) -> Iterator[Notice]:
    beats = {beat.daemon: beat.at for beat in seen.heartbeats}
    names = [name for name in daemon_commands(settings) if name != NAME]
    silent = [
        name for name in names if seen.at - max(beats.get(name, 0.0), seen.began_at) > limit_s
    ]
    if len(silent) == len(names):
        yield notice.of_all_daemons()
        return
    for name in silent:
        beat_at = beats.get(name)
        yield notice.of_daemon(name, None if beat_at is None else seen.at - beat_at)


def _routes(seen: Look, settings: Settings, limit_s: float) -> Iterator[Notice]:
    known = {route.name for route in settings.routes}
    for need in seen.routes:
        if need.route not in known or f"deliver@{need.route}" in seen.paused:
            continue
        since_s = 0.0 if need.failing_since is None else seen.at - need.failing_since
        if need.failing and since_s > limit_s and need.arrived_at is None:
            yield notice.of_failing_route(need.route, need.failing, since_s)
        if need.refused:
            yield notice.of_refusing_route(need.route, need.refused)


def _disk(seen: Look, settings: Settings) -> Iterator[Notice]:
    free_gib = seen.free_bytes / GIB
    if free_gib < settings.storage.hard_free_gib:
        yield notice.of_disk(free_gib, is_full=True)
    elif free_gib < settings.storage.soft_free_gib:
        yield notice.of_disk(free_gib, is_full=False)

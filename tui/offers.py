"""Which actions can be done now, to whom, and why not. Pure: a view and a slide in, words out."""

from collections.abc import Mapping

from appliance.line import DAEMONS, Role, SlideStatus, Stage
from tui import words
from tui.action import Action, Subject
from tui.health import RouteState, route_states
from tui.performing import Target
from tui.snapshot import Snapshot
from tui.view import View

NODE = DAEMONS[Stage.ASSEMBLE]
WORKERS = tuple(dict.fromkeys(DAEMONS[stage] for stage in DAEMONS if DAEMONS[stage] != NODE))
"""Daemons that work slides and can pause; the node drains instead."""
NO_SLIDE = "There is no slide at the cursor."
NOBODY = {
    "probe": "There is no route.",
    "send_again": "Nothing waits on a route, and nothing was refused.",
    "pause_route": "There is no route that is not paused already.",
    "go_on_route": "No route is paused.",
    "drain": "No new slides are taken already; Take slides ends that.",
    "take_again": "New slides are taken already.",
    "pause_daemon": "All daemons that work slides are paused already.",
    "go_on_daemon": "No daemon is paused.",
}
"""Why there is nobody to do it to, by the action's name."""


def why_not(action: Action, view: View, slide: SlideStatus | None) -> str:
    """Say why an action cannot be done now; empty when it can."""
    lacking = lacks_right(action, view.role)
    if lacking:
        return lacking
    if action.subject is Subject.SLIDE:
        return _unfit(action, slide)
    return "" if targets(action, view, slide) else NOBODY[action.name]


def lacks_right(action: Action, role: Role | None) -> str:
    """Say which right is missing; empty while the operator's role is not known."""
    if role is None or role.covers(action.role):
        return ""
    return f"Needs the right of {words.ROLES[action.role]}; yours is {words.ROLES[role]}."


def _unfit(action: Action, slide: SlideStatus | None) -> str:
    if slide is None:
        return NO_SLIDE
    if slide.state not in action.states:
        return f"Not for a slide that is {words.STATES[slide.state].text}."
    if action.when is not None and not action.when(slide):
        return action.only
    return ""


def targets(action: Action, view: View, slide: SlideStatus | None) -> tuple[Target, ...]:
    """Give whom an action can be done to now."""
    match action.subject:
        case Subject.SLIDE:
            if slide is None or _unfit(action, slide):
                return ()
            return (Target(shown=view.names.of(slide.slide_id), slide=slide),)
        case Subject.ROUTE:
            return _routes(action, view)
        case Subject.DAEMON:
            return _daemons(action, view, {name: f"the {name} daemon" for name in WORKERS})
        case Subject.NODE:
            return _daemons(action, view, {NODE: "the node"})


def _daemons(action: Action, view: View, shown: Mapping[str, str]) -> tuple[Target, ...]:
    return tuple(
        Target(shown=shown[daemon], daemon=daemon)
        for daemon in shown
        if _may_toggle(action, daemon, view)
    )


def _routes(action: Action, view: View) -> tuple[Target, ...]:
    known = view.snapshot or Snapshot(at=view.now)
    return tuple(
        _route(state) for state in route_states(known, view.settings) if _fits(action, state, view)
    )


def _fits(action: Action, state: RouteState, view: View) -> bool:
    if action.name == "send_again":
        return state.route.is_archive or bool(state.waiting or state.refused)
    return _may_toggle(action, f"deliver@{state.route.name}", view)


def _route(state: RouteState) -> Target:
    route = state.route
    notes = (
        "paused" if state.pause else "",
        f"{state.waiting} waiting" if state.waiting else "",
        f"{state.refused} refused" if state.refused else "",
    )
    return Target(
        shown=f"route {route.name}",
        daemon=f"deliver@{route.name}",
        is_archive=route.is_archive,
        note=", ".join(note for note in notes if note),
    )


def _may_toggle(action: Action, daemon: str, view: View) -> bool:
    """Whether a pause begins or ends by this action; any other action leaves pauses alone."""
    if action.command not in ("pause", "go_on"):
        return True
    return (daemon in paused(view)) == (action.command == "go_on")


def paused(view: View) -> frozenset[str]:
    """Name the daemons that are paused."""
    return frozenset(one.daemon for one in view.snapshot.pauses) if view.snapshot else frozenset()


def in_footer(
    action: Action, view: View, slide: SlideStatus | None, subjects: tuple[Subject, ...]
) -> bool | None:
    """Whether the footer shows an action; None for grey, because the right is missing.

    What makes no sense now is left out, so that the line has room for what does.
    """
    if action.subject not in subjects or not targets(action, view, slide):
        return False
    if slide is not None and action.in_footer is not None and not action.in_footer(slide):
        return False
    return None if lacks_right(action, view.role) else True

"""Under which policy each route is given something: pure, from settings to text."""

from collections.abc import Iterator, Mapping
from typing import Final

from textual.content import Content

from appliance.settings import ColouredTiles, Route
from tui import policy_words, words
from tui.health import pulses
from tui.panels.summary import hanging, lines
from tui.rows import fitted, toned
from tui.view import View
from tui.words import TONES

_LABEL_WIDTH: Final = 15
_DIGEST_LENGTH: Final = 8


def policies(view: View, width: int) -> Content:
    """Show the policy of every route: what it may carry, who is seen, and what stays open."""
    runs = _release_runs(view)
    parts = []
    for route in view.settings.routes:
        for label, text in policy_rows(route, release_runs=runs):
            style = "bold" if label == route.name else TONES["quiet"]
            parts.append(hanging(fitted(Content.styled(label, style), _LABEL_WIDTH), text, width))
    return lines(parts) if parts else toned("The settings name no route.", "quiet")


def policy_rows(route: Route, *, release_runs: bool) -> Iterator[tuple[str, str]]:
    """Give label and text of each line about a route; the first is labelled with its name.

    Parameters
    ----------
    route
        Of the settings.
    release_runs
        Whether the release daemon is alive: it starts only when the plan of every route that gets
        shuffled tiles has a certificate that holds.
    """
    policy = route.policy
    carried = ", ".join(words.CARRIED[item] for item in route.carries)
    place = policy_words.PLACES[route.place]
    yield route.name, f"{policy_words.MECHANISMS[policy.mechanism]}; {_digest(route.policy_digest)}"
    yield "  gives", f"{carried} to {route.recipient} ({place}), who sees {policy.sees}"
    terms = _numbers(policy.model_dump(), policy_words.TERMS)
    if terms:
        yield "  terms", terms
    limits = _numbers(route.limits.model_dump(), policy_words.LIMITS)
    yield "  at most", limits or "as much as there is"
    if isinstance(policy, ColouredTiles):
        together = policy.colludes_with
        named = "all that get tiles" if together == "all" else ", ".join(together) or "nobody"
        yield "  with others", f"colour {policy.colour}; tiles may be put together with: {named}"
        yield "  certificate", _certificate(policy, release_runs=release_runs)
    yield "  open", policy.statement


def _certificate(policy: ColouredTiles, *, release_runs: bool) -> str:
    plan = f"plan {policy.plan_digest[:_DIGEST_LENGTH]}"
    if release_runs:
        return f"{plan}: holds; release runs, and starts with no other"
    return f"{plan}: not known; release checks it when it starts, and does not run"


def _release_runs(view: View) -> bool:
    if view.snapshot is None:
        return False
    found = {pulse.daemon: pulse for pulse in pulses(view.snapshot, view.settings)}
    return "release" in found and found["release"].is_alive(view.now)


def _digest(digest: str) -> str:
    return f"policy {digest[:_DIGEST_LENGTH]}"


def _numbers(values: dict[str, object], named: Mapping[str, str]) -> str:
    """Write what is set, in the order of a table of words."""
    return ", ".join(
        f"{values[name]:g} {unit}" for name, unit in named.items() if values.get(name) is not None
    )

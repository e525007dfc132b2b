"""What the screen says of the policy of each route."""

from dataclasses import replace
from typing import get_args, get_type_hints

from appliance.settings import ColouredTiles, EveryTile, Limits, Policy, Route, Settings
from tests.tui.conftest import NOW
from tui import policy_words, words
from tui.panels.policy import policies, policy_rows
from tui.snapshot import Snapshot
from tui.view import View


def test_words_are_total_over_what_the_settings_allow():
    hints = get_type_hints(Route)
    assert set(policy_words.PLACES) == set(get_args(hints["place"]))
    assert set(words.WAYS) == set(get_args(hints["kind"]))
    assert set(words.CARRIED) == set(get_args(get_args(hints["carries"])[0]))
    kinds = get_args(get_args(Policy)[0])
    mechanisms = {get_args(get_type_hints(kind)["mechanism"])[0] for kind in kinds}
    assert set(policy_words.MECHANISMS) == mechanisms
    assert set(policy_words.LIMITS) == set(Limits.model_fields)
    numbers = {
        name
        for kind in (ColouredTiles, EveryTile)
        for name, field in kind.model_fields.items()
        if field.annotation in (int, float) and name != "colour"
    }
    assert set(policy_words.TERMS) == numbers | {"colours"}


def test_a_route_says_all_of_its_policy(settings: Settings):
    research = settings.routes[2]
    said = dict(policy_rows(research, release_runs=True))
    assert said["research"] == f"shuffled tiles, no identity; policy {research.policy_digest[:8]}"
    assert said["  gives"] == "tiles to university (outside), who sees nobody"
    assert "256 px a cell, 192 px a tile" in said["  terms"]
    assert said["  at most"] == "20000 tiles a day, 2.5 MB/s"
    assert said["  with others"].endswith("put together with: all that get tiles")
    assert said["  certificate"].endswith("holds; release runs, and starts with no other")
    assert said["  open"] == "Does not protect against whoever holds the slide."


def test_a_certificate_is_not_known_while_release_does_not_run(
    settings: Settings, literal_line: Snapshot
):
    silent = replace(literal_line, heartbeats=())
    view = View(settings=settings, snapshot=silent, now=NOW)
    assert "not known; release checks it" in " ".join(policies(view, 80).plain.split())

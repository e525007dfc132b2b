"""What the screen says of policies: of each route now, and of a parcel as it was signed."""

from dataclasses import replace
from typing import get_args, get_type_hints

from appliance.line import Event, State
from appliance.settings import ColouredTiles, EveryTile, Limits, Policy, Route, Settings
from appliance.slides.findings import ModelUse, Remote, TileResult
from tests.tui.conftest import NOW, delivery, literal_findings
from tui import panels, policy_words, words
from tui.policy_panels import policies, policy_rows, sent_under
from tui.snapshot import Snapshot
from tui.view import View

PARCEL = delivery("pacs", "report", State.DONE)


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


def test_a_remote_result_is_told_as_an_estimate():
    result = TileResult(
        model="metastasis",
        name="tumour",
        code=("128462008", "SCT", "Metastasis"),
        threshold=0.5,
        area_mm2=1.0,
        share_of_tissue=0.034,
        highest=0.9,
        map_file="tiles-lab-1.png",
        map_um_px=124.0,
        remote=Remote(route="lab", n_tiles=200, seen_share=0.14, low=0.012, high=0.079),
    )
    used = ModelUse(
        name="metastasis",
        version="1",
        digest="0" * 64,
        device="remote",
        um_px=1.0,
        route="lab",
        recipient="clinic",
    )
    findings = replace(literal_findings("s"), tile_results=(result,), models=(used,))
    told = panels.models(findings)
    assert told is not None
    assert told.plain.splitlines() == [
        "lab: metastasis: tumour 3.4 % of the tissue, an estimate (1.2 % to 7.9 %) from 14 % of it",
        "metastasis 1 outside this appliance, at clinic (route lab), 1 µm/px",
    ]


def event(text: str, *, actor: str = "release") -> Event:
    return Event(number=1, at=NOW, actor=actor, slide_id="s", kind="parcel", text=text)


def test_a_delivery_names_the_policy_under_which_it_was_signed(settings: Settings):
    digest = settings.routes[0].policy_digest
    signed = event(f"Parcel {PARCEL.parcel_id} for route pacs. Policy {digest}: true_patient. X")
    assert sent_under(PARCEL, [signed], settings.routes) == f"true patient; policy {digest[:8]}"
    other = event(f"Parcel {PARCEL.parcel_id} for route pacs. Policy {'0' * 64}: bare_report.")
    assert (
        sent_under(PARCEL, [other], settings.routes)
        == "bare report, no identity; policy 00000000, which has changed since"
    )


def test_only_release_says_under_which_policy_something_left(settings: Settings):
    claimed = f"Parcel {PARCEL.parcel_id} for route pacs. Policy {'0' * 64}: bare_report."
    assert sent_under(PARCEL, [event(claimed, actor="infer")], settings.routes) == ""
    assert sent_under(PARCEL, [], settings.routes) == ""

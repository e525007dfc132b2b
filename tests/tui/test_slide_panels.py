"""What the screen of one slide says, from values to text."""

from dataclasses import replace

import pytest

from anonymizer.release.audit_words import words_of_parcel
from appliance.line import Event, Mark, Stage, State
from appliance.manifest import ListedFile, Manifest
from appliance.settings import Settings, VerdictRules
from appliance.slides.findings import Findings, ModelUse, Remote, TileResult
from appliance.stores.vault_departures import Load
from tests.tui.conftest import (
    NOW,
    delivery,
    earlier_scan,
    literal_details,
    literal_findings,
    slide,
)
from tui import words
from tui.panels import findings as findings_panels
from tui.panels import past as past_panels
from tui.panels import sent as sent_panels
from tui.panels import summary as panels
from tui.panels import timeline, trouble
from tui.panels import told as told_panels
from tui.story import Story
from tui.told import deid_told, images_told

PARCEL = delivery("pacs", "report", State.DONE)
WIDTH = 66
METASTASIS = TileResult(
    model="metastasis",
    name="tumour",
    code=("128462008", "SCT", "Metastasis"),
    threshold=0.5,
    area_mm2=1.0,
    share_of_tissue=0.034,
    highest=0.9,
    map_file="tiles-lab-1.png",
    map_um_px=124.0,
)


@pytest.fixture(autouse=True)
def _utc() -> None:
    import time

    time.tzset()


def event(text: str, *, actor: str = "release", ago_s: float = 0.0) -> Event:
    return Event(number=1, at=NOW - ago_s, actor=actor, slide_id="s", kind="parcel", text=text)


def sent(settings: Settings, *events: Event) -> list[str]:
    text = sent_panels.deliveries(
        slide("s", Stage.DELIVER, State.DONE, deliveries=(PARCEL,)),
        events=events,
        routes=settings.routes,
        now=NOW,
        width=WIDTH,
    )
    return [line.strip() for line in text.plain.splitlines()]


def audited(settings: Settings) -> str:
    """The text that release really writes about a parcel that it has signed."""
    route = settings.routes[0]
    manifest = Manifest(
        parcel_id=PARCEL.parcel_id,
        route=route.name,
        recipient=route.recipient,
        place=route.place,
        kind="report",
        policy_digest=route.policy_digest,
        files=(ListedFile(name="sr.dcm", sha256="0" * 64, size_bytes=1, kind="SR"),) * 2,
        created_at=NOW,
        expires_at=NOW,
        key_id="5f0c2a9be1d47733",
    )
    load = Load(n_tiles=0, size_bytes=1_284_410)
    return words_of_parcel(manifest, route, load)


def test_a_delivery_says_to_whom_how_much_under_which_policy_and_signature(settings: Settings):
    digest = settings.routes[0].policy_digest
    assert sent(settings, event(audited(settings), ago_s=60)) == [
        "● pacs        arrived report and segmentation · 11 min ago",
        "to hospital: 2 files, 1.3 MB",
        f"true patient; policy {digest[:12]}",
        "signed 2026-09-21 14:12 with key 5f0c2a9be1d47733",
    ]


def test_a_policy_that_has_changed_since_is_said(settings: Settings):
    other = event(f"Parcel {PARCEL.parcel_id} for route pacs. Policy {'0' * 64}: bare_report.")
    assert "bare report, no identity; policy 000000000000, which has changed since" in " ".join(
        sent(settings, other)
    )


def test_only_release_says_under_which_policy_something_left(settings: Settings):
    claimed = event(audited(settings), actor="infer")
    assert len(sent(settings, claimed)) == len(sent(settings)) == 1


def test_a_remote_result_is_told_as_an_estimate_and_one_of_here_with_its_surest_tile():
    remote = Remote(route="lab", n_tiles=200, seen_share=0.14, low=0.012, high=0.079)
    used = ModelUse(
        name="metastasis",
        version="1",
        digest="0" * 64,
        device="remote",
        um_px=1.0,
        route="lab",
        recipient="clinic",
    )
    findings = replace(
        literal_findings("s"),
        tile_results=(replace(METASTASIS, remote=remote), METASTASIS),
        models=(used,),
        unlikeness=1.31,
        warnings=("The slide has little tissue.",),
    )
    told = findings_panels.models(findings, width=200)
    assert told is not None
    assert [line.strip() for line in told.plain.splitlines()] == [
        "! The slide has little tissue.",
        "! Unlike what the models have learned from: 1.3 times the limit.",
        "lab: metastasis: tumour 3.4 % of the tissue, an estimate (1.2 % to 7.9 %) from 14 % of it",
        "metastasis: tumour 3.4 % of the tissue, 1.00 mm²; the surest tile 0.90, counted from 0.5",
        "metastasis 1 outside this appliance, at clinic (route lab), 1 µm/px, 000000000000…",
    ]


def test_areas_carry_the_sign_of_the_verdict_they_ask_for_by_the_limits_of_that_time():
    findings = literal_findings("s")
    rules = VerdictRules(review={"fold": 0.02}, rescan={"out_of_focus": 0.15})

    def row(of: Findings, name: str) -> str:
        text = findings_panels.areas(of, rules, width=WIDTH).plain
        return next(line for line in text.splitlines() if name in line)

    assert row(findings, "out of focus").endswith("31 %   46.24 mm² ↻")
    assert row(findings, "fold").endswith("2.1 %    3.11 mm² ?")
    assert row(findings, "pen").endswith("0.59 mm²")
    assert "┊" in row(findings, "fold")
    assert "│" in row(findings, "out of focus")
    milder = replace(findings, rules={"review": {}, "rescan": {"out_of_focus": 0.9}})
    assert row(milder, "out of focus").endswith("46.24 mm²")
    assert "Not measured yet." in findings_panels.areas(None, rules, width=WIDTH).plain


def test_the_time_that_is_left_comes_from_what_is_done():
    running = slide(
        "s",
        Stage.INFER,
        State.RUNNING,
        last_byte_at=40,
        claimed_at=30,
        progress=0.5,
        updated_at=10,
    )
    assert words.seconds_left(running, NOW) == pytest.approx(10)
    drawn = timeline.timeline(Story(status=running), now=NOW, width=WIDTH).plain
    assert "infer 50 %, about 10 s left." in drawn
    assert panels.where(running, NOW).plain.endswith(", about 10 s left")
    assert words.seconds_left(running, NOW + 99) == 0
    for other in (
        replace(running, progress=0.01),
        replace(running, claimed_at=None),
        replace(running, state=State.HELD),
    ):
        assert words.seconds_left(other, NOW) is None


def test_trouble_says_kind_cause_and_next_step():
    aside = slide(
        "s",
        Stage.DEIDENTIFY,
        State.ASIDE,
        error="The label can still be read in one of the images.",
        error_code="identity-doubt",
    )
    found = trouble.trouble(aside, WIDTH)
    assert found is not None
    said = found.plain
    for part in ("✕ The label can", "(identity-doubt)", "cause", "by itself", "→ next step"):
        assert part in said
    assert max(map(len, said.splitlines())) <= WIDTH
    assert trouble.trouble(slide("s", Stage.INFER, State.RUNNING), WIDTH) is None
    held = trouble.trouble(slide("s", Stage.INFER, State.HELD), WIDTH)
    assert held is not None
    assert "The slide is held." in held.plain


def test_the_past_names_the_day_where_it_is_not_today_and_shortens_digests():
    text = past_panels.past(
        (
            event("The first object arrived.", actor="scanner-a", ago_s=90_000),
            event(f"Policy {'ab' * 32}: true_patient."),
        ),
        now=NOW,
        width=WIDTH,
    ).plain
    assert text.splitlines()[0].endswith("Policy abababababab…: true_patient.")
    assert text.splitlines()[1] == "2026-09-20"
    assert "The first object arrived." in text.splitlines()[2]


def test_scans_of_a_container_stand_newest_first_with_verdict_and_date():
    now_waiting = slide("s", Stage.INFER, State.WAITING, created_at=60)
    lines = past_panels.scans((earlier_scan(), now_waiting), slide_id="s", width=90).plain
    newest, oldest = lines.splitlines()
    assert newest.startswith("▸ 2026-09-21 14:12  ◌ waiting")
    assert oldest.startswith("  2026-09-20 13:13  ↻ rescan  44 % of the tissue")


def test_images_are_a_pyramid_with_sizes_and_the_fate_of_the_originals():
    details = literal_details()
    said = told_panels.images(details.images, width=WIDTH).plain
    assert "6 objects, 1.5 GB; JPEG Baseline (Process 1)" in said
    assert "level 1       76,800 x 48,000  0.25 µm/px   1.4 GB" in said
    assert "level 4           1,200 x 750    16 µm/px   342 kB" in said
    assert "6 of 6 the scanner may delete" in said
    assert told_panels.images("The node daemon does not answer.", width=WIDTH).plain == (
        "The node daemon does not answer."
    )


def test_the_report_of_a_de_identification_is_counts_and_reasons():
    said = told_panels.deidentified(literal_details().deid, width=WIDTH).plain
    for part in (
        "4 of 6 kept",
        "label, overview: its image type is not VOLUME",
        "141 removed · 78 replaced · 42 cleaned · 177 kept",
        "90 by the profile's table; 18 private",
        "174 values of the original: none was found",
        "3 pictures, 2 places painted over",
        "The label names the slide of the header.",
        "key",
    ):
        assert part in said
    assert max(map(len, said.splitlines())) <= WIDTH


def test_an_answer_of_another_version_is_understood_as_far_as_it_goes():
    images = images_told({"images": [{"flavour": "VOLUME"}, 7], "objects": "many", "new": 1})
    assert (images.images, images.n_objects) == ((), 0)
    deid = deid_told({"attributes": [], "reasons": {"a": 1}, "dropped": [["x"]]})
    assert (deid.reasons, deid.dropped, deid.n_kept) == ((), (), 0)
    assert told_panels.deidentified(deid, width=WIDTH).plain


def test_a_mark_is_said_below_the_verdict():
    marked = slide("s", Stage.DELIVER, State.DONE, mark=Mark.REQUESTED, marked_at=300)
    assert "The rescan was asked for 5 min ago" in panels.head(marked, NOW).plain

"""The ledger: what was given once counts for ever, whatever the settings say later."""

import json
import sqlite3
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonymizer.release import tile_route
from anonymizer.release.daemon import open_vault
from anonymizer.release.tile_batches import terms_of
from anonymizer.tiles.fit import check_fit, colluding
from anonymizer.tiles.plan import Sampler, grid_digest, placements_to_bytes, plan_tiles
from anonymizer.tiles.pool import compose
from appliance.errors import ConfigError, PermissionEnded, PolicyRefused
from appliance.line import Stage
from appliance.manifest import verify
from appliance.settings import Route
from appliance.stores.vault import PooledTile, Sampling
from tests.anonymizer import release_line
from tests.anonymizer.release_line import INSIDE, Line, outside_sr_route, tiles_route
from tests.anonymizer.release_parts import findings_of, original_slide
from tests.anonymizer.test_tiles import KEY, clean, policy

NOBODY: dict = {"colludes_with": []}


@pytest.fixture
def line_of(tmp_path):
    """The same journal, vault and keys, each time with other routes: as after a restart."""
    lines = []

    def make(*routes: dict) -> Line:
        for line in lines:
            line.close()
        lines.append(Line(tmp_path / "line", list(routes)))
        return lines[-1]

    yield make
    for line in lines:
        line.close()


def last_note(line: Line, slide_id: str) -> str:
    events = [event for event in line.journal.board.events() if event.slide_id == slide_id]
    return " ".join(event.text for event in events)


def released(line: Line, slide_id: str, **slide) -> str:
    line.bring(slide_id, **slide)
    line.work()
    assert line.status(slide_id).stage is Stage.DELIVER, line.status(slide_id).error
    return last_note(line, slide_id)


def cells(line: Line, recipient: str) -> set[tuple[int, int]]:
    return {
        (tile["row_px"] // 256, tile["column_px"] // 256)
        for sampling in line.vault.samplings_of(recipient)
        for tile in json.loads(sampling.placements)
    }


def test_recipients_that_do_not_collude_may_hold_the_same_cells_and_another_grid(line_of):
    line = line_of(
        tiles_route(**NOBODY),
        tiles_route("other", "company", **NOBODY),
        tiles_route("third", "institute", crop_px=160, **NOBODY),
    )
    released(line, "slide-a")
    assert cells(line, "university") == cells(line, "company") == cells(line, "institute")
    assert line.parcels("other")


def test_who_is_declared_to_collude_now_is_held_against_an_earlier_sample(line_of):
    released(line_of(tiles_route(**NOBODY)), "slide-a")
    # The first recipient's route is gone from the settings, so they alone would allow it.
    line = line_of(tiles_route("other", "company", colludes_with="all"))
    assert "holds tiles of this container" in released(line, "slide-b")
    assert line.vault.samplings_of("company") == ()


def test_who_was_declared_to_collude_then_still_counts(line_of):
    released(line_of(tiles_route(colludes_with="all")), "slide-a")
    line = line_of(tiles_route("other", "company", **NOBODY))
    assert "may collude" in released(line, "slide-b")


def test_one_that_never_was_declared_to_collude_gets_its_own_sample_of_a_rescan(line_of):
    released(line_of(tiles_route(**NOBODY)), "slide-a")
    line = line_of(tiles_route("other", "company", **NOBODY))
    assert "tiles wait" in released(line, "slide-b")


def test_a_recipient_under_another_route_name_gets_no_second_sample(line_of):
    released(line_of(tiles_route()), "slide-a")
    line = line_of(tiles_route("renamed", "university", colour=3, crop_px=128))
    assert "no second sample" in released(line, "slide-b")
    assert line.parcels("renamed") == []


def test_tiles_or_reports_for_ever_over_routes_and_restarts(line_of):
    released(line_of(tiles_route()), "slide-a")
    line = line_of(outside_sr_route("reports", "university"))
    assert "so no report" in released(line, "slide-b")
    assert line.parcels("reports") == []


def test_the_budget_of_a_patient_counts_over_changed_settings(line_of):
    released(line_of(tiles_route(max_tiles_per_patient=10, tiles_per_shard=2)), "slide-a")
    line = line_of(tiles_route("renamed", crop_px=128, max_tiles_per_patient=10))
    note = released(line, "slide-b", number=2, patient=1)
    assert "was given all tiles of this patient" in note
    assert sum(one.n_tiles for one in line.vault.samplings_of("university")) == 10


def test_the_pool_survives_a_restart_and_counts_patients(line_of):
    routes = (tiles_route(min_patients=3, tiles_per_shard=12),)
    for number in (1, 2):
        line = line_of(*routes)
        released(line, f"slide-{number}", number=number, patient=number)
        assert line.parcels("research") == []
    line = line_of(*routes)
    released(line, "slide-3", number=3, patient=3)
    assert len(line.parcels("research")) == 4  # 48 tiles of three patients
    assert line.vault.waiting_tiles(terms_of(line.settings.routes[0], "H&E")) == ()


@pytest.mark.parametrize("change", [{"recipient": "company"}, {"jpeg_quality": 80}])
def test_what_waits_for_one_recipient_and_plan_never_leaves_for_another(line_of, change):
    terms = {"min_patients": 2, "tiles_per_shard": 16, **NOBODY}
    released(line_of(tiles_route(**terms)), "slide-a", number=1, patient=1)
    line = line_of(tiles_route(**(terms | change)))
    released(line, "slide-b", number=2, patient=2)
    assert line.parcels("research") == []
    line = line_of(tiles_route(**terms))
    released(line, "slide-c", number=3, patient=3)
    assert len(line.parcels("research")) == 2  # those of slides a and c


def test_what_waits_leaves_when_only_the_name_of_the_route_is_another(line_of):
    terms = {"min_patients": 2, "tiles_per_shard": 16, **NOBODY}
    released(line_of(tiles_route(**terms)), "slide-a", number=1, patient=1)
    line = line_of(tiles_route("renamed", **terms))
    released(line, "slide-b", number=2, patient=2)
    assert len(line.parcels("renamed")) == 2


def test_a_slide_without_a_patient_id_gives_no_tiles(line_of, monkeypatch):
    """One person could count as many patients."""

    def nameless(number, *, patient):
        slide = original_slide(number, patient=patient)
        slide.PatientID = ""
        return slide

    monkeypatch.setattr(release_line, "original_slide", nameless)
    assert "has no Patient ID" in released(line_of(tiles_route()), "slide-a")


def test_a_batch_made_under_another_policy_is_mixed_anew(line_of):
    terms = {"tiles_per_shard": 8, **NOBODY}
    line = line_of(tiles_route(min_patients=1, **terms))
    line.bring("slide-a", number=1, patient=1)
    release = line.release()

    def killed(work):
        release(work)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        line.work(killed)
    assert len(line.vault.open_batches("research")) == 2
    line = line_of(tiles_route(min_patients=2, **terms))
    released(line, "slide-b", number=2, patient=2)
    patients = {one.tile_id: one.patient for one in tiles_of(line)}
    assert len(line.parcels("research")) == 4
    for parcel in line.parcels("research"):
        with tarfile.open(next(parcel.glob("*.tar"))) as tar:
            names = {name[:-4] for name in tar.getnames() if name.endswith(".jpg")}
        assert len({patients[name] for name in names}) == 2


def tiles_of(line: Line) -> list[PooledTile]:
    return [
        PooledTile(tile_id=tile["tile_id"], patient=sampling.patient, slide_id=sampling.slide_id)
        for sampling in line.vault.samplings_of("university")
        for tile in json.loads(sampling.placements)
    ]


SMALL = findings_of(side=64)  # a quarter of the slide: 4 tiles of one colour


def test_a_small_biopsy_waits_for_company(line_of):
    terms = {"min_tiles_per_slide": 8, "few_tiles": "wait"}
    line = line_of(tiles_route(min_patients=2, tiles_per_shard=16, **terms))
    assert "4 tiles wait in the pool" in released(line, "slide-a", findings=SMALL)
    assert line.parcels("research") == []


def test_a_small_biopsy_is_refused_where_the_policy_says_so_and_nothing_is_given(line_of):
    terms = {"min_tiles_per_slide": 8, "few_tiles": "refuse"}
    line = line_of(tiles_route(**terms))
    assert "too few tiles for this route to hide among." in released(line, "a", findings=SMALL)
    assert line.vault.samplings_of("university") == ()
    assert "16 tiles wait" in released(line, "b", number=2)


def test_what_is_left_of_a_budget_is_not_taken_for_a_small_biopsy(line_of):
    terms = {"min_tiles_per_slide": 8, "few_tiles": "refuse", "max_tiles_per_patient": 20}
    line = line_of(tiles_route(**terms))
    released(line, "a", number=1)
    assert "4 tiles wait" in released(line, "b", number=2)


@pytest.mark.parametrize("action", ["hold", "set_aside"])
def test_a_slide_that_a_person_stops_keeps_its_tiles_while_they_wait(line_of, action):
    tiles = tiles_route(min_patients=2, tiles_per_shard=8)
    line = line_of(*([INSIDE, tiles] if action == "hold" else [tiles]))  # without a report: done
    released(line, "slide-a", number=1, patient=1)
    line.journal.operate(action, "slide-a", operator="anna", reason="a name on the glass")
    released(line, "slide-b", number=2, patient=2)
    assert line.parcels("research") == []
    line.journal.operate("retry", "slide-a", operator="anna")
    released(line, "slide-c", number=3, patient=3)
    assert len(line.parcels("research")) == 6


def test_tiles_of_another_stain_are_never_mixed_with_those_that_are_known(line_of, monkeypatch):
    line = line_of(tiles_route(min_patients=2, tiles_per_shard=8))
    released(line, "slide-a", number=1, patient=1)
    with monkeypatch.context() as patch:
        patch.setattr(tile_route, "stain_of", lambda _header: "other")
        released(line, "slide-b", number=2, patient=2)
    assert line.parcels("research") == []
    released(line, "slide-c", number=3, patient=3)
    assert len(line.parcels("research")) == 4


def test_pixels_of_a_batch_are_kept_until_it_was_delivered(line_of):
    line = line_of(tiles_route())
    released(line, "slide-a")
    released(line, "slide-b", number=2, patient=2)
    first = line.vault.open_batches("research")
    assert len(first) == 4
    claim = line.journal.parcels.claim("research")
    line.journal.parcels.delivered(claim, words="sent")
    released(line, "slide-c", number=3, patient=3)
    left = {batch.parcel_id for batch in line.vault.open_batches("research")}
    assert {batch.parcel_id for batch in first} - left == {claim.parcel.parcel_id}


def test_a_parcel_that_lost_its_permission_is_mixed_anew_and_leaves_under_the_new_policy(line_of):
    released(line_of(tiles_route(**NOBODY)), "slide-a")
    line = line_of(tiles_route(min_tiles_per_slide=2, **NOBODY))
    released(line, "slide-b", number=2, patient=2)
    assert of_the_policy_now(line) == 2  # those that wait may still be sent by who has not heard
    for _ in range(4):
        claim = line.journal.parcels.claim("research")
        folder = line.root.outbox("research") / claim.parcel.folder
        if policy_of(folder) == line.settings.routes[0].policy_digest:
            line.journal.parcels.delivered(claim, words="sent")
        else:
            line.journal.parcels.set_aside(claim, PermissionEnded("Another policy."))
    released(line, "slide-c", number=3, patient=3)
    assert of_the_policy_now(line) == 2 + 2 + 2  # the 16 tiles of slide a too


def of_the_policy_now(line: Line) -> int:
    (route,) = line.settings.routes
    return sum(policy_of(one) == route.policy_digest for one in line.parcels("research"))


def policy_of(folder) -> str:
    return json.loads((folder / "manifest.json").read_bytes())["policy_digest"]


def test_an_expired_parcel_is_signed_anew(line_of):
    line = line_of(tiles_route())
    released(line, "slide-a")
    before = {path.name for path in line.parcels("research")}
    line.now += 31 * 86_400.0
    released(line, "slide-b", number=2, patient=2)
    now = {path.name for path in line.parcels("research")}
    assert len(now) == 4
    assert not before & now
    (route,) = line.settings.routes
    for folder in line.parcels("research"):
        assert verify(folder, route=route, public_key=line.public_key, now=line.now)


def test_a_report_that_lost_its_permission_is_signed_anew_when_its_slide_is_retried(line_of):
    released(line_of(INSIDE, outside_sr_route()), "slide-a")
    line = line_of(INSIDE | {"carries": ["SR"]}, outside_sr_route())
    route = line.settings.routes[0]
    claim = line.journal.parcels.claim("pacs")
    folder = line.root.outbox("pacs") / claim.parcel.folder
    with pytest.raises(PermissionEnded) as ended:
        verify(folder, route=route, public_key=line.public_key, now=line.now)
    line.journal.parcels.set_aside(claim, ended.value)
    line.journal.operate("retry", "slide-a", operator="anna")
    assert line.status("slide-a").stage is Stage.RELEASE
    assert line.work()
    again = line.journal.parcels.claim("pacs")
    assert again.parcel.parcel_id == claim.parcel.parcel_id
    folder = line.root.outbox("pacs") / again.parcel.folder
    assert verify(folder, route=route, public_key=line.public_key, now=line.now)
    assert len(line.parcels("registry")) == 1  # what was on its way there stays the one it was


# Whoever can write the vault's file, on a whole line.


def execute(line: Line, *statements: str) -> None:
    connection = sqlite3.connect(line.root.zone("vault") / "vault.db")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


TO_OTHERS = (
    "UPDATE pooled SET (route, terms) = (SELECT route, terms FROM pooled WHERE route = 'other') "
    "WHERE route = 'research'"
)


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        (TO_OTHERS, 2),
        ("UPDATE pooled SET patient = tile_id", 2),  # so that one patient looks like many
        ("DELETE FROM sampling", 2),
        ("UPDATE sampling SET container = recipient", 1),  # so that a rescan looks like a first one
    ],
)
def test_no_tile_leaves_from_a_vault_that_was_altered(line_of, statement, number):
    terms = {"min_patients": 2, "tiles_per_shard": 16, **NOBODY}
    line = line_of(tiles_route(**terms), tiles_route("other", "company", **terms))
    released(line, "slide-a", number=1, patient=1)
    execute(line, statement)
    line.bring("slide-b", number=number, patient=number)
    line.work()
    assert line.status("slide-b").stage is Stage.DELIVER  # its report goes its way
    assert "vault" in last_note(line, "slide-b")
    assert line.parcels("research") == line.parcels("other") == []


def test_release_does_not_start_over_a_ledger_that_was_altered(line_of):
    line = line_of(tiles_route())
    released(line, "slide-a")
    open_vault(line.settings, line.root, line.keys)._engine.dispose()
    execute(line, "UPDATE sampling SET patient = 'another'")
    with pytest.raises(ConfigError, match="altered by somebody else"):
        open_vault(line.settings, line.root, line.keys)


# The pure parts.

pools = st.lists(st.integers(0, 9), max_size=150).map(
    lambda patients: [
        PooledTile(tile_id=f"{(n * 7919) % 65_536:04x}", patient=f"p{p}", slide_id="s")
        for n, p in enumerate(patients)
    ]
)


@settings(max_examples=80)
@given(waiting=pools, patients=st.integers(2, 5), more=st.integers(0, 20), part=st.integers(1, 10))
def test_no_patient_has_more_than_its_share_of_a_batch_and_no_full_batch_is_left(
    waiting, patients, more, part
):
    share = max(part / 10, 1 / patients)
    terms = policy(min_patients=patients, tiles_per_shard=patients + more, max_share_of_batch=share)
    of = {tile.tile_id: tile.patient for tile in waiting}
    batches = compose(waiting, terms, key=KEY)
    for batch in batches:
        counts = [sum(of[tile] == patient for tile in batch) for patient in set(of.values())]
        assert max(counts) <= max(1, share * len(batch) + 1e-6)
        assert len(batch) == patients + more
        assert sum(count > 0 for count in counts) >= patients
    assert not compose(
        [t for t in waiting if not any(t.tile_id in b for b in batches)], terms, key=KEY
    )


def route_of(name: str, **terms) -> Route:
    return Route.model_validate(tiles_route(name, name, **terms))


def held_by(name: str, colludes_with: str, **changes) -> Sampling:
    values = {
        "container": "C",
        "recipient": name,
        "patient": "P",
        "slide_id": "slide",
        "place": "outside",
        "plan_digest": grid_digest(policy()),
        "colludes_with": colludes_with,
        "n_tiles": 0,
        "placements": b"[]",
    }
    return Sampling(**(values | changes))


@pytest.mark.parametrize(
    ("ours", "then", "now", "counts"),
    [
        ("all", "", (), True),
        (("b",), "", (), True),
        ((), "all", (), True),
        ((), "a", (), True),
        ((), "x,a,y", (), True),
        ((), "", ("a",), True),
        ((), "", "all", True),
        ((), "", (), False),
        (("c",), "c,ab", ("c",), False),
    ],
)
def test_who_counts_as_colluding(ours, then, now, counts):
    route = route_of("a", colludes_with=ours)
    held = held_by("b", then)
    assert colluding([held], route, [route, route_of("b", colludes_with=now)]) == [held] * counts


def test_servers_of_the_site_and_the_recipient_itself_do_not_count():
    route = route_of("a", colludes_with="all")
    held = [held_by("b", "all", place="site"), held_by("a", "all")]
    assert colluding(held, route, [route]) == []


@settings(max_examples=40)
@given(
    colours=st.sampled_from([2, 4]),
    ours=st.integers(0, 3),
    theirs=st.integers(0, 3),
    size=st.integers(16, 100),
)
def test_a_sample_fits_beside_another_exactly_when_they_share_no_cell(colours, ours, theirs, size):
    mine, other = (policy(colours=colours, colour=one % colours) for one in (ours, theirs))
    held, new = (
        plan_tiles(
            clean(size, size),
            class_map_um_px=8.0,
            policy=terms,
            sampler=Sampler.derive(KEY, container="C", recipient=name),
            n_at_most=1000,
        )
        for terms, name in ((other, "b"), (mine, "a"))
    )
    sampling = held_by(
        "b", "all", plan_digest=grid_digest(other), placements=placements_to_bytes(held)
    )
    places = {(t.row_px // 256, t.column_px // 256) for t in held}
    shared = any((t.row_px // 256, t.column_px // 256) in places for t in new)
    if shared:
        with pytest.raises(PolicyRefused, match="these very fields"):
            check_fit([sampling], slide_id="slide", policy=mine, placements=new)
    else:
        check_fit([sampling], slide_id="slide", policy=mine, placements=new)


@pytest.mark.parametrize("change", [{"slide_id": "rescan"}, {"plan_digest": "0" * 64}])
def test_a_sample_beside_one_of_another_scan_or_grid_is_refused(change):
    held = held_by("b", "all", **change)
    with pytest.raises(PolicyRefused, match="another plan or scan"):
        check_fit([held], slide_id="slide", policy=policy(), placements=())

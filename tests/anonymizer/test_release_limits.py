"""Daily limits: what goes beyond them waits for a later day, and no retry or restart gives more."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from anonymizer.release.limits import DAY_S, day_of, first_day
from appliance.errors import LimitReached, PolicyRefused
from appliance.line import State
from appliance.manifest import Manifest, verify
from appliance.settings import Limits
from appliance.stores.vault import Load
from tests.anonymizer.release_line import INSIDE, Line, outside_sr_route, tiles_route

TODAY = day_of(1_800_000_000.0)


def limited(route: dict, **limits) -> dict:
    return route | {"limits": limits}


@pytest.fixture
def make_line(tmp_path):
    lines = []

    def make(*routes: dict) -> Line:
        lines.append(Line(tmp_path / "line", list(routes)))
        return lines[-1]

    yield make
    for line in lines:
        line.close()


def days(line: Line, route: str) -> list[int]:
    """Days after today on which the parcels of a route may leave."""
    found = []
    for folder in line.parcels(route):
        manifest = Manifest.from_bytes((folder / "manifest.json").read_bytes())
        found.append(int(manifest.not_before // DAY_S) - TODAY)
    return sorted(found)


def notes(line: Line) -> str:
    return " ".join(event.text for event in line.journal.board.events())


amounts = st.builds(
    lambda n_tiles, size_bytes: Load(n_tiles=n_tiles, size_bytes=size_bytes),
    n_tiles=st.integers(0, 100),
    size_bytes=st.integers(0, 5_000_000),
)
limits_of = st.builds(
    lambda parcels, tiles, mb: Limits(parcels_per_day=parcels, tiles_per_day=tiles, mb_per_day=mb),
    parcels=st.none() | st.integers(1, 4),
    tiles=st.none() | st.integers(100, 250),
    mb=st.none() | st.floats(5.0, 12.0),
)


@settings(max_examples=100)
@given(parcels=st.lists(amounts, max_size=20), limits=limits_of)
def test_no_day_carries_more_than_its_limits_and_every_parcel_gets_the_first_that_has_room(
    parcels, limits
):
    leaving: dict[int, Load] = {}
    for load in parcels:
        day = first_day(leaving, load, limits, today=TODAY)
        for earlier in range(TODAY, day):
            assert over(leaving.get(earlier, Load(n_parcels=0)) + load, limits)
        leaving[day] = leaving.get(day, Load(n_parcels=0)) + load
        assert not over(leaving[day], limits)


def over(load: Load, limits: Limits) -> bool:
    return (
        (limits.parcels_per_day is not None and load.n_parcels > limits.parcels_per_day)
        or (limits.tiles_per_day is not None and load.n_tiles > limits.tiles_per_day)
        or (limits.mb_per_day is not None and load.size_bytes > limits.mb_per_day * 1e6)
    )


def test_a_parcel_larger_than_a_day_is_refused():
    with pytest.raises(PolicyRefused, match="more than the limits"):
        first_day({}, Load(size_bytes=2_000_001), Limits(mb_per_day=2.0), today=TODAY)


def test_reports_beyond_the_limit_wait_for_the_next_days_and_say_so(make_line):
    line = make_line(INSIDE, limited(outside_sr_route(), parcels_per_day=1))
    for number in (1, 2, 3):
        line.bring(f"slide-{number}", number=number, patient=number)
        line.work()
    assert days(line, "registry") == [0, 1, 2]
    assert days(line, "pacs") == [0, 0, 0]
    assert "1 of 1 parcels wait, the last one until 2027-01-16 (UTC)" in notes(line)
    pending = line.journal.parcels.pending("registry")
    assert [one.error_code for one in pending] == [None, "limit-reached", "limit-reached"]


def test_deliver_finds_no_such_parcel_before_its_day_and_would_refuse_it(make_line):
    line = make_line(limited(outside_sr_route(), parcels_per_day=1))
    for number in (1, 2):
        line.bring(f"slide-{number}", number=number, patient=number)
        line.work()
    line.journal.parcels._clock = lambda: line.now
    claim = line.journal.parcels.claim("registry")
    line.journal.parcels.delivered(claim, words="sent")
    assert line.journal.parcels.claim("registry") is None
    connection = sqlite3.connect(line.root.zone("journal") / "journal.db")
    with connection:  # a hostile daemon makes it due
        connection.execute("UPDATE parcel SET next_try_at = NULL")
    connection.close()
    again = line.journal.parcels.claim("registry")
    folder = line.root.outbox("registry") / again.parcel.folder
    (route,) = line.settings.routes
    terms = {"route": route, "public_key": line.public_key}
    with pytest.raises(LimitReached):
        verify(folder, now=line.now, **terms)
    assert verify(folder, now=line.now + DAY_S, **terms).not_before == (TODAY + 1) * DAY_S


def test_tiles_and_megabytes_are_limited_too(make_line):
    line = make_line(limited(tiles_route(tiles_per_shard=4), tiles_per_day=8))
    line.bring("slide-a")
    line.work()
    assert days(line, "research") == [0, 0, 1, 1]  # 16 tiles in batches of 4
    assert "2 of 4 parcels wait" in notes(line)


def test_a_batch_that_no_day_can_carry_stays_in_the_pool_and_the_slide_goes_on(make_line):
    line = make_line(INSIDE, limited(tiles_route(), mb_per_day=0.001))
    line.bring("slide-a")
    line.work()
    assert days(line, "research") == []
    assert len(line.parcels("pacs")) == 1
    assert "a batch of tiles stays. One parcel is more than the limits" in notes(line)


def test_a_retry_and_a_restart_keep_the_day_and_count_once(make_line, tmp_path):
    line = make_line(limited(outside_sr_route(), parcels_per_day=1))
    line.bring("slide-1", number=1, patient=1)
    release = line.release()

    def killed(work):
        release(work)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        line.work(killed)
    connection = sqlite3.connect(line.root.zone("journal") / "journal.db")
    with connection:
        connection.execute("UPDATE slide SET lease_until = 1.0")
    connection.close()
    assert line.work()
    line.bring("slide-2", number=2, patient=2)
    line.work()
    assert days(line, "registry") == [0, 1]
    again = Line(tmp_path / "line", line.routes)  # what was used up is still used up
    again.bring("slide-3", number=3, patient=3)
    again.work()
    assert days(again, "registry") == [0, 1, 2]
    again.close()


def test_the_next_day_has_room_again(make_line):
    line = make_line(limited(outside_sr_route(), parcels_per_day=1))
    for number in (1, 2):
        line.bring(f"slide-{number}", number=number, patient=number)
        line.work()
        line.now += DAY_S
    assert days(line, "registry") == [0, 1]
    assert all(one.error_code is None for one in line.journal.parcels.pending("registry"))


def test_each_parcel_is_one_audit_event_with_its_policy_and_no_patient(make_line):
    line = make_line(INSIDE, tiles_route(colludes_with=["university"]), outside_sr_route())
    line.bring("slide-a")
    line.work()
    events = [event for event in line.journal.board.events() if event.kind == "parcel"]
    assert len(events) == sum(len(line.parcels(route.name)) for route in line.settings.routes)
    by_route = {route.name: route for route in line.settings.routes}
    tiles = [event for event in events if "route research" in event.text]
    assert len(tiles) == 2
    for event in tiles:
        assert event.slide_id is None
        assert by_route["research"].policy_digest in event.text
        for words in ("8 tiles", "coloured_tiles", "crop_px 192", "Colludes with: university."):
            assert words in event.text
    (bare,) = [event for event in events if "route registry" in event.text]
    assert "bare_report" in bare.text
    subject = line.vault.samplings_of("university")[0].patient
    for event in events:
        assert "ZEBRAFINCH" not in event.text
        assert subject not in event.text
    assert line.status("slide-a").state is State.WAITING


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        (limited(tiles_route(tiles_per_shard=8), tiles_per_day=7), "no batch could leave"),
        (limited(INSIDE | {"carries": ["originals"]}, parcels_per_day=9), "archive route"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused_with_the_settings(make_line, route, sentence):
    with pytest.raises(ValidationError, match=sentence):
        make_line(route)

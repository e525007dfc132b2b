"""Counts over the journal and samples of the disk, as the system screen reads them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import DeliveryRefused, PeerUnavailable
from appliance.facts import RouteQueue
from appliance.line import DiskSample, Outcome, Parcel, Stage, Verdict
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.stores.samples import KEPT_S

HOUR_S = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    engine = open_engine(f"sqlite:///{tmp_path / 'journal.db'}", store="journal")
    yield Journal(engine, clock)
    engine.dispose()


def received(journal: Journal, slide_id: str) -> None:
    journal.add_slide(slide_id, scanner="scanner-1", last_byte_at=1.0)
    journal.complete(slide_id, actor="node", reason="all there")


def released(journal: Journal, slide_id: str) -> None:
    """Walk a slide to deliver, judged, with one parcel for the PACS."""
    received(journal, slide_id)
    parcel = Parcel(
        parcel_id=f"pacs-{slide_id}", route="pacs", kind="report", folder="f", slide_id=slide_id
    )
    outcomes = {
        Stage.INFER: Outcome(verdict=Verdict.ACCEPT, reason="Clean."),
        Stage.RELEASE: Outcome(parcels=(parcel,)),
    }
    for stage in list(Stage)[:-1]:
        claim = journal.claim(stage)
        assert claim is not None
        journal.advance(claim, outcomes.get(stage, Outcome()))


def test_what_came_was_judged_and_arrived_is_counted_in_bins(journal: Journal, clock: Clock):
    begins = clock.now
    clock.now = begins - 0.5 * HOUR_S
    received(journal, "too-early")
    clock.now = begins + 0.5 * HOUR_S
    released(journal, "first")
    clock.now = begins + 2.25 * HOUR_S
    received(journal, "second")
    received(journal, "third")
    claim = journal.parcels.claim("pacs")
    assert claim is not None
    journal.parcels.delivered(claim, words="It arrived.")
    found = journal.board.throughput(since=begins, bin_s=HOUR_S, n_bins=4)
    assert (found.since, found.bin_s) == (begins, HOUR_S)
    assert found.received == (1, 0, 2, 0)
    assert found.verdicts == (1, 0, 0, 0)
    assert found.deliveries == (0, 0, 1, 0)


def test_a_line_on_which_nothing_happened_has_empty_bins(journal: Journal, clock: Clock):
    found = journal.board.throughput(since=clock.now, bin_s=HOUR_S, n_bins=3)
    assert found.received == found.verdicts == found.deliveries == (0, 0, 0)


def test_samples_of_the_disk_are_kept_for_a_week(journal: Journal, clock: Clock):
    journal.sample_disk(free_bytes=10, total_bytes=100)
    clock.now += KEPT_S / 2
    journal.sample_disk(free_bytes=9, total_bytes=100)
    kept = journal.board.disk_samples(since=0.0)
    assert [one.free_bytes for one in kept] == [10, 9]
    clock.now += KEPT_S / 2 + 1
    journal.sample_disk(free_bytes=8, total_bytes=100)
    assert journal.board.disk_samples(since=0.0) == (
        DiskSample(at=kept[1].at, free_bytes=9, total_bytes=100),
        DiskSample(at=clock.now, free_bytes=8, total_bytes=100),
    )
    assert len(journal.board.disk_samples(since=clock.now)) == 1


def test_a_route_tells_what_waits_when_it_is_tried_and_what_was_refused(
    journal: Journal, clock: Clock
):
    nothing = RouteQueue(waiting=0, refused=0, next_try_at=None, error=None)
    assert journal.parcels.queue("pacs") == nothing
    for slide_id in ("one", "two", "three"):
        released(journal, slide_id)
    refused = journal.parcels.claim("pacs")
    assert refused is not None
    journal.parcels.set_aside(refused, DeliveryRefused("The PACS does not take this object."))
    away = journal.parcels.claim("pacs")
    assert away is not None
    journal.parcels.put_back(away, PeerUnavailable("The PACS is away."), after_s=30.0)
    assert journal.parcels.queue("pacs") == RouteQueue(
        waiting=2,
        refused=1,
        next_try_at=clock.now + 30.0,
        error="The PACS is away.",
        refusal="The PACS does not take this object.",
    )
    assert journal.parcels.queue("registry") == nothing

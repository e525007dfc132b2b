from collections.abc import Sequence

import pytest

from appliance.daemon import open_journal
from appliance.errors import PeerUnavailable
from appliance.line import Outcome, Parcel, SlideStatus, Stage, State, Verdict
from appliance.settings import Settings
from appliance.stores.journal import Journal
from appliance.stores.slide_reading import SlideReading
from tui.register import ALL_EVERY_S, SLACK_S, Register
from tui.tally import tally

START = 1_790_000_000.0


class Clock:
    """The time of one host."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Counting(SlideReading):
    """The journal's reader, which keeps what it was asked to read."""

    asked: list[tuple[str, ...]]

    def read_slides(self, slide_ids: Sequence[str]) -> tuple[SlideStatus, ...]:
        self.asked.append(tuple(slide_ids))
        return super().read_slides(slide_ids)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def line(settings: Settings, clock: Clock) -> Journal:
    return open_journal(settings, clock)


@pytest.fixture
def board(line: Journal) -> Counting:
    board = Counting(line._engine)
    board.asked = []
    return board


def arrive(journal: Journal, *slide_ids: str) -> None:
    for slide_id in slide_ids:
        journal.add_slide(slide_id, scanner="a", last_byte_at=1.0)


def test_only_what_changed_is_read_again(line: Journal, board: Counting, clock: Clock):
    arrive(line, "one", "two", "three")
    register = Register(board)
    register.read(clock.now)
    assert len(register.slides) == 3
    board.asked.clear()
    before = register.slides
    register.read(clock.now)
    assert board.asked == []
    assert register.slides is before
    clock.now += 1
    line.complete("two", actor="node", reason="all is there")
    register.read(clock.now)
    assert board.asked == [("two",)]
    changed = register.tally.by_id["two"]
    assert changed.state is State.WAITING
    assert [one for one in register.slides if one not in before] == [changed]


def test_a_slide_that_comes_is_shown_first(line: Journal, board: Counting, clock: Clock):
    arrive(line, "old")
    register = Register(board)
    register.read(clock.now)
    clock.now += 60
    arrive(line, "new")
    register.read(clock.now)
    assert [slide.slide_id for slide in register.slides] == ["new", "old"]


def test_a_parcel_that_moves_brings_its_slide_again(line: Journal, board: Counting, clock: Clock):
    arrive(line, "sent", "other")
    line.complete("sent", actor="node", reason="")
    parcel = Parcel(parcel_id="p", route="pacs", kind="report", folder="f", slide_id="sent")
    for stage in list(Stage)[:-1]:
        claim = line.claim(stage)
        assert claim is not None
        parcels = (parcel,) if stage is Stage.RELEASE else ()
        line.advance(claim, Outcome(verdict=Verdict.ACCEPT, parcels=parcels))
    register = Register(board)
    register.read(clock.now)
    clock.now += 1
    given = line.parcels.claim("pacs")
    assert given is not None
    board.asked.clear()
    register.read(clock.now)
    assert board.asked == [("sent",)]
    assert register.tally.routes["pacs"].waiting == 1
    clock.now += 1
    line.parcels.put_back(given, PeerUnavailable("The PACS did not answer."), after_s=0)
    register.read(clock.now)
    newest = register.tally.routes["pacs"].newest
    assert newest.error == "The PACS did not answer."


def test_a_host_with_a_late_clock_is_seen_within_the_slack_or_at_the_next_full_look(
    line: Journal, board: Counting, clock: Clock, settings: Settings
):
    arrive(line, "near", "far")
    clock.now += 60
    arrive(line, "newest")
    register = Register(board)
    register.read(clock.now)
    late = Clock()
    other = open_journal(settings, late)
    late.now = clock.now - SLACK_S + 1
    other.complete("near", actor="node", reason="")
    late.now = clock.now - 2 * SLACK_S
    other.complete("far", actor="node", reason="")
    clock.now += 1
    register.read(clock.now)
    assert register.tally.by_id["near"].state is State.WAITING
    assert register.tally.by_id["far"].state is State.RECEIVING
    clock.now += ALL_EVERY_S
    register.read(clock.now)
    assert register.tally.by_id["far"].state is State.WAITING


def test_a_host_whose_clock_is_ahead_hides_nothing(
    line: Journal, board: Counting, clock: Clock, settings: Settings
):
    ahead = Clock()
    ahead.now += 3600
    arrive(open_journal(settings, ahead), "early")
    register = Register(board)
    register.read(clock.now)
    clock.now += 1
    arrive(line, "now")
    register.read(clock.now)
    assert {slide.slide_id for slide in register.slides} == {"early", "now"}


def test_what_is_counted_is_what_is_there(literal_line):
    counted = tally(literal_line.slides)
    assert counted.stages[Stage.INFER, State.HELD] == 1
    assert counted.stages.get((Stage.REPORT, State.HELD), 0) == 0
    pacs = counted.routes["pacs"]
    assert (pacs.arrived, pacs.waiting, pacs.refused) == (3, 1, 0)
    assert counted.shards == {}
    assert tally((), literal_line.slides[0].deliveries).shards["pacs"].arrived == 1
    assert set(counted.by_id) == {slide.slide_id for slide in literal_line.slides}

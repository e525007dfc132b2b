import dataclasses
import random

import pytest

from appliance.attention import Attention
from appliance.line import Mark, SlideStatus, Stage, State, Verdict
from tests.tui.conftest import NOW, slide
from tui.arrangement import Arrangement, Order
from tui.names import Names
from tui.snapshot import Snapshot


def line(*slides: SlideStatus) -> Snapshot:
    return Snapshot(at=NOW, slides=slides)


def followed(snapshot: Snapshot, now: float = NOW) -> Arrangement:
    arrangement = Arrangement()
    arrangement.follow(snapshot, now=now)
    return arrangement


def test_what_must_be_scanned_again_and_what_is_stuck_come_first(literal_line: Snapshot):
    groups = list(followed(literal_line).groups())
    assert [need for need, _ in groups] == [
        need for need in Attention if need is not Attention.REQUESTED
    ]
    first, second = (literal_line.slide(ids[0]) for _, ids in groups[:2])
    assert first is not None
    assert first.verdict is Verdict.RESCAN
    assert second is not None
    assert second.state is State.ASIDE


def test_inside_a_group_the_newest_slide_comes_first(literal_line: Snapshot):
    moving = dict(followed(literal_line).groups())[Attention.MOVING]
    came = [found.created_at for one in moving if (found := literal_line.slide(one))]
    assert came == sorted(came, reverse=True)


def test_every_word_that_is_sought_must_be_in_the_row(literal_line: Snapshot):
    names = Names()
    names.learn({"mq4xk7b2pa": "S26-01877-A1", "f7yd2nq5ce": "S26-01877-A2"})
    arrangement = Arrangement()
    arrangement.follow(literal_line, now=NOW, names=names)

    def found(sought: str) -> list[str]:
        return [slide_id for _, ids in arrangement.groups(sought) for slide_id in ids]

    assert found("01877 RESCAN") == ["mq4xk7b2pa"]
    assert len(found("")) == len(literal_line.slides)
    assert found("01877 accept") == []
    assert found("s26-01880") == []
    names.learn({"k3vw8rt6zu": "S26-01880-B1"})
    arrangement.follow(literal_line, now=NOW, names=names)
    assert found("s26-01880") == ["k3vw8rt6zu"]


def test_a_running_slide_becomes_stuck_as_time_passes_and_nothing_else_is_looked_at():
    running = slide("running", Stage.INFER, State.RUNNING, updated_at=0.5)
    done = slide("done", Stage.DELIVER, State.DONE)
    snapshot = line(running, done)
    arrangement = followed(snapshot)
    assert dict(arrangement.counts) == {Attention.MOVING: 1, Attention.DONE: 1}
    serial = arrangement.serial
    arrangement.follow(snapshot, now=NOW + 30)
    assert arrangement.serial == serial
    arrangement.follow(snapshot, now=NOW + 120)
    assert arrangement.need("running") is Attention.STUCK
    assert arrangement.need("done") is Attention.DONE


def test_a_new_scan_of_the_same_container_settles_the_one_before():
    first = slide("first", Stage.DELIVER, State.DONE, verdict=Verdict.RESCAN)
    again = slide("again", Stage.INFER, State.WAITING, supersedes="first", created_at=3)
    arrangement = followed(line(first))
    assert arrangement.need("first") is Attention.RESCAN
    arrangement.follow(line(first, again), now=NOW)
    assert arrangement.need("first") is Attention.DONE
    arrangement.follow(line(first), now=NOW)
    assert arrangement.need("first") is Attention.RESCAN
    assert arrangement.need("again") is None


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.NEWEST, ["b", "c", "a"]),
        (Order.NAME, ["a", "b", "c"]),
        (Order.SCANNER, ["c", "b", "a"]),
        (Order.TIME, ["c", "b", "a"]),
    ],
)
def test_slides_are_sorted_by_what_the_technician_chose(order: Order, expected: list[str]):
    accept = {"verdict": Verdict.ACCEPT}
    arrangement = followed(
        line(
            slide("a", Stage.DELIVER, State.DONE, scanner="z", created_at=90, last_byte_at=80,
                  verdict_at=70, **accept),
            slide("b", Stage.DELIVER, State.DONE, scanner="y", created_at=10, last_byte_at=80,
                  verdict_at=40, **accept),
            slide("c", Stage.INFER, State.HELD, scanner="x", created_at=50, last_byte_at=20),
        )
    )  # fmt: skip
    arrangement.sort(order)
    assert list(arrangement.groups()) == [(None, expected)]
    arrangement.sort(Order.URGENCY)
    assert [need for need, _ in arrangement.groups()] == [Attention.HELD, Attention.DONE]


def test_the_orders_come_round():
    order = Order.URGENCY
    seen = [order := order.following for _ in Order]
    assert set(seen) == set(Order)
    assert order is Order.URGENCY


@pytest.mark.parametrize("order", list(Order))
def test_what_is_kept_while_slides_change_is_what_would_be_sorted_anew(order: Order):
    dice = random.Random(7)  # noqa: S311
    known: dict[str, SlideStatus] = {}
    names = Names()
    kept = Arrangement()
    kept.sort(order)
    for step in range(40):
        for _ in range(5):
            name = f"slide{dice.randrange(30):02d}"
            known[name] = _any_slide(name, dice)
        if step % 7 == 6:
            known.pop(dice.choice(sorted(known)))
        named = f"slide{dice.randrange(30):02d}"
        names.learn({named: f"S-{dice.randrange(100)}"})
        now = NOW + step * 20
        snapshot = line(*sorted(known.values(), key=lambda one: -one.created_at))
        kept.follow(snapshot, now=now, names=names)
        anew = Arrangement()
        anew.sort(order)
        anew.follow(snapshot, now=now, names=names)
        for sought in ("", "scanner-1", "rescan s-1"):
            assert list(kept.groups(sought)) == list(anew.groups(sought))
        assert kept.counts == anew.counts


def _any_slide(slide_id: str, dice: random.Random) -> SlideStatus:
    made = slide(
        slide_id,
        dice.choice(list(Stage)),
        dice.choice(list(State)),
        scanner=f"scanner-{dice.randrange(3)}",
        created_at=dice.randrange(500),
        last_byte_at=dice.randrange(500),
        updated_at=dice.randrange(50),
        verdict=dice.choice([None, *Verdict]),
        verdict_at=dice.choice([None, 3.0]),
        mark=dice.choice([None, None, *Mark]),
    )
    supersedes = dice.choice([None, None, f"slide{dice.randrange(30):02d}"])
    return dataclasses.replace(made, supersedes=supersedes)

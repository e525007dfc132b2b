"""When the disk will be full: robust against purges and batches, silent while it knows nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.line import DiskSample
from tui.amounts import about, lasting, sparkline, speed
from tui.forecast import Forecast, forecast
from tui.panels.machine import forecast_sentence

GIB = 1 << 30
HOUR_S, DAY_S = 3600.0, 86_400.0
EVERY_S = 300.0
SOFT, HARD = 50 * GIB, 10 * GIB


def samples(free_gib: list[float]) -> list[DiskSample]:
    return [
        DiskSample(at=1e9 + EVERY_S * number, free_bytes=int(free * GIB), total_bytes=2000 * GIB)
        for number, free in enumerate(free_gib)
    ]


def told(free_gib: list[float]) -> Forecast | None:
    free_bytes = int(free_gib[-1] * GIB) if free_gib else 0
    return forecast(samples(free_gib), free_bytes=free_bytes, soft_bytes=SOFT, hard_bytes=HARD)


def steady(days: float, *, begin: float, a_day: float) -> list[float]:
    n_samples = round(days * DAY_S / EVERY_S) + 1
    return [begin - a_day * number * EVERY_S / DAY_S for number in range(n_samples)]


@settings(max_examples=60)
@given(a_day=st.floats(3, 100), days=st.floats(0.2, 3))
def test_a_disk_that_fills_evenly_is_full_when_arithmetic_says(a_day: float, days: float):
    free = steady(days, begin=1000, a_day=a_day)
    found = told(free)
    assert found is not None
    assert found.bytes_a_day == pytest.approx(a_day * GIB, rel=0.01)
    assert found.full_in_s == pytest.approx((free[-1] - 10) / a_day * DAY_S, rel=0.02)
    assert found.put_off_in_s == pytest.approx((free[-1] - 50) / a_day * DAY_S, rel=0.02)


@pytest.mark.parametrize("n_samples", [0, 1, 5, 24])
def test_less_than_two_hours_say_nothing(n_samples: int):
    assert told(steady(3, begin=900, a_day=60)[:n_samples]) is None


def test_one_purge_does_not_hide_that_the_disk_fills():
    free = steady(7, begin=700, a_day=60)
    cut = len(free) // 2
    found = told([*free[:cut], *(one + 300 for one in free[cut:])])
    assert found is not None
    assert found.bytes_a_day == pytest.approx(60 * GIB, rel=0.02)


def test_a_lab_that_fills_by_day_and_purges_by_night_is_not_filling():
    day = [900 - 80 * max(0.0, min(1.0, (number - 96) / 108)) for number in range(288)]
    found = told([*day, *day, *day, *day])
    assert found is not None
    assert not found.is_filling


def test_nights_do_not_make_a_lab_look_slower_than_it_is():
    by_day = [60 * max(0.0, min(1.0, (number - 96) / 108)) for number in range(288)]
    found = told([900 - 60 * day - one for day in range(4) for one in by_day])
    assert found is not None
    assert found.bytes_a_day == pytest.approx(60 * GIB, rel=0.03)


def test_one_large_batch_does_not_decide():
    free = [500.0] * 432
    free[300:] = [460.0] * 132  # of a day and a half
    found = told(free)
    assert found is not None
    assert not found.is_filling


def test_what_is_emptied_faster_than_it_fills_is_not_filling():
    found = told(steady(2, begin=300, a_day=-40))
    assert found is not None
    assert found.bytes_a_day < 0
    assert not found.is_filling


@pytest.mark.parametrize(
    ("free", "sentence"),
    [
        ([], "When it is full is not known yet: that takes two hours of samples."),
        (steady(2, begin=700, a_day=0), "It is not filling."),
        (steady(2, begin=700, a_day=60), "It fills by 64 GB a day: full in about 10 days."),
        (steady(1, begin=52, a_day=30), "It fills by 32 GB a day: full in about 10 hours."),
        (steady(1, begin=12, a_day=30), "It is full."),
    ],
)
def test_the_screen_says_it_in_a_sentence(free: list[float], sentence: str):
    assert forecast_sentence(told(free)) == sentence


def test_spans_are_said_as_one_plans_with_them():
    spans = (600, 1.2 * HOUR_S, 47 * HOUR_S, 9.4 * DAY_S, 200 * DAY_S)
    assert [about(span) for span in spans] == [
        "less than an hour",
        "about 1 hour",
        "about 47 hours",
        "about 9 days",
        "about 7 months",
    ]
    assert [lasting(span) for span in (-1, 40, 750, 5.5 * HOUR_S, 3 * DAY_S)] == [
        "0 s",
        "40 s",
        "12 min",
        "5 h",
        "3 d",
    ]
    assert speed(38_420_000) == "38.4 MB/s"


def test_a_sparkline_fits_and_keeps_the_newest_on_the_right():
    assert sparkline([0, 1, 8], 10) == "·▁█"
    assert sparkline([4, 4, 0, 0, 9], 2) == "██"
    assert sparkline([3, 4, 0, 0, 18], 2) == "▄█"
    assert sparkline([0, 0], 5) == "··"
    assert sparkline([], 5) == ""


@given(counts=st.lists(st.integers(0, 10_000), max_size=200), width=st.integers(1, 80))
def test_a_sparkline_is_never_wider_than_its_room(counts: list[int], width: int):
    drawn = sparkline(counts, width)
    assert len(drawn) <= width
    assert (set(drawn) <= {"·"}) == (not any(counts))

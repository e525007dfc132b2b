"""When a slide is complete: vetoes first, then the profile, then the quiet time."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dicom_node.headers import Instance
from dicom_node.slides.completeness import Profile, Progress, Receiving, judge, veto
from tests.dicom_node.test_grouping import instance

QUIET = Profile(quiet_s=60.0)


def receiving(*instances: Instance, **values: object) -> Receiving:
    fields = {"in_flight": False, "association_open": False, "last_byte_at": 0.0}
    return Receiving(instances=instances, **(fields | values))  # type: ignore[arg-type]


def part(number: int, **values: object) -> Instance:
    given_values = {"concatenation_uid": "1.9", "part": number, "parts": 3, "n_frames": 4,
                    "n_frames_expected": 12}  # fmt: skip
    return instance(**(given_values | values))


@pytest.mark.parametrize(
    ("now", "open_", "progress"),
    [
        (59.0, False, Progress.WAIT),
        (61.0, True, Progress.WAIT),
        (10_000.0, True, Progress.WAIT),
        (61.0, False, Progress.COMPLETE),
    ],
)
def test_without_a_profile_release_and_quiet_decide(
    now: float, *, open_: bool, progress: Progress
) -> None:
    slide = receiving(instance(), association_open=open_)
    assert judge(slide, QUIET, now=now).progress is progress


def test_the_expected_images_decide_at_release_or_when_quiet() -> None:
    profile = Profile(quiet_s=60.0, expects=("VOLUME", "LABEL"))
    slide = receiving(instance(), instance(flavour="LABEL"))
    still_open = replace(slide, association_open=True)
    assert judge(slide, profile, now=0.0).progress is Progress.COMPLETE
    assert judge(still_open, profile, now=0.0).progress is Progress.WAIT
    assert judge(still_open, profile, now=60.0).progress is Progress.COMPLETE


def test_a_profile_may_count_levels() -> None:
    profile = Profile(quiet_s=60.0, expects=("VOLUME", "VOLUME"))
    assert judge(receiving(instance()), profile, now=0.0).progress is Progress.WAIT
    both = receiving(instance(), instance())
    assert judge(both, profile, now=0.0).progress is Progress.COMPLETE


def test_a_slide_whose_profile_never_fits_is_complete_when_quiet() -> None:
    profile = Profile(quiet_s=60.0, expects=("VOLUME", "THUMBNAIL"))
    assert judge(receiving(instance()), profile, now=60.0).progress is Progress.COMPLETE


@given(st.permutations([1, 2, 3]), st.integers(0, 3))
def test_a_concatenation_is_open_until_its_last_part(order: list[int], n_came: int) -> None:
    came = [part(number) for number in order[:n_came]]
    reason = veto(came, None)
    assert (reason is None) == (n_came == 3)


def test_a_part_beyond_the_total_does_not_stand_for_one_that_is_missing() -> None:
    parts = [part(number, n_frames_expected=None) for number in (1, 2, 4)]
    assert veto(parts, None) == "2 of 3 parts of a level came."


def test_a_part_that_came_twice_counts_once() -> None:
    assert veto([part(1), part(1), part(2)], None) == "2 of 3 parts of a level came."


def test_a_concatenation_without_a_total_is_counted_by_frames() -> None:
    parts = [part(number, parts=None) for number in (1, 2)]
    assert veto(parts, None) is not None
    assert veto([*parts, part(3, parts=None)], None) is None


def test_missing_frames_of_a_level_are_a_veto() -> None:
    assert veto([instance(n_frames=3, n_frames_expected=4)], None) is not None
    assert veto([instance(n_frames=4, n_frames_expected=4)], None) is None
    assert veto([instance(n_frames=3, n_frames_expected=None)], None) is None


@given(now=st.floats(0, 1e9), forced=st.booleans(), open_=st.booleans())
def test_nothing_completes_while_an_object_comes_in(
    *, now: float, forced: bool, open_: bool
) -> None:
    slide = receiving(instance(), in_flight=True, association_open=open_)
    assert judge(slide, QUIET, now=now, forced=forced).progress is Progress.WAIT


@given(st.floats(0, 1e9))
def test_a_veto_never_completes_by_time(now: float) -> None:
    judgement = judge(receiving(part(1)), QUIET, now=now)
    assert judgement.progress is (Progress.GIVE_UP if now >= 180.0 else Progress.WAIT)
    assert judgement.reason == "1 of 3 parts of a level came."


def test_an_operator_overrules_a_veto() -> None:
    assert judge(receiving(part(1)), QUIET, now=0.0, forced=True).progress is Progress.COMPLETE


def test_doubt_is_a_veto() -> None:
    judgement = judge(receiving(instance(), doubt="Not certain."), QUIET, now=1000.0)
    assert (judgement.progress, judgement.reason) == (Progress.GIVE_UP, "Not certain.")


COMMITS = Profile(quiet_s=60.0, commits=True)


def test_a_commitment_request_for_all_of_it_completes_a_slide_over_an_open_association() -> None:
    slide = receiving(instance(), association_open=True, committed=True)
    assert judge(slide, COMMITS, now=0.0).progress is Progress.COMPLETE
    assert judge(slide, QUIET, now=0.0).progress is Progress.WAIT
    uncovered = replace(slide, committed=False)
    assert judge(uncovered, COMMITS, now=0.0).progress is Progress.WAIT


def test_a_commitment_request_without_the_base_completes_nothing() -> None:
    level = instance(is_resampled=True)
    slide = receiving(level, instance(flavour="LABEL"), committed=True)
    assert judge(slide, COMMITS, now=0.0).progress is Progress.WAIT
    assert judge(slide, COMMITS, now=60.0).progress is Progress.COMPLETE


@st.composite
def slides_with_something_missing(draw: st.DrawFn) -> list[Instance]:
    """Objects of a slide in any order, of which at least one that belongs to it did not come."""
    n_parts = draw(st.integers(2, 5))
    totals = draw(st.booleans())
    frames = draw(st.booleans()) or not totals
    parts = [
        instance(
            sop_instance_uid=f"1.{number}",
            concatenation_uid="1.9",
            part=number,
            parts=n_parts if totals else None,
            n_frames=4,
            n_frames_expected=4 * n_parts if frames else None,
        )
        for number in range(1, n_parts + 1)
    ]
    missing = draw(st.sets(st.integers(0, n_parts - 1), min_size=1))
    came = [one for number, one in enumerate(parts) if number not in missing]
    others = [
        instance(sop_instance_uid="2.1", is_resampled=True, n_frames=4, n_frames_expected=4),
        instance(sop_instance_uid="2.2", flavour="LABEL"),
        instance(sop_instance_uid="2.3", flavour="OVERVIEW"),
    ]
    some = draw(st.lists(st.sampled_from(others), unique=True))
    again = draw(st.lists(st.sampled_from(came), max_size=2)) if came else []
    assume(came)
    return draw(st.permutations([*came, *some, *again]))


@given(
    instances=slides_with_something_missing(),
    now=st.floats(0, 1e9),
    expects=st.lists(st.sampled_from(["VOLUME", "LABEL"]), max_size=2),
    commits=st.booleans(),
    committed=st.booleans(),
    open_=st.booleans(),
)
def test_a_slide_with_a_part_missing_is_never_complete(
    *,
    instances: list[Instance],
    now: float,
    expects: list[str],
    commits: bool,
    committed: bool,
    open_: bool,
) -> None:
    profile = Profile(quiet_s=60.0, expects=tuple(expects), commits=commits)
    slide = receiving(*instances, association_open=open_, committed=committed)
    assert judge(slide, profile, now=now).progress is not Progress.COMPLETE


@given(
    order=st.permutations(
        [part(1), part(2), part(3), instance(is_resampled=True), instance(flavour="LABEL")]
    ),
    n_came=st.integers(1, 5),
    now=st.floats(0, 1000),
    committed=st.booleans(),
    open_=st.booleans(),
)
def test_the_order_in_which_objects_came_changes_no_judgement(
    *, order: list[Instance], n_came: int, now: float, committed: bool, open_: bool
) -> None:
    came = order[:n_came]
    slide = receiving(*came, association_open=open_, committed=committed)
    sorted_ = replace(slide, instances=sorted(came, key=str))
    assert judge(slide, COMMITS, now=now) == judge(sorted_, COMMITS, now=now)

"""Which objects make one slide: whatever the order they come in."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dicom_node.contexts import VL_WHOLE_SLIDE_MICROSCOPY
from dicom_node.headers import Instance
from dicom_node.slides.grouping import Arrival, group

CHOICE = st.sampled_from


def instance(**values: object) -> Instance:
    fields = {
        "sop_instance_uid": "1.1",
        "sop_class_uid": VL_WHOLE_SLIDE_MICROSCOPY,
        "transfer_syntax_uid": "1.2",
        "study_instance_uid": "1.3",
        "series_instance_uid": "1.4",
        "frame_of_reference_uid": "1.5",
        "container_identifier": "A",
        "flavour": "VOLUME",
    }
    return Instance(**(fields | values))  # type: ignore[arg-type]


def arrivals(*instances: Instance) -> list[Arrival]:
    return [
        Arrival(number=n, instance=one, association="a") for n, one in enumerate(instances, start=1)
    ]


SOME = st.lists(
    st.builds(
        instance,
        series_instance_uid=CHOICE(["s1", "s2", "s3"]),
        frame_of_reference_uid=CHOICE(["f1", "f2", None]),
        container_identifier=CHOICE(["A", "B", None]),
        container_issuer=CHOICE([None, "lab"]),
        flavour=CHOICE(["VOLUME", "LABEL", "OVERVIEW"]),
        acquired=CHOICE([None, "2026", "2027"]),
        is_resampled=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


def sets(found: object) -> set[frozenset[int]]:
    return {frozenset(one.number for one in each.arrivals) for each in found}  # type: ignore[attr-defined]


@given(SOME, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(instances: list[Instance], random: object) -> None:
    ordered = arrivals(*instances)
    shuffled = list(ordered)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert group(ordered) == group(shuffled)


@given(SOME, st.randoms(use_true_random=False))
def test_the_numbers_that_objects_got_on_arrival_do_not_matter(
    instances: list[Instance], random: object
) -> None:
    named = [replace(one, sop_instance_uid=f"1.{n}") for n, one in enumerate(instances)]
    shuffled = list(named)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert slides_of(named) == slides_of(shuffled)


def slides_of(instances: list[Instance]) -> set[tuple[frozenset[str], str | None]]:
    """What grouping makes of objects that came in this order."""
    return {
        (frozenset(one.instance.sop_instance_uid for one in each.arrivals), each.doubt)
        for each in group(arrivals(*instances))
    }


@given(SOME)
def test_every_object_is_in_exactly_one_slide(instances: list[Instance]) -> None:
    numbers = [one.number for each in group(arrivals(*instances)) for one in each.arrivals]
    assert sorted(numbers) == list(range(1, len(instances) + 1))


@given(SOME)
def test_no_slide_holds_two_containers(instances: list[Instance]) -> None:
    for each in group(arrivals(*instances)):
        named = {
            (one.instance.container_identifier, one.instance.container_issuer)
            for one in each.arrivals
            if one.instance.container_identifier is not None
        }
        assert len(named) <= 1


def test_a_label_in_another_series_follows_its_container() -> None:
    volume, label = instance(), instance(flavour="LABEL", series_instance_uid="9",
                                         frame_of_reference_uid=None)  # fmt: skip
    assert sets(group(arrivals(volume, label))) == {frozenset({1, 2})}


def test_levels_in_series_of_their_own_share_the_frame_of_reference() -> None:
    base = instance(container_identifier=None)
    level = replace(base, series_instance_uid="9")
    assert sets(group(arrivals(base, level))) == {frozenset({1, 2})}


def test_two_issuers_of_one_number_are_two_containers() -> None:
    some, other = instance(container_issuer="lab"), instance(container_issuer="clinic")
    assert len(group(arrivals(some, other))) == 2


def test_two_scans_of_a_container_are_two_slides() -> None:
    first = instance()
    second = instance(series_instance_uid="9", frame_of_reference_uid="9")
    assert sets(group(arrivals(first, second))) == {frozenset({1}), frozenset({2})}


def test_a_label_of_a_rescan_follows_its_association() -> None:
    first = instance()
    second = instance(series_instance_uid="9", frame_of_reference_uid="9")
    label = instance(series_instance_uid="8", frame_of_reference_uid=None, flavour="LABEL")
    all_of = arrivals(first, second, label)
    all_of[1] = replace(all_of[1], association="b")
    all_of[2] = replace(all_of[2], association="b")
    assert sets(group(all_of)) == {frozenset({1}), frozenset({2, 3})}


def test_a_nameless_object_joins_the_slide_whose_series_it_shares() -> None:
    volume, stray = instance(), instance(container_identifier=None, flavour="LABEL")
    (found,) = group(arrivals(volume, stray))
    assert found.doubt is None
    assert len(found.arrivals) == 2


def test_a_nameless_object_that_fits_two_slides_is_doubtful() -> None:
    some, other = instance(), instance(container_identifier="B")
    stray = instance(container_identifier=None, flavour="LABEL")
    doubts = [one.doubt for one in group(arrivals(some, other, stray))]
    assert doubts[:2] == [None, None]
    assert doubts[2] is not None


def test_a_nameless_label_alone_is_doubtful() -> None:
    (found,) = group(arrivals(instance(container_identifier=None, flavour="LABEL")))
    assert found.doubt is not None


def test_nameless_levels_with_a_frame_of_reference_each_are_one_slide() -> None:
    base = instance(container_identifier=None, frame_of_reference_uid="1.5.1")
    level = replace(base, frame_of_reference_uid="1.5.2", is_resampled=True)
    (found,) = group(arrivals(base, level))
    assert found.doubt is None


def test_two_nameless_bases_in_one_series_are_doubtful() -> None:
    base = instance(container_identifier=None, frame_of_reference_uid="1.5.1")
    (found,) = group(arrivals(base, replace(base, frame_of_reference_uid="1.5.2")))
    assert found.doubt is not None


def test_two_slides_in_one_series_are_told_apart_by_their_containers() -> None:
    some = [instance(), instance(flavour="LABEL"), instance(is_resampled=True)]
    others = [replace(one, container_identifier="B") for one in some]
    found = group(arrivals(*some, *others))
    assert [len(one.arrivals) for one in found] == [3, 3]
    assert [one.doubt for one in found] == [None, None]

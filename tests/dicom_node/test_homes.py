"""Which group goes on as which slide."""

from hypothesis import given
from hypothesis import strategies as st

from dicom_node.slides.homes import Member, homes


def member(number: int, slide_id: str | None = None, **values: bool) -> Member:
    fields = {"assembled": False, "is_volume": True}
    return Member(number=number, slide_id=slide_id, **(fields | values))


MEMBERS = st.lists(
    st.builds(
        Member,
        number=st.integers(1, 50),
        slide_id=st.sampled_from([None, "a", "b", "c"]),
        assembled=st.booleans(),
        is_volume=st.booleans(),
    ),
    max_size=5,
)


@given(st.lists(MEMBERS, max_size=5))
def test_no_two_groups_go_on_as_one_slide(groups: list[list[Member]]) -> None:
    found = homes(groups)
    known = [one for one in found if one is not None]
    assert len(found) == len(groups)
    assert len(set(known)) == len(known)
    for home, members in zip(found, groups, strict=True):
        assert home is None or home in {one.slide_id for one in members}


@given(st.lists(MEMBERS, max_size=5))
def test_a_slide_that_was_assembled_goes_on_with_one_of_its_own(
    groups: list[list[Member]],
) -> None:
    found = homes(groups)
    for home, members in zip(found, groups, strict=True):
        assembled = {one.slide_id for each in groups for one in each if one.assembled}
        if home is not None and home in assembled:
            assert any(one.assembled for one in members if one.slide_id == home)


def test_a_new_group_is_a_new_slide() -> None:
    assert homes([[member(1)], [member(2)]]) == [None, None]


def test_a_group_that_splits_leaves_the_slide_to_its_oldest_volume() -> None:
    label = member(1, "a", is_volume=False)
    assert homes([[label, member(3)], [member(2, "a")]]) == [None, "a"]


def test_a_group_that_merges_goes_on_as_the_slide_that_was_assembled() -> None:
    assert homes([[member(1, "a"), member(2, "b", assembled=True)]]) == ["b"]
    assert homes([[member(2, "b"), member(1, "a")]]) == ["a"]

"""Which group of objects goes on as which slide: a pure function of what was assigned before.

What belongs together is found anew with every object that comes, so a group may split or merge.
A slide then goes on with one group only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A stored object of a group."""

    number: int
    slide_id: str | None
    assembled: bool
    """A revision of its slide holds it."""
    is_volume: bool


def homes(groups: Sequence[Iterable[Member]]) -> list[str | None]:
    """Give for each group the slide that it goes on as; None for a new one.

    A slide goes on with the group of its oldest assembled VOLUME image, else of its oldest
    assembled object, else of its oldest VOLUME image, else of its oldest object. A group with
    several slides goes on as the one that is first by the same order.
    """
    best: dict[str, tuple[tuple[bool, bool, int], int]] = {}
    for index, members in enumerate(groups):
        for one in members:
            if one.slide_id is not None:
                claim = ((not one.assembled, not one.is_volume, one.number), index)
                best[one.slide_id] = min(best.get(one.slide_id, claim), claim)
    found: list[str | None] = [None] * len(groups)
    for slide_id, (_, index) in sorted(best.items(), key=lambda item: item[1]):
        if found[index] is None:
            found[index] = slide_id
    return found

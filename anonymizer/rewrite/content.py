"""Content trees of structured reports: which items stay, and where they then stand.

An item goes with all that is below it, and with it every item that refers to it; the references
that are left are numbered anew, so that the tree stays valid (PS3.3 C.17.3.2).
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from anonymizer.part10.elements import Element, find, items
from anonymizer.profile.decide import Action, Decision, Profile
from anonymizer.rewrite.content_rules import TARGET, gone, value_attribute, value_decision

CONTENT_SEQUENCE: Final = 0x0040A730

Place = tuple[int, ...]
"""Where an item stands: the root is (1,), its second child (1, 2)."""

_ROOT: Final[Place] = (1,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentItem:
    """One item of the tree and what will be done with it."""

    elements: tuple[Element, ...]
    """As in the input, but with the reference to another item as it will be."""
    decisions: Mapping[int, Decision]
    """About the attributes that the tree decides; the profile decides about the others."""
    dropped: Decision | None
    """Why the item goes with all that is below it; None when it stays."""
    children: "tuple[ContentItem, ...]" = ()


def content_items(
    sequence: Sequence[Sequence[Element]], profile: Profile
) -> tuple[ContentItem, ...]:
    """Decide about the items of the Content Sequence of an object."""
    decided = tuple(_decided(item, profile) for item in sequence)
    stays = dict(_places(decided, _ROOT, _ROOT))
    settled = tuple(_settled(item, stays) for item in decided)
    places = dict(_places(settled, _ROOT, _ROOT))
    return tuple(_pointed(item, places) for item in settled)


def _decided(item: Sequence[Element], profile: Profile) -> ContentItem:
    decision, tag = value_decision(item, profile), value_attribute(item)
    dropped = decision if decision.action is Action.REMOVE else None
    return ContentItem(
        elements=tuple(item),
        decisions={} if dropped or tag is None else {tag: decision},
        dropped=dropped,
        children=tuple(_decided(child, profile) for child in items(item, CONTENT_SEQUENCE)),
    )


def _places(
    tree: Sequence[ContentItem], before: Place, after: Place
) -> Iterator[tuple[Place, Place]]:
    """Give where every item that stays was, and where it will be; references count only."""
    yield before, after
    kept = 0
    for number, item in enumerate(tree, start=1):
        if item.dropped is None:
            kept += 1
            if not _target(item):
                yield from _places(item.children, (*before, number), (*after, kept))


def _settled(item: ContentItem, places: Mapping[Place, Place]) -> ContentItem:
    """Drop what refers to an item that goes, or to what is itself a reference."""
    target, dropped = _target(item), item.dropped
    if dropped is None and target and target not in places:
        dropped = gone("E.3.4", "refers to an item that goes")
    children = tuple(_settled(child, places) for child in item.children)
    return replace(item, dropped=dropped, children=children)


def _pointed(item: ContentItem, places: Mapping[Place, Place]) -> ContentItem:
    """Write references between items as the new places are."""
    target = places.get(_target(item), ())
    new = Element(TARGET, "UL", struct.pack(f"<{len(target)}I", *target))
    elements = (new if one.tag == TARGET and target else one for one in item.elements)
    children = tuple(_pointed(child, places) for child in item.children)
    return replace(item, elements=tuple(elements), children=children)


def _target(item: ContentItem) -> Place:
    value = find(item.elements, TARGET)
    return struct.unpack(f"<{len(value) // 4}I", value[: len(value) // 4 * 4])

"""What will be done with every attribute of an object, before anything is done."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from anonymizer.part10.elements import Element, text
from anonymizer.profile.decide import Action, Decision, Profile, keyword
from anonymizer.profile.iod import Attribute, Shape
from anonymizer.profile.options import RETAIN_SAFE_PRIVATE
from anonymizer.rewrite.content import CONTENT_SEQUENCE, ContentItem, content_items

_FIRST_CREATOR, _LAST_CREATOR = 0x10, 0xFF
_CREATOR = Attribute(vr="LO", type="3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One attribute and what will be done with it."""

    element: Element
    attribute: Attribute | None
    decision: Decision
    path: str
    """Keywords from the top, such as OpticalPathSequence/ICCProfile; items are not numbered."""
    items: tuple[tuple["Planned", ...], ...] = ()
    """Plans of the items when the action is to recurse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A line of the report: what is done with the attributes of one path. Never a value."""

    path: str
    action: Action
    rule: str
    reason: str
    count: int


def plan(
    elements: Sequence[Element], shape: Shape, profile: Profile, path: str = ""
) -> tuple[Planned, ...]:
    """Decide about every attribute of a data set and, where it recurses, of its items."""
    safe = _safe_private(elements, profile)
    return tuple(_planned(element, shape, profile, path, safe) for element in elements)


def steps(planned: Iterable[Planned]) -> tuple[Step, ...]:
    """Sum a plan up by path, in the order of the attributes."""
    counts = Counter((one.path, one.decision) for one in walk(planned))
    return tuple(
        Step(
            path=path,
            action=decision.action,
            rule=decision.rule,
            reason=decision.reason,
            count=count,
        )
        for (path, decision), count in counts.items()
    )


def walk(planned: Iterable[Planned]) -> Iterator[Planned]:
    """Give every node of a plan, a sequence before what is in it."""
    for one in planned:
        yield one
        for item in one.items:
            yield from walk(item)


def _planned(
    element: Element, shape: Shape, profile: Profile, path: str, safe: Mapping[int, Attribute]
) -> Planned:
    tag = element.tag
    if tag in safe:
        attribute: Attribute | None = safe[tag]
        decision = profile.decide_safe_private(safe[tag])
    else:
        attribute = shape.attributes.get(tag) or profile.outside(tag, element.vr)
        decision = profile.decide(tag, attribute)
    place = f"{path}/{keyword(tag)}" if path else keyword(tag)
    inside: tuple[tuple[Planned, ...], ...] = ()
    if decision.action is Action.TREE and attribute and attribute.items:
        tree = content_items(element.items or (), profile)
        inside = tuple(_planned_item(item, attribute, profile, place) for item in tree)
    elif decision.action is Action.RECURSE and attribute and attribute.items and element.items:
        inside = tuple(plan(item, attribute.items, profile, place) for item in element.items)
    return Planned(
        element=element, attribute=attribute, decision=decision, path=place, items=inside
    )


def _planned_item(
    item: ContentItem, sequence: Attribute, profile: Profile, path: str
) -> tuple[Planned, ...]:
    """Plan one item of a content tree, and what is below it."""
    shape = sequence.items or Shape()
    safe = _safe_private(item.elements, profile)
    made = []
    for element in item.elements:
        if element.tag == CONTENT_SEQUENCE:
            one = _planned_children(element, item, sequence, profile, path)
        else:
            one = _planned(element, shape, profile, path, safe)
            decision = item.dropped or item.decisions.get(element.tag)
            if decision is not None:
                one = replace(one, decision=decision, items=())
        made.append(one)
    return tuple(made)


def _planned_children(
    element: Element, item: ContentItem, sequence: Attribute, profile: Profile, path: str
) -> Planned:
    tree = Decision(action=Action.TREE, rule="E.3.4", reason="cleaned item by item")
    children = () if item.dropped else item.children  # what goes as a whole is not planned
    return Planned(
        element=element,
        attribute=sequence,
        decision=item.dropped or tree,
        path=f"{path}/{keyword(element.tag)}",
        items=tuple(_planned_item(child, sequence, profile, path) for child in children),
    )


def _safe_private(elements: Sequence[Element], profile: Profile) -> dict[int, Attribute]:
    """Private elements of a data set that are known to be safe, and the creators of their blocks.

    A block (gggg,xx00-xxFF) belongs to whom the element (gggg,00xx) names (PS3.5 7.8.1).
    """
    if RETAIN_SAFE_PRIVATE not in profile.options:
        return {}
    creators = {one.tag: text(one.value) for one in elements if _is_creator(one.tag)}
    safe: dict[int, Attribute] = {}
    for one in elements:
        reserved = one.tag & 0xFFFF0000 | (one.tag & 0xFFFF) >> 8
        if reserved in creators:
            attribute = profile.safe_private(creators[reserved], one.tag)
            if attribute is not None:
                safe |= {one.tag: attribute, reserved: _CREATOR}
    return safe


def _is_creator(tag: int) -> bool:
    return bool((tag >> 16) & 1) and _FIRST_CREATOR <= tag & 0xFFFF <= _LAST_CREATOR

"""What will be done with every attribute of an object, before anything is done."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from anonymizer.part10.elements import Element
from anonymizer.profile.decide import Action, Decision, Profile, keyword
from anonymizer.profile.iod import Attribute, Shape


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
    return tuple(_planned(element, shape, profile, path) for element in elements)


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


def _planned(element: Element, shape: Shape, profile: Profile, path: str) -> Planned:
    attribute = shape.attributes.get(element.tag)
    decision = profile.decide(element.tag, attribute)
    place = f"{path}/{keyword(element.tag)}" if path else keyword(element.tag)
    inside: tuple[tuple[Planned, ...], ...] = ()
    if decision.action is Action.RECURSE and attribute and attribute.items and element.items:
        inside = tuple(plan(item, attribute.items, profile, place) for item in element.items)
    return Planned(
        element=element, attribute=attribute, decision=decision, path=place, items=inside
    )

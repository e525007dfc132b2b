"""Which objects make one slide: a pure function of what their headers say.

The order in which objects arrive changes nothing. Objects of one study belong together when they
name the same physical container (with issuer); without a container, when they share a series or a
frame of reference. A container that was scanned twice gives two slides: their volumes share neither
series nor frame of reference.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dicom_node.contexts import VL_WHOLE_SLIDE_MICROSCOPY
from dicom_node.headers import Instance

VOLUME: Final = "VOLUME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An object as grouping sees it."""

    number: int
    """Its place in the store; negative while it is still being received."""
    instance: Instance
    association: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The objects of one slide."""

    arrivals: tuple[Arrival, ...]
    """By number."""
    container_identifier: str | None
    container_issuer: str | None
    doubt: str | None
    """Why it is not certain that these make a slide; None when it is."""


def group(arrivals: Iterable[Arrival]) -> tuple[Group, ...]:
    """Sort the objects of one study into slides."""
    ordered = sorted(arrivals, key=lambda one: one.number)
    named: dict[tuple[str, str | None], list[Arrival]] = {}
    nameless: list[Arrival] = []
    for one in ordered:
        container = one.instance.container_identifier
        if container is None:
            nameless.append(one)
        else:
            named.setdefault((container, one.instance.container_issuer), []).append(one)
    strays: list[tuple[list[Arrival], str | None]] = []
    for component in _components(nameless, _geometry):
        homes = [key for key, members in named.items() if _share(component, members, _geometry)]
        if len(homes) == 1:
            named[homes[0]].extend(component)
        else:
            strays.append((component, _doubt(component, len(homes))))
    groups = [
        _group(scan, container=container, issuer=issuer, doubt=None)
        for (container, issuer), members in named.items()
        for scan in _scans(members)
    ]
    groups += [_group(one, container=None, issuer=None, doubt=doubt) for one, doubt in strays]
    return tuple(sorted(groups, key=lambda one: one.arrivals[0].number))


def share_space(some: Iterable[Arrival], others: Iterable[Arrival]) -> bool:
    """Whether objects share a series or a frame of reference with others."""
    return _share(some, others, _geometry)


def _group(
    arrivals: Iterable[Arrival], *, container: str | None, issuer: str | None, doubt: str | None
) -> Group:
    return Group(
        arrivals=tuple(sorted(arrivals, key=lambda one: one.number)),
        container_identifier=container,
        container_issuer=issuer,
        doubt=doubt,
    )


def _doubt(component: Sequence[Arrival], n_homes: int) -> str | None:
    if n_homes > 1:
        return "An object names no container and fits more than one slide of its study."
    if not any(is_volume(one) for one in component):
        return "An object names no container and shares no series with a slide of its study."
    # Converters give each level a frame of reference of its own; two bases are two slides.
    bases = [one.instance for one in component if is_volume(one) and not one.instance.is_resampled]
    if len({one.frame_of_reference_uid for one in bases}) > 1:
        return "Objects of one series name no container and may be of several slides."
    return None


def is_volume(arrival: Arrival) -> bool:
    """Whether an object is an image of the tissue at some level."""
    one = arrival.instance
    return one.flavour == VOLUME and one.sop_class_uid == VL_WHOLE_SLIDE_MICROSCOPY


def _scans(members: Sequence[Arrival]) -> list[list[Arrival]]:
    """Split the objects of one container into its scans.

    Label, overview and thumbnail follow the scan whose series or frame of reference they share;
    those that share neither follow the scan that came over the same association, then the scan
    that began nearest in time.
    """
    scans = _components([one for one in members if is_volume(one)], _geometry)
    if len(scans) <= 1:
        return [list(members)]
    for one in members:
        if not is_volume(one):
            scans[_home(one, scans)].append(one)
    return scans


def _home(stray: Arrival, scans: Sequence[Sequence[Arrival]]) -> int:
    volumes = [[one for one in scan if is_volume(one)] for scan in scans]
    for key in (_geometry, _association):
        homes = [i for i, members in enumerate(volumes) if _share([stray], members, key)]
        if len(homes) == 1:
            return homes[0]
    acquired = stray.instance.acquired or ""
    starts = [min(one.instance.acquired or "" for one in members) for members in volumes]
    names = [min(one.instance.sop_instance_uid for one in members) for members in volumes]
    began = [i for i, start in enumerate(starts) if start <= acquired]
    # Nothing else tells: the newest scan that had begun, else the first of all.
    if began:
        return max(began, key=lambda i: (starts[i], names[i]))
    return min(range(len(starts)), key=lambda i: (starts[i], names[i]))


Key = Callable[[Arrival], set[Hashable]]


def _geometry(one: Arrival) -> set[Hashable]:
    """Names of the space an object lies in: its series, and its frame of reference."""
    keys: set[Hashable] = {("series", one.instance.series_instance_uid)}
    if one.instance.frame_of_reference_uid is not None:
        keys.add(("frame of reference", one.instance.frame_of_reference_uid))
    return keys


def _association(one: Arrival) -> set[Hashable]:
    return {one.association}


def _share(some: Iterable[Arrival], others: Iterable[Arrival], key: Key) -> bool:
    return bool(set().union(*map(key, some)) & set().union(*map(key, others)))


def _components(arrivals: Sequence[Arrival], key: Key) -> list[list[Arrival]]:
    """Find connected components: two objects are connected when they share a key."""
    components: list[tuple[set[Hashable], list[Arrival]]] = []
    for one in arrivals:
        keys, members = set(key(one)), [one]
        apart = []
        for other_keys, others in components:
            if keys & other_keys:
                keys |= other_keys
                members = others + members
            else:
                apart.append((other_keys, others))
        components = [*apart, (keys, members)]
    found = [sorted(members, key=lambda one: one.number) for _, members in components]
    return sorted(found, key=lambda members: members[0].number)

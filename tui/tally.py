"""How many slides and parcels are where: counted once a snapshot, so that no screen loops again."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from appliance.line import DeliveryStatus, SlideStatus, Stage, State


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTally:
    """What of a route's parcels is where."""

    waiting: int
    refused: int
    arrived: int
    last_at: float | None
    """When the last parcel arrived."""
    newest: DeliveryStatus
    """The parcel that changed last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Slides by id, counted by stage and state; their parcels counted by route."""

    of: tuple[tuple[SlideStatus, ...], tuple[DeliveryStatus, ...]]
    """What was counted: slides, and shards that belong to none."""
    by_id: Mapping[str, SlideStatus]
    superseded: frozenset[str]
    """Slides whose container was scanned again since."""
    stages: Mapping[tuple[Stage, State], int]
    routes: Mapping[str, RouteTally]
    """Parcels of slides; only routes that one was handed to."""
    shards: Mapping[str, RouteTally]
    """Parcels that belong to no single slide."""

    def is_of(self, slides: tuple[SlideStatus, ...], shards: tuple[DeliveryStatus, ...]) -> bool:
        """Whether these very objects were counted."""
        return self.of[0] is slides and self.of[1] is shards


def tally(slides: tuple[SlideStatus, ...] = (), shards: tuple[DeliveryStatus, ...] = ()) -> Tally:
    """Count slides, the parcels that belong to them, and shards."""
    by_id = {slide.slide_id: slide for slide in slides}
    return Tally(
        of=(slides, shards),
        by_id=MappingProxyType(by_id),
        superseded=frozenset(one.supersedes for one in by_id.values() if one.supersedes),
        stages=MappingProxyType(Counter((one.stage, one.state) for one in by_id.values())),
        routes=route_tallies(parcel for one in by_id.values() for parcel in one.deliveries),
        shards=route_tallies(shards),
    )


def route_tallies(parcels: Iterable[DeliveryStatus]) -> Mapping[str, RouteTally]:
    """Count parcels by their route."""
    of_route: dict[str, list[DeliveryStatus]] = {}
    for parcel in parcels:
        of_route.setdefault(parcel.route, []).append(parcel)
    return MappingProxyType({name: _counted(found) for name, found in of_route.items()})


def _counted(parcels: list[DeliveryStatus]) -> RouteTally:
    states = Counter(parcel.state for parcel in parcels)
    arrived = [parcel.updated_at for parcel in parcels if parcel.state is State.DONE]
    return RouteTally(
        waiting=states[State.WAITING] + states[State.RUNNING] + states[State.HELD],
        refused=states[State.ASIDE],
        arrived=len(arrived),
        last_at=max(arrived, default=None),
        newest=max(parcels, key=lambda parcel: parcel.updated_at),
    )

"""What recipients of tiles hold and may still get, counted from the vault. No patient in it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.settings import ColouredTiles, Route
from appliance.stores.vault import PooledTile, Sampling
from appliance.stores.vault_departures import NOTHING, Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The budget of one route of tiles."""

    route: str
    recipient: str
    n_containers: int
    """Physical containers that the recipient holds its one sample of."""
    n_patients: int
    n_tiles: int
    most_of_one_patient: int
    """Tiles of the patient that it holds most of."""
    max_tiles_per_patient: int | None
    """None: every tile, as servers of the site get."""
    n_exhausted: int
    """Patients of whom it may get no more."""
    n_waiting: int
    """Tiles in the pool."""
    n_waiting_patients: int
    n_stranded: int
    """Tiles in the pool that were cut for an earlier recipient or plan of the route."""
    min_patients: int
    """Patients that a batch mixes."""
    tiles_per_shard: int
    today: Load
    """What may leave today, of all kinds."""
    later: Load
    """What waits for a later day."""
    limits: Mapping[str, float]
    """Of a day."""


def budget_of(
    route: Route,
    *,
    given: Sequence[Sampling],
    waiting: Sequence[PooledTile],
    n_stranded: int,
    departing: Mapping[int, Load],
    today: int,
) -> Budget:
    """Count the budget of a route.

    Parameters
    ----------
    route
        A route that carries tiles.
    given
        Every sample that its recipient was ever given.
    waiting
        The tiles in its pool that may leave.
    n_stranded
        Those that may not, since its recipient or plan is another one now.
    departing
        By day (since the epoch), what leaves on it.
    today
        Days since the epoch, UTC.
    """
    policy = route.policy if isinstance(route.policy, ColouredTiles) else None
    of_patient: Counter[str] = Counter()
    for sampling in given:
        of_patient[sampling.patient] += sampling.n_tiles
    most = None if policy is None else policy.max_tiles_per_patient
    later = [load for day, load in departing.items() if day > today]
    return Budget(
        route=route.name,
        recipient=route.recipient,
        n_containers=len(given),
        n_patients=len(of_patient),
        n_tiles=of_patient.total(),
        most_of_one_patient=max(of_patient.values(), default=0),
        max_tiles_per_patient=most,
        n_exhausted=0 if most is None else sum(n >= most for n in of_patient.values()),
        n_waiting=len(waiting),
        n_waiting_patients=len({tile.patient for tile in waiting}),
        n_stranded=n_stranded,
        min_patients=1 if policy is None else policy.min_patients,
        tiles_per_shard=0 if policy is None else policy.tiles_per_shard,
        today=departing.get(today, NOTHING),
        later=sum(later, start=NOTHING),
        limits=route.limits.model_dump(exclude={"mb_s"}, exclude_none=True),
    )


def lines(budget: Budget) -> list[str]:
    """Write the budget of a route for a person."""
    given = (
        f"{budget.n_tiles} tiles of {budget.n_containers} containers of {budget.n_patients} "
        "patients"
    )
    said = [f"{budget.route}: to {budget.recipient}", f"  given    {given}"]
    if budget.max_tiles_per_patient is not None:
        said.append(
            f"  patient  at most {budget.max_tiles_per_patient} tiles each, ever: the most any has "
            f"given is {budget.most_of_one_patient}; {budget.n_exhausted} have no more left"
        )
        said.append(
            f"  pool     {budget.n_waiting} tiles of {budget.n_waiting_patients} patients wait; a "
            f"batch is {budget.tiles_per_shard} tiles of at least {budget.min_patients} patients"
        )
    if budget.n_stranded:
        said.append(
            f"  stranded {budget.n_stranded} tiles were cut for an earlier recipient or plan of "
            "this route and never leave"
        )
    limits = ", ".join(f"{name} {value:g}" for name, value in budget.limits.items())
    said.append(f"  today    {_words(budget.today)}; limits: {limits or 'none'}")
    if budget.later.n_parcels:
        said.append(f"  later    {_words(budget.later)} wait for their day")
    return said


def _words(load: Load) -> str:
    return f"{load.n_parcels} parcels, {load.n_tiles} tiles, {load.size_bytes / 1e6:.1f} MB"

"""Whether a new sample fits beside those that others hold of the same container. Pure.

The settings are checked when they are read; but they change over time, and the ledger does not
forget. So what counts is who was or is declared to collude, and what each of them really holds.
"""

from collections.abc import Iterable, Sequence

from anonymizer.tiles.plan import Placement, grid_digest, placements_from_bytes
from appliance.errors import PolicyRefused
from appliance.settings import ColouredTiles, Route
from appliance.stores.vault_ledger import EVERYONE, Sampling


def declared(policy: ColouredTiles) -> str:
    """Write the declared collusion set as the ledger keeps it: "all", or names by comma."""
    names = policy.colludes_with
    return EVERYONE if isinstance(names, str) else ",".join(sorted(set(names)))


def colluding(earlier: Sequence[Sampling], route: Route, routes: Iterable[Route]) -> list[Sampling]:
    """Choose the samples whose holders may put them together with those of a route.

    Parameters
    ----------
    earlier
        Samples of one container.
    route
        The route that is to get another one, with a policy of coloured tiles.
    routes
        All routes as they are set now.

    Returns
    -------
    list of Sampling
        Of recipients outside that this route's policy names, that name this route's recipient now,
        or that named it when they got their sample.
    """
    ours = route.policy
    assert isinstance(ours, ColouredTiles)  # noqa: S101  for the type checker
    now = {
        other.recipient: declared(other.policy)
        for other in routes
        if isinstance(other.policy, ColouredTiles)
    }
    return [
        sampling
        for sampling in earlier
        if sampling.place == "outside"
        and sampling.recipient != route.recipient
        and (
            _names(declared(ours), sampling.recipient)
            or _names(sampling.colludes_with, route.recipient)
            or _names(now.get(sampling.recipient, ""), route.recipient)
        )
    ]


def check_fit(
    held: Iterable[Sampling],
    *,
    slide_id: str,
    policy: ColouredTiles,
    placements: Iterable[Placement],
) -> None:
    """See that a new sample lies on the grid of those beside it, and on cells of its own.

    Parameters
    ----------
    held
        What those have who may put their tiles together with the new ones.
    slide_id
        The scan that is to be sampled: the cells of two scans do not lie on each other.
    policy, placements
        Of the new sample.

    Raises
    ------
    PolicyRefused
        It does not fit.
    """
    cells = set(_cells(placements, policy))
    for sampling in held:
        if sampling.slide_id != slide_id or sampling.plan_digest != grid_digest(policy):
            raise PolicyRefused(
                "Another recipient that may collude holds tiles of this container from another "
                "plan or scan."
            )
        if cells.intersection(_cells(placements_from_bytes(sampling.placements), policy)):
            raise PolicyRefused(
                "Another recipient that may collude holds these very fields of this container."
            )


def _names(names: str, recipient: str) -> bool:
    return names == EVERYONE or recipient in names.split(",")


def _cells(placements: Iterable[Placement], policy: ColouredTiles) -> Iterable[tuple[int, int]]:
    for placement in placements:
        yield placement.row_px // policy.cell_px, placement.column_px // policy.cell_px

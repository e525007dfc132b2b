"""The command `coverslip privacy truth`: where the tiles come from that routes have sent."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anonymizer.attack.tile_set import Truth
    from appliance.settings import Route
    from appliance.stores.vault import Vault

_OWNER_ONLY = 0o600


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Add `coverslip privacy truth`."""
    truth = subparsers.add_parser(
        "truth",
        help="write where the tiles of routes come from, for privacy attack; keep it from everyone",
    )
    truth.add_argument("routes", nargs="+", metavar="ROUTE")
    truth.add_argument("--to", type=Path, required=True, metavar="FILE", help="a new file")
    truth.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the truth, readable by its owner alone; slides are numbered, nobody is named."""
    from anonymizer.attack.truth_file import write_truth
    from anonymizer.keys.audit import note
    from anonymizer.privacy.budget_command import opened
    from appliance.errors import ForbiddenAction
    from appliance.settings import load

    settings = load(arguments.settings)
    routes = [settings.route(name) for name in arguments.routes]
    note(settings, "truth", f"Writes where the tiles of {', '.join(arguments.routes)} come from.")
    with opened(settings) as (vault, _):
        truth = truth_of(routes, vault)
    try:
        os.close(os.open(arguments.to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ONLY))
    except OSError as error:
        raise ForbiddenAction(f"{arguments.to} is there already, or cannot be made.") from error
    write_truth(arguments.to, truth)
    print(f"{arguments.to}: {len(truth.tiles)} tiles. Whoever has it can put them together.")
    return 0


def truth_of(routes: "Sequence[Route]", vault: "Vault") -> "Truth":
    """Give the truth of everything that the recipients of some routes were given.

    Raises
    ------
    ForbiddenAction
        A route sends no coloured tiles, or they are cut on different grids.
    """
    from anonymizer.attack.tile_set import TrueTile, Truth
    from anonymizer.tiles.plan import placements_from_bytes
    from appliance.errors import ForbiddenAction
    from appliance.settings import ColouredTiles

    policies = [route.policy for route in routes if isinstance(route.policy, ColouredTiles)]
    if len(policies) < len(routes) or len({policy.grid for policy in policies}) > 1:
        raise ForbiddenAction("Name routes that send coloured tiles, all of one grid.")
    samplings = [
        one for name in {route.recipient for route in routes} for one in vault.samplings_of(name)
    ]
    containers = sorted({sampling.container for sampling in samplings})
    tiles = {
        placement.tile_id: TrueTile(
            slide=f"slide {1 + containers.index(sampling.container)}",
            row_px=placement.row_px,
            column_px=placement.column_px,
            turn=placement.turn,
            recipient=sampling.recipient,
        )
        for sampling in samplings
        for placement in placements_from_bytes(sampling.placements)
    }
    return Truth(cell_px=policies[0].cell_px, tiles=tiles)

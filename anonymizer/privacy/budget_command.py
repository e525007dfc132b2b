"""The command `coverslip privacy budget`: what recipients of tiles hold and may still get."""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from appliance.errors import ConfigError, ForbiddenAction

if TYPE_CHECKING:
    from anonymizer.privacy.budget import Budget
    from anonymizer.release.opened import ReleaseKeys
    from appliance.settings import Route, Settings
    from appliance.stores.vault import Vault


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `coverslip privacy budget`."""
    budget = subparsers.add_parser(
        "budget", help="what recipients of tiles were given, and what is left"
    )
    budget.add_argument("--slide", metavar="ID", help="what is left of this slide's patient")
    budget.add_argument("--json", action="store_true", help="for scripts")
    budget.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the budget of every route of tiles; counts only, nobody's name or pseudonym."""
    from anonymizer.privacy.budget import lines
    from appliance.settings import load

    settings = load(arguments.settings)
    routes = [route for route in settings.routes if "tiles" in route.carries]
    with opened(settings) as (vault, keys):
        if arguments.slide is not None:
            left = _left(arguments.slide, routes, vault, keys)
            said = [f"{route}: {tiles} tiles of this patient left" for route, tiles in left.items()]
            print(json.dumps(left, indent=1) if arguments.json else "\n".join(said))
            return 0
        budgets = [_budget(route, vault) for route in routes]
    if arguments.json:
        print(json.dumps([asdict(budget) for budget in budgets], indent=1))
    elif not budgets:
        print("No route carries tiles.")
    for budget in [] if arguments.json else budgets:
        print("\n".join(lines(budget)))
    return 0


@contextmanager
def opened(settings: "Settings") -> "Iterator[tuple[Vault, ReleaseKeys]]":
    """Open the vault for reading, beside a running release.

    Raises
    ------
    ConfigError
        Nothing was released yet, or these are not the keys of this vault.
    """
    from anonymizer.quiet import quiet_pydicom
    from anonymizer.release.daemon import keys_of
    from appliance.storage import Root
    from appliance.stores.vault import Vault
    from appliance.stores.vault_upkeep import (
        check_key_ids,
        check_ledger,
        has_vault,
        holding,
        open_vault_engine,
    )

    root = Root(settings.storage.root)
    if not has_vault(root):
        raise ConfigError("There is no vault yet: nothing was released.")
    keys = keys_of(settings)
    with holding(root, alone=False), quiet_pydicom():
        engine = open_vault_engine(root)
        try:
            check_key_ids(engine, keys.cipher)
            check_ledger(engine, keys.cipher)
            yield Vault(engine, keys.cipher), keys
        finally:
            engine.dispose()


def _budget(route: "Route", vault: "Vault") -> "Budget":
    from anonymizer.privacy.budget import budget_of
    from anonymizer.release.limits import day_of
    from anonymizer.release.tile_batches import terms_of
    from anonymizer.tiles.cut import STAINS

    today = day_of(time.time())
    terms = [terms_of(route, stain) for stain in STAINS]
    return budget_of(
        route,
        given=vault.samplings_of(route.recipient),
        waiting=[tile for one in terms for tile in vault.waiting_tiles(one)],
        n_stranded=vault.n_stranded(route.name, terms),
        departing=vault.departing(route.name, today=today),
        today=today,
    )


def _left(
    slide_id: str, routes: "list[Route]", vault: "Vault", keys: "ReleaseKeys"
) -> dict[str, int]:
    """Count, by route, the tiles that are left of the patient of a slide."""
    from anonymizer.pseudonyms import subject_of
    from anonymizer.release.opened import open_identity
    from appliance.settings import ColouredTiles

    if vault.identity_source(slide_id) is None:
        raise ForbiddenAction("This slide was not released yet, or there is none of this id.")
    identity = open_identity(vault.identity(slide_id), slide_id=slide_id, keys=keys)
    patient = subject_of(identity.dataset(), keys.pseudonyms.without_codes()).patient_id
    return {
        route.name: max(
            0, route.policy.max_tiles_per_patient - vault.given(patient, route.recipient)
        )
        for route in routes
        if isinstance(route.policy, ColouredTiles)
    }

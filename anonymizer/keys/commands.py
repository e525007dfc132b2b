"""The command `coverslip keys`: make, name, rotate and retire the keys of this appliance."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.sealing import CellCipher
    from appliance.settings import Settings

_NEVER = ("pseudonym", "sampling")
_ROTATED = ("vault", "sign", "seal")
_NEXT = {
    "vault": "Make a new backup of the vault and of the keys: older backups need the old key.",
    "sign": "Restart release and every deliver. What was signed before is still delivered; certify "
    "the plan of every tile route anew: coverslip privacy certify ROUTE",
    "seal": "Restart node and release. What was sealed before still opens.",
}


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Add `coverslip keys`."""
    keys = subparsers.add_parser("keys", help="make, name or rotate the keys of this appliance")
    actions = keys.add_subparsers(title="actions", metavar="ACTION", required=True)
    init = actions.add_parser("init", help="make every key; existing ones are never overwritten")
    show = actions.add_parser("show-id", help="print the public names of all keys, never a key")
    show.add_argument("--json", action="store_true", help="for scripts")
    for action, run in ((init, _init_keys), (show, _show_ids)):
        action.add_argument(
            "--folder",
            dest="keys",
            type=Path,
            help="folder of the keys (default: keys.folder of settings)",
        )
        action.set_defaults(run=run)
    rotate = actions.add_parser("rotate", help="make a new key; release has to be stopped")
    rotate.add_argument("key", choices=(*_ROTATED, *_NEVER))
    rotate.set_defaults(run=_rotate)
    retire = actions.add_parser("retire", help="release nothing to a recipient any more")
    retire.add_argument("recipient", metavar="RECIPIENT")
    retire.set_defaults(run=_retire)


def _init_keys(arguments: argparse.Namespace) -> int:
    from anonymizer.keys.files import init_keys

    for path in init_keys(keys_folder(arguments)):
        print(path)
    return 0


def _show_ids(arguments: argparse.Namespace) -> int:
    from anonymizer.keys.names import names_of

    names = names_of(keys_folder(arguments), now=time.time())
    if arguments.json:
        print(json.dumps(names, indent=1))
        return 0
    for name, values in names.items():
        print(f"{name:<10} {' '.join(values) or '-'}")
    return 0


def _rotate(arguments: argparse.Namespace) -> int:
    from anonymizer.keys.audit import note
    from anonymizer.keys.rotation import rotate_seal, rotate_sign, rotate_vault
    from appliance.errors import ForbiddenAction
    from appliance.settings import load
    from appliance.storage import Root
    from appliance.stores.vault_upkeep import holding

    if arguments.key in _NEVER:
        raise ForbiddenAction(
            f"The {arguments.key} key belongs to the recipients and is never rotated: every patient"
            " would become another. A recipient can be retired: coverslip keys retire RECIPIENT."
        )
    settings = load(arguments.settings)
    folder = settings.keys.folder
    with holding(Root(settings.storage.root), alone=True):
        note(settings, "keys", f"Rotates the {arguments.key} key.")
        if arguments.key == "vault":
            name = rotate_vault(folder, lambda cipher: _rewrite(settings, cipher))
        elif arguments.key == "sign":
            name = rotate_sign(folder, now=time.time())
        else:
            name = rotate_seal(folder)
    print(f"The {arguments.key} key is now {name}.")
    print(_NEXT[arguments.key])
    return 0


def _rewrite(settings: "Settings", cipher: "CellCipher") -> None:
    from appliance.storage import Root
    from appliance.stores.vault_upkeep import compact, has_vault, open_vault_engine, rewrite

    changed = 0

    def count(cells: int) -> None:
        nonlocal changed
        changed += cells
        if sys.stderr.isatty():
            print(f"\r{changed} cells under the new key", end="", file=sys.stderr)

    root = Root(settings.storage.root)
    if not has_vault(root):
        return
    engine = open_vault_engine(root)
    try:
        rewrite(engine, cipher, count)
        compact(engine)
    finally:
        engine.dispose()
    if sys.stderr.isatty():
        print(file=sys.stderr)


def _retire(arguments: argparse.Namespace) -> int:
    from anonymizer.keys.audit import note
    from anonymizer.keys.rotation import retire
    from appliance.errors import ConfigError
    from appliance.settings import load
    from appliance.storage import Root
    from appliance.stores.vault_upkeep import holding

    settings = load(arguments.settings)
    known = {route.recipient for route in settings.routes}
    if arguments.recipient not in known:
        raise ConfigError(
            f"No route of the settings has the recipient {arguments.recipient}; it can be"
            " retired only while one has, so that a mistyped name retires nobody."
        )
    with holding(Root(settings.storage.root), alone=True):
        note(settings, "keys", f"Retires the recipient {arguments.recipient}.")
        retire(settings.keys.folder, arguments.recipient)
    print(f"Nothing is released or delivered to {arguments.recipient} any more.")
    print("The keys stay for audits. Remove its routes from the settings when you like.")
    return 0


def keys_folder(arguments: argparse.Namespace) -> Path:
    """Folder of the keys: of the command line, else of the settings."""
    if arguments.keys is not None:
        return Path(arguments.keys)
    from appliance.settings import load

    return load(arguments.settings).keys.folder

"""The command `coverslip keys`: make and name the keys of this appliance."""

import argparse
from pathlib import Path


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Add `coverslip keys`."""
    keys = subparsers.add_parser("keys", help="make or name the keys of this appliance")
    actions = keys.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, words in (
        ("init", _init_keys, "make every key; existing ones are never overwritten"),
        ("show-id", _show_key_id, "print the public name of the pseudonym key"),
    ):
        action = actions.add_parser(name, help=words)
        action.add_argument(
            "--folder",
            dest="keys",
            type=Path,
            help="folder of the keys (default: keys.folder of settings)",
        )
        action.set_defaults(run=run)


def _init_keys(arguments: argparse.Namespace) -> int:
    from anonymizer.keys.files import init_keys

    for path in init_keys(keys_folder(arguments)):
        print(path)
    return 0


def _show_key_id(arguments: argparse.Namespace) -> int:
    from anonymizer.keys.files import read_pseudonyms

    print(read_pseudonyms(keys_folder(arguments)).key_id)
    return 0


def keys_folder(arguments: argparse.Namespace) -> Path:
    """Folder of the keys: of the command line, else of the settings."""
    if arguments.keys is not None:
        return Path(arguments.keys)
    from appliance.settings import load

    return load(arguments.settings).keys.folder

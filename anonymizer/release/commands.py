"""The commands `coverslip release`, a daemon, and `coverslip vault`."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001


def register(subparsers: "Subparsers") -> None:
    """Add `coverslip release` and `coverslip vault`."""
    from anonymizer.release.vault_commands import register as register_vault

    parser = subparsers.add_parser(
        "release", help="daemon: build, check and sign what leaves, for every route"
    )
    parser.set_defaults(run=run)
    register_vault(subparsers)


def run(arguments: argparse.Namespace) -> int:
    """Run the daemon until it is told to stop."""
    from anonymizer.release.daemon import run as run_daemon

    return run_daemon(arguments.settings)

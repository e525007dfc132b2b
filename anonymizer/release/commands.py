"""The command `coverslip release`: the daemon of the release stage."""

import argparse
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001


def register(subparsers: "Subparsers") -> None:
    """Add `coverslip release`."""
    parser = subparsers.add_parser(
        "release", help="daemon: build, check and sign what leaves, for every route"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the daemon until it is told to stop."""
    from anonymizer.quiet import quiet_pydicom
    from anonymizer.release.identify import identify_command
    from anonymizer.release.opened import read_keys
    from anonymizer.release.stage import Release
    from appliance.daemon import Daemon, open_journal
    from appliance.line import Stage
    from appliance.settings import load
    from appliance.storage import Root
    from appliance.stores.database import open_engine
    from appliance.stores.vault import Vault
    from appliance.worker import Worker

    settings = load(arguments.settings)
    keys = read_keys(settings.keys.folder)
    root = Root(settings.storage.root)
    journal = open_journal(settings)
    url = f"sqlite:///{root.zone('vault') / 'vault.db'}"
    vault = Vault(open_engine(url, store="vault"), keys.cipher)
    release = Release(
        settings=settings, root=root, vault=vault, keys=keys, journal=journal, clock=time.time
    )
    worker = Worker(journal=journal, root=root, stage=Stage.RELEASE, handle=release)
    identify = identify_command(journal=journal, root=root, vault=vault, keys=keys)
    daemon = Daemon(
        name="release",
        settings=settings,
        journal=journal,
        steps=[worker.step],
        commands={"identify": identify},
        words=f"{len(settings.routes)} routes",
    )
    with quiet_pydicom():
        return daemon.run()

"""The command `coverslip vault`: backup, restore and check of what only release may know."""

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

EXIT_NOT_WELL = 2


def register(subparsers: "Subparsers") -> None:
    """Add `coverslip vault`."""
    vault = subparsers.add_parser("vault", help="back up, restore or check the vault")
    actions = vault.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, words in (
        ("backup", _backup, "copy the vault into a file while release works on"),
        ("restore", _restore, "put a backup in place; release has to be stopped"),
    ):
        action = actions.add_parser(name, help=words)
        action.add_argument("file", type=Path, metavar="FILE")
        action.set_defaults(run=run)
    check = actions.add_parser("check", help="open every cell of the vault")
    check.set_defaults(run=_check)


def _backup(arguments: argparse.Namespace) -> int:
    from anonymizer.keys.audit import note
    from anonymizer.keys.files import cipher_of
    from appliance.settings import load
    from appliance.storage import Root
    from appliance.stores.vault_backup import backup
    from appliance.stores.vault_upkeep import holding

    settings = load(arguments.settings)
    root = Root(settings.storage.root)
    with holding(root, alone=False):
        note(settings, "vault", "Backs the vault up.")
        facts = backup(root, arguments.file, cipher_of(settings.keys.folder), now=time.time())
    print(f"{arguments.file}: {_counted(facts.rows)}, {facts.size_bytes} bytes.")
    print(
        f"It opens only with the keys: back up {settings.keys.folder} too, and keep it elsewhere."
        " Whoever has both can read who the patients are."
    )
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from anonymizer.keys.audit import note
    from anonymizer.keys.files import cipher_of
    from appliance.settings import load
    from appliance.storage import Root
    from appliance.stores.vault_backup import restore
    from appliance.stores.vault_upkeep import holding

    settings = load(arguments.settings)
    root = Root(settings.storage.root)
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    with holding(root, alone=True):
        note(settings, "vault", "Restores a backup of the vault.")
        done = restore(root, arguments.file, cipher_of(settings.keys.folder), stamp=stamp)
    made = datetime.fromtimestamp(done.facts.made_at, UTC).isoformat(sep=" ", timespec="seconds")
    print(f"The vault is that of {made}: {_counted(done.facts.rows)}.")
    if done.aside is not None:
        print(f"The one that was in place is kept as {done.aside}.")
    if done.forgotten:
        print(
            f"{done.forgotten} containers were given to a recipient after that backup, and this"
            " vault does not know it: hold the outside routes until that is settled."
        )
    elif done.forgotten is None:
        print("The one that was in place does not open: nobody can say what this one forgot.")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from anonymizer.quiet import quiet_pydicom
    from anonymizer.release.daemon import keys_of
    from anonymizer.release.opened import open_identity
    from appliance.settings import load
    from appliance.storage import Root
    from appliance.stores.vault_upkeep import check, has_vault, holding, open_vault_engine

    settings = load(arguments.settings)
    keys = keys_of(settings)

    def opens(slide_id: str, sealed: bytes) -> None:
        open_identity(sealed, slide_id=slide_id, keys=keys).dataset()

    root = Root(settings.storage.root)
    if not has_vault(root):
        raise ConfigError("There is no vault yet.")
    with holding(root, alone=False), quiet_pydicom():
        engine = open_vault_engine(root)
        try:
            found = check(engine, keys.cipher, opens)
        finally:
            engine.dispose()
    if not found.sound:
        print("The file of the vault is damaged.")
    elif not found.complete:
        print("Rows of the ledger were taken away or put there by somebody else.")
    for table, count in found.rows.items():
        print(f"{table:<10} {count:>8} rows, {found.closed.get(table, 0)} that do not open")
    print("The vault is sound." if found.passed else "Restore a backup: coverslip vault restore.")
    return 0 if found.passed else EXIT_NOT_WELL


def _counted(rows: "Mapping[str, int]") -> str:
    words = {"identity": "slides", "sampling": "samples", "manifest": "manifests"}
    return ", ".join(f"{rows.get(table, 0)} {word}" for table, word in words.items())

"""The daemon of the release stage, and of the siding beside it."""

import time
from pathlib import Path

from anonymizer.keys.code_list import code_list_of
from anonymizer.keys.files import read_sampling_id
from anonymizer.profile.decide import profile_of
from anonymizer.quiet import quiet_pydicom
from anonymizer.release.certified import check_routes
from anonymizer.release.facts import release_facts
from anonymizer.release.identify import identify_command
from anonymizer.release.opened import ReleaseKeys, read_keys
from anonymizer.release.stage import Release
from anonymizer.siding.siding import Siding
from appliance.daemon import Daemon, open_journal
from appliance.line import Stage
from appliance.settings import Settings, load
from appliance.storage import Root
from appliance.stores.vault import Vault
from appliance.stores.vault_upkeep import (
    check_key_ids,
    check_ledger,
    holding,
    open_vault_engine,
    pin_keys,
)
from appliance.worker import Worker


def run(settings_file: Path) -> int:
    """Run the daemon until it is told to stop.

    Raises
    ------
    ConfigError
        Settings, keys and vault do not belong together, or a plan of tiles has no certificate.
    TransientError
        The vault is being restored, or gets new keys.
    """
    settings = load(settings_file)
    root = Root(settings.storage.root)
    with holding(root, alone=False), quiet_pydicom():
        keys = keys_of(settings)
        check_routes(settings, now=time.time())
        return _run(settings, root, keys, open_vault(settings, root, keys))


def keys_of(settings: Settings) -> ReleaseKeys:
    """Read release's keys as the settings want them."""
    return read_keys(
        settings.keys.folder,
        code_list_of(settings.deidentify.code_list),
        keeps_uids=profile_of(settings.deidentify.options).keeps_uids,
    )


def open_vault(settings: Settings, root: Root, keys: ReleaseKeys) -> Vault:
    """Open the vault, and see that the keys are its own and that its ledger is whole.

    Raises
    ------
    ConfigError
        They are not.
    """
    engine = open_vault_engine(root)
    check_key_ids(engine, keys.cipher)
    check_ledger(engine, keys.cipher)
    sampling_id = read_sampling_id(settings.keys.folder)
    pin_keys(engine, {"pseudonym": keys.pseudonyms.key_id, "sampling": sampling_id})
    return Vault(engine, keys.cipher)


def _run(settings: Settings, root: Root, keys: ReleaseKeys, vault: Vault) -> int:
    journal = open_journal(settings)
    release = Release(
        settings=settings, root=root, vault=vault, keys=keys, journal=journal, clock=time.time
    )
    worker = Worker(journal=journal, root=root, stage=Stage.RELEASE, handle=release)
    sampling_id = read_sampling_id(settings.keys.folder)
    siding = Siding(settings=settings, root=root, vault=vault, journal=journal)
    identify = identify_command(journal=journal, root=root, vault=vault, keys=keys)
    return Daemon(
        name="release",
        settings=settings,
        journal=journal,
        steps=[worker.step, siding.step],
        commands={"identify": identify},
        facts=lambda: release_facts(keys, sampling_id, vault, settings.keys.folder),
        words=lambda: ", ".join(filter(None, (f"{len(settings.routes)} routes", siding.words))),
    ).run()

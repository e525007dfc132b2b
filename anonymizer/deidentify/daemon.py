"""The daemon of the deidentify stage."""

from pathlib import Path

from anonymizer.deidentify.labels import AcceptedLabels, label_commands
from anonymizer.deidentify.method import method_of
from anonymizer.deidentify.stage import handler
from anonymizer.deidentify.told import report_commands
from appliance.daemon import Daemon, open_journal
from appliance.line import ZONES, Stage
from appliance.settings import load
from appliance.storage import Root
from appliance.worker import Worker


def run(settings_file: Path) -> int:
    """Run the daemon until it is told to stop.

    Raises
    ------
    ConfigError
        The settings or the keys cannot be used.
    """
    settings = load(settings_file)
    method = method_of(settings.deidentify, settings.keys.folder)
    journal = open_journal(settings)
    root = Root(settings.storage.root)
    accepted = AcceptedLabels(root.zone(ZONES[Stage.DEIDENTIFY]))
    worker = Worker(
        journal=journal,
        root=root,
        stage=Stage.DEIDENTIFY,
        handle=handler(method, accepted),
    )
    return Daemon(
        name="anonymize",
        settings=settings,
        journal=journal,
        steps=[worker.step],
        commands=label_commands(journal=journal, root=root, sight=method.sight, accepted=accepted)
        | report_commands(journal=journal, root=root),
        words=f"pseudonym key {method.pseudonyms.key_id}",
    ).run()

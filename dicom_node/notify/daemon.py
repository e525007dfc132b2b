"""The notify daemon: looks at the line, and tells people who are not at the screen."""

import secrets
import time
from collections.abc import Callable

from appliance.daemon import Daemon, open_journal
from appliance.errors import ApplianceError, ConfigError
from appliance.settings import Notices, Settings
from appliance.storage import Root
from dicom_node.notify.looking import NAME
from dicom_node.notify.mail import MailReceiver
from dicom_node.notify.message import Message
from dicom_node.notify.messenger import Messenger, Receiver
from dicom_node.notify.notebook import Notebook
from dicom_node.notify.watch import Watch
from dicom_node.notify.webhook import WebhookReceiver

ZONE = "notices"


def receivers_of(settings: Settings, terms: Notices) -> tuple[Receiver, ...]:
    """Give the receivers that the settings name; raises ConfigError over a file they name."""
    sender = settings.node.ae_title
    found: list[Receiver] = []
    if terms.webhook is not None:
        found.append(WebhookReceiver(terms.webhook, terms, sender=sender))
    if terms.email is not None:
        found.append(MailReceiver(terms.email, terms, sender=sender))
    return tuple(found)


def terms_of(settings: Settings) -> Notices:
    """Give the table of notices; raises ConfigError when there is none."""
    if settings.notices is None:
        raise ConfigError("There is no notices table in the settings: nobody is to be told.")
    return settings.notices


def run(settings: Settings) -> int:
    """Run the daemon; give the exit code."""
    terms = terms_of(settings)
    receivers = receivers_of(settings, terms)
    journal = open_journal(settings)
    path = Root(settings.storage.root).zone(ZONE) / "told.json"
    notebook = Notebook(path, [one.name for one in receivers])
    watch = Watch(journal, settings, terms, notebook)
    messengers = [Messenger(receiver, notebook, journal) for receiver in receivers]

    def words() -> str:
        parts = (*(messenger.words() for messenger in messengers), watch.words())
        return ", ".join(part for part in parts if part)

    return Daemon(
        name=NAME,
        settings=settings,
        journal=journal,
        steps=[watch.step, *(messenger.step for messenger in messengers)],
        words=words,
    ).run()


def send_test(settings: Settings, say: Callable[[str], None]) -> bool:
    """Send a test message to every receiver now; say what each did, and tell whether all took it.

    Raises
    ------
    ConfigError
        There are no receivers, or a file that they need cannot be read.
    """
    message = Message(message_id=secrets.token_hex(16), at=time.time(), notices=())
    worked = True
    for receiver in receivers_of(settings, terms_of(settings)):
        try:
            say(f"{receiver.name}: {receiver.send(message)}")
        except ApplianceError as error:
            worked = False
            say(f"{receiver.name}: {error}")
    return worked

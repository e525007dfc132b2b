"""Takes what the notebook has for one receiver to it, and tries again until it arrives."""

import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from appliance.attention import NOT_TOLD
from appliance.daemon import describe
from appliance.errors import ApplianceError, RejectedError, TransientError
from appliance.stores.journal import Journal
from appliance.worker import LONGEST_RETRY_S, retry_after_s
from dicom_node.notify.message import Message
from dicom_node.notify.notebook import Notebook
from dicom_node.status import PeerBusy

log = logging.getLogger(__name__)

ACTOR: Final = "notify"
LONGEST_SEND_S: Final = 180.0
"""A receiver that takes longer over a message is said on the screen: each byte may come late."""


class Receiver(Protocol):
    """Somebody who is told."""

    @property
    def name(self) -> str:
        """What kind of receiver it is; its box in the notebook."""

    def send(self, message: Message) -> str:
        """Send a message, say what was done; raises ApplianceError."""


class Messenger:
    """Sends to one receiver, in a thread of its own: nothing else waits for it.

    Parameters
    ----------
    receiver
        Who is told.
    notebook
        Holds the message until it has arrived.
    journal
        Told when messages cannot be sent, and when they can again: the screen shows it.
    clock
        Seconds since the epoch.
    wait_s
        How long to wait after so many tries.
    """

    def __init__(
        self,
        receiver: Receiver,
        notebook: Notebook,
        journal: Journal,
        *,
        clock: Callable[[], float] = time.time,
        wait_s: Callable[[int], float] = retry_after_s,
    ) -> None:
        self._receiver = receiver
        self._notebook = notebook
        self._journal = journal
        self._clock = clock
        self._wait_s = wait_s
        self._tries = 0
        self._failed_at = 0.0
        self._rest_s = 0.0
        self._sending_since: float | None = None
        self._trouble = ""

    def step(self) -> bool:
        """Send one message; False when there is none, or it is to be tried later."""
        name = self._receiver.name
        message = self._notebook.memory.boxes[name].message
        # A clock that was set back puts nothing off.
        if message is None or 0 <= self._clock() - self._failed_at < self._rest_s:
            return False
        self._sending_since = self._clock()
        try:
            done = self._receiver.send(message)
        except ApplianceError as error:
            self._failed(error)
            return False
        finally:
            self._sending_since = None
        self._notebook.change(lambda memory: memory.arrived(name, message.message_id))
        self._arrived(message, done)
        return True

    def words(self) -> str:
        """Say for the screen how the receiver is."""
        name = self._receiver.name
        since = self._sending_since
        if since is not None and self._clock() - since > LONGEST_SEND_S:
            return f"{name} {NOT_TOLD}: it has been answering for minutes, without an end."
        if not self._trouble:
            return name
        box = self._notebook.memory.boxes[name]
        n_waiting = len(box.waiting) + (len(box.message.notices) if box.message else 0)
        return f"{name} {NOT_TOLD}, {n_waiting} wait: {self._trouble}"

    def _arrived(self, message: Message, done: str) -> None:
        again = "Messages arrive again. " if self._trouble else ""
        self._tries, self._rest_s, self._trouble = 0, 0.0, ""
        told = f"{again}Told by {self._receiver.name}: {len(message.notices)}. {done}"
        log.info("%s", told)
        self._note("notice-sent", told)

    def _failed(self, error: ApplianceError) -> None:
        """Try again later; what was refused not soon, since a login that fails often is locked."""
        wait_s = LONGEST_RETRY_S if _is_final(error) else self._wait_s(self._tries)
        if isinstance(error, PeerBusy):
            wait_s = max(wait_s, min(error.after_s, LONGEST_RETRY_S))
        self._tries += 1
        self._failed_at, self._rest_s = self._clock(), wait_s
        sentence = describe(error)
        log.warning("%s: %s Tried again in %.0f s.", self._receiver.name, sentence, wait_s)
        if sentence != self._trouble:
            self._trouble = sentence
            self._note("notice-failed", f"Notices by {self._receiver.name} fail: {sentence}")

    def _note(self, kind: str, text: str) -> None:
        """Tell the screen; a journal that does not answer keeps nobody from being told."""
        try:
            self._journal.note(ACTOR, kind, text)
        except TransientError:
            log.warning("the journal does not answer: it does not know of a message")


def _is_final(error: ApplianceError) -> bool:
    """Whether only a person can help; settings are read again with each try."""
    return isinstance(error, RejectedError)

"""Forwarding originals to a PACS inside, byte by byte as they came.

Each received object has a row that says how far it is. Its content is hashed again before it is
sent, so that damage never travels; a peer that has it already gets the same bytes under the same
UID. Where the route asks for storage commitment, an object counts as archived when the peer has
committed to it, and only that may ever end our own copy (`fate`).
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from appliance.errors import (
    ApplianceError,
    ConfigError,
    DeliveryRefused,
    InvalidInstance,
    LeaseLost,
    RejectedError,
    RepeatedFailure,
    TransientError,
)
from appliance.stores.deposits import Deposit, DepositClaim, Deposits, DepositState
from appliance.stores.journal import MAX_ATTEMPTS
from appliance.worker import LONGEST_RETRY_S, renewing, retry_after_s
from dicom_node.deliver.daemon import MAXIMUM_STUMBLES
from dicom_node.deliver.pace import Pace
from dicom_node.send.confirmation import COMMITTED, Confirmer
from dicom_node.send.confirmed_sending import (
    CLASS_INSTANCE_CONFLICT,
    CLASS_NOT_SUPPORTED,
    RESOURCE_LIMITATION,
    NotConfirmed,
)
from dicom_node.send.sender import Outgoing, outgoing
from dicom_node.slides.content import Content, look
from dicom_node.status import PeerBusy, PeerFailed

log = logging.getLogger(__name__)

CONFIRMED_AT_ONCE: Final = 500
"""Objects that one storage commitment request names at most."""
_LOOK_AT_ALL_EVERY_S: Final = 60.0
"""For objects that could not be forwarded before, such as one side of a settled conflict."""

Send = Callable[[Sequence[Outgoing]], None]
Note = Callable[[str, str, str | None], None]
"""Puts into the journal a kind, a sentence, and the slide that it is about."""


@dataclass(slots=True, kw_only=True)
class Archiver:
    """Forwards what is received; `forward` and `confirm` are steps of the daemon.

    Attributes
    ----------
    deposits
        The store.
    route
        Name of the archive route.
    path_of
        Where the object with a content hash lies.
    send
        Sends files to the peer, as they are.
    confirmer
        None where the route does not ask for storage commitment.
    note
        For what the technician should read.
    pace
        How fast the route may send.
    is_paused
        Whether an operator lets the route send nothing; what was sent is confirmed all the same.
    clock
        Seconds since the epoch.
    wait_s
        How long to wait after so many tries.
    """

    deposits: Deposits
    route: str
    path_of: Callable[[str], Path]
    send: Send
    confirmer: Confirmer | None = None
    note: Note = lambda _kind, text, _slide: log.info("%s", text)
    pace: Pace = field(default_factory=Pace)
    is_paused: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.time
    wait_s: Callable[[int], float] = retry_after_s
    _seen: int = 0
    _all_at: float = float("-inf")
    _rest_until: float = float("-inf")

    def forward(self) -> bool:
        """Send one object; False when none waits, or the peer is away."""
        if self.is_paused() or self.clock() < self._rest_until or not self.pace.is_free():
            return False
        self._enqueue()
        claim = self.deposits.claim(self.route, DepositState.WAITING, limit=1)
        if claim is None:
            return False
        (one,) = claim.deposits
        try:
            with renewing(self.deposits.renew, claim, self.deposits.lease_s):
                self._forward(one)
            self.deposits.sent(claim, [one.number])
        except LeaseLost:
            log.warning("the lease of an object was lost; another process has it")
        except ConfigError:  # stops the daemon, and is not held against the object
            self.deposits.give_back(claim, claim.numbers)
            raise
        except TransientError as error:
            self._put_back(claim, [one], error, DepositState.WAITING)
            if not isinstance(error, PeerFailed):  # the next object would fare no better now
                self._rest_until = self.clock() + self.wait_s(one.retries)
        except RejectedError as error:
            self._set_aside(claim, one, error)
        return True

    def confirm(self) -> bool:
        """Ask the peer to commit to what it took; False when there is nothing to ask."""
        if self.confirmer is None:
            return False
        claim = self.deposits.claim(self.route, DepositState.SENT, limit=CONFIRMED_AT_ONCE)
        if claim is None:
            return False
        files = [_Referenced.of(one) for one in claim.deposits]
        try:
            with renewing(self.deposits.renew, claim, self.deposits.lease_s):
                waiting = self.confirmer.open(files)
                if waiting:
                    self.confirmer.ask(waiting)
            self._record(claim, self.confirmer.answers(files))
        except LeaseLost:
            log.warning("the lease of objects was lost; another process has them")
        except ConfigError:
            self.deposits.give_back(claim, claim.numbers)
            raise
        except ApplianceError as error:
            self._put_back(claim, claim.deposits, error, DepositState.SENT)
        return True

    def _enqueue(self) -> None:
        newest = self.deposits.newest()
        if self.clock() - self._all_at >= _LOOK_AT_ALL_EVERY_S:
            self._all_at = self.clock()
            self.deposits.enqueue(self.route)
        elif newest > self._seen:
            self.deposits.enqueue(self.route, after=self._seen)
        self._seen = newest

    def _forward(self, one: Deposit) -> None:
        if one.attempts > MAX_ATTEMPTS:
            raise RepeatedFailure(f"Archiving stopped {MAX_ATTEMPTS} times over this object.")
        path = self.path_of(one.stored.receipt.sha256)
        found = look(path, one.stored.receipt, "hash")
        if found is Content.UNREADABLE:
            raise TransientError("An object in the spool cannot be read now.")
        if found is not Content.SOUND:
            raise InvalidInstance(f"An object in the spool is {found}; it was not forwarded.")
        self.send([outgoing(path)])
        self.pace.spend(one.stored.receipt.size_bytes)

    def _record(self, claim: DepositClaim, answers: Mapping[str, int]) -> None:
        """Sort objects by what the peer said about them."""
        assert self.confirmer is not None  # noqa: S101  confirm() looked
        by_reason: dict[int | None, list[Deposit]] = {}
        for one in claim.deposits:
            reason = answers.get(one.stored.receipt.sop_instance_uid)
            by_reason.setdefault(reason, []).append(one)
        self._record_committed(claim, by_reason.pop(COMMITTED, []))
        for reason, some in by_reason.items():
            if reason in (None, RESOURCE_LIMITATION):
                waiting = NotConfirmed("The archive has not confirmed yet that it keeps objects.")
                self._put_back(claim, some, waiting, DepositState.SENT)
            elif reason in _FINAL:
                error = DeliveryRefused(f"The archive does not keep the object: {_FINAL[reason]}.")
                for one in some:
                    self._set_aside(claim, one, error)
            else:
                failed = PeerFailed(
                    "The archive took an object but does not confirm that it has it "
                    f"(reason 0x{reason:04X})."
                )
                self._put_back(claim, some, failed, DepositState.WAITING)
        self.confirmer.forget([_Referenced.of(one) for one in claim.deposits])

    def _record_committed(self, claim: DepositClaim, committed: Sequence[Deposit]) -> None:
        if not committed:
            return
        self.deposits.confirmed(claim, [one.number for one in committed])
        for slide_id, n in Counter(one.stored.slide_id for one in committed).items():
            words = f"The archive of route {self.route} has confirmed objects: {n}."
            self.note("archived", words, slide_id)

    def _put_back(
        self,
        claim: DepositClaim,
        some: Sequence[Deposit],
        error: ApplianceError,
        state: DepositState,
    ) -> None:
        again = list(some)
        if isinstance(error, PeerFailed):
            again = [one for one in some if one.retries + 1 < MAXIMUM_STUMBLES]
        for one in some:
            if one not in again:
                tried = f"{error} It was tried {one.retries + 1} times."
                self._set_aside(claim, one, DeliveryRefused(tried))
        if not again:
            return
        asked_s = error.after_s if isinstance(error, PeerBusy) else 0.0
        tries = min(one.retries for one in again)
        wait_s = max(self.wait_s(tries), min(asked_s, LONGEST_RETRY_S))
        numbers = [one.number for one in again]
        self.deposits.put_back(claim, numbers, error, state=state, after_s=wait_s)
        log.warning("%s Tried again in %.0f s.", error, wait_s)

    def _set_aside(self, claim: DepositClaim, one: Deposit, error: RejectedError) -> None:
        self.deposits.set_aside(claim, [one.number], error)
        log.warning("an object was not archived: %s", error)
        words = f"An object was not archived on route {self.route}: {error}"
        self.note("archiving-set-aside", words, one.stored.slide_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Referenced:
    """An object as a commitment names it."""

    sop_class_uid: str
    sop_instance_uid: str

    @classmethod
    def of(cls, one: Deposit) -> "_Referenced":
        receipt = one.stored.receipt
        return cls(sop_class_uid=receipt.sop_class_uid, sop_instance_uid=receipt.sop_instance_uid)


_FINAL: Final = {
    CLASS_INSTANCE_CONFLICT: "it has one of another kind under the same identifier",
    CLASS_NOT_SUPPORTED: "it commits to no objects of this kind",
}

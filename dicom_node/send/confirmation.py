"""Asking a PACS to commit to what it was sent: Storage Commitment Push Model SCU (PS3.4 J.3).

The answer may come on the association that asked, or on one that the PACS opens to us, soon or
late. An answer to anything that this process asked is remembered, and counts.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from appliance.errors import DeliveryRefused
from appliance.settings import Confirmation
from dicom_node.contexts import (
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
    commitment_context,
)
from dicom_node.send.association import Endpoint, associated, status_of
from dicom_node.send.report_listener import ReportListener, reporting
from dicom_node.status import PROCESSING_FAILURE, SUCCESS, check_answer

log = logging.getLogger(__name__)

COMMITTED: Final = 0
"""In the place of a Failure Reason."""
NO_SUCH_EVENT: Final = 0x0113
INVALID_ARGUMENT: Final = 0x0115

_REQUEST: Final = 1
"""Action Type ID: Request Storage Commitment."""
_REPORTS: Final = frozenset({1, 2})
"""Event Type ID: all committed; failures exist."""
_REMEMBERED: Final = 10_000
"""Transactions whose late answers count."""
_LOOK_EVERY_S: Final = 0.2
"""At an association that may have ended."""


class Referenced(Protocol):
    """What a commitment is asked for; an `Outgoing` is one."""

    @property
    def sop_class_uid(self) -> str:
        """SOP Class UID."""

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID."""


R = TypeVar("R", bound=Referenced)


@dataclass(slots=True, kw_only=True)
class Confirmer:
    """Asks one PACS for commitments and remembers its answers, for as long as the process lives.

    Attributes
    ----------
    endpoint
        The PACS.
    terms
        How long to wait, and where to listen for answers on new associations.
    """

    endpoint: Endpoint
    terms: Confirmation
    _listener: ReportListener | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _asked: OrderedDict[str, frozenset[str]] = field(default_factory=OrderedDict)
    """By Transaction UID: the SOP Instance UIDs."""
    _newest: dict[str, str] = field(default_factory=dict)
    """By SOP Instance UID: the transaction that asked last."""
    _answers: dict[str, int] = field(default_factory=dict)
    """By SOP Instance UID: COMMITTED or the Failure Reason."""
    _accepted: set[str] = field(default_factory=set)

    @contextmanager
    def listening(self) -> Iterator["Confirmer"]:
        """Listen for answers while the block runs, if the settings name a port.

        Raises
        ------
        ConfigError
            The port cannot be listened on.
        """
        if self.terms.report_port is not None:
            self._listener = ReportListener(
                ae_title=self.endpoint.calling_ae_title,
                host=self.terms.report_host,
                port=self.terms.report_port,
                tls=self.terms.report_tls,
                on_report=self._on_report,
            )
            self._listener.start()
        try:
            yield self
        finally:
            if self._listener is not None:
                self._listener.stop()
                self._listener = None

    @property
    def report_port(self) -> int:
        """The port that is listened on; 0 when none is."""
        return 0 if self._listener is None else self._listener.port

    def answers(self, instances: Collection[Referenced]) -> dict[str, int]:
        """Give what was answered so far, by SOP Instance UID: COMMITTED or the Failure Reason."""
        with self._changed:
            return {
                one.sop_instance_uid: self._answers[one.sop_instance_uid]
                for one in instances
                if one.sop_instance_uid in self._answers
            }

    def open(self, instances: Sequence[R]) -> list[R]:
        """Give the instances that the PACS has not committed to."""
        answers = self.answers(instances)
        return [one for one in instances if answers.get(one.sop_instance_uid) != COMMITTED]

    def accepted(self, instances: Collection[Referenced]) -> None:
        """Remember that the PACS answered with success when these were sent."""
        self._accepted.update(one.sop_instance_uid for one in instances)

    def was_accepted(self, instance: Referenced) -> bool:
        """Whether this process sent it with success."""
        return instance.sop_instance_uid in self._accepted

    def forget(self, instances: Collection[Referenced]) -> None:
        """Forget instances, since they are delivered or given up."""
        uids = {one.sop_instance_uid for one in instances}
        with self._changed:
            for uid in uids:
                self._answers.pop(uid, None)
                self._newest.pop(uid, None)
        self._accepted -= uids

    def ask(self, instances: Sequence[Referenced]) -> dict[str, int]:
        """Ask for a commitment, wait for the answer as long as the settings say, and give it.

        The association that asks stays open meanwhile. When answers on new associations are
        listened for it is released after half of the time: a PACS may wait for that.

        Raises
        ------
        PeerUnavailable
            The PACS cannot be asked now.
        DeliveryRefused
            It does not offer the service.
        """
        transaction = self._begin(instances)
        information = _request(transaction, instances)
        wait_s = self.terms.wait_s / (1 if self._listener is None else 2)
        with associated(
            self.endpoint,
            [commitment_context(), build_context(Verification)],
            handlers=[(evt.EVT_N_EVENT_REPORT, reporting(self._on_report))],
        ) as association:
            _check_offered(association)
            _check_taken(
                status_of(
                    lambda: association.send_n_action(
                        information, _REQUEST, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
                    )[0]
                )
            )
            self._wait(transaction, wait_s, while_true=lambda: association.is_established)
        if self._listener is not None:
            self._wait(transaction, wait_s, while_true=lambda: True)
        return self.answers(instances)

    def _begin(self, instances: Collection[Referenced]) -> str:
        transaction = str(generate_uid(prefix=None))
        uids = frozenset(one.sop_instance_uid for one in instances)
        with self._changed:
            self._asked[transaction] = uids
            for uid in uids:
                self._newest[uid] = transaction
                if self._answers.get(uid) != COMMITTED:
                    self._answers.pop(uid, None)
            while len(self._asked) > _REMEMBERED:
                self._asked.popitem(last=False)
        return transaction

    def _wait(self, transaction: str, wait_s: float, *, while_true: Callable[[], bool]) -> None:
        def is_over() -> bool:
            return self._asked.get(transaction, frozenset()) <= self._answers.keys()

        slices = max(1, round(wait_s / _LOOK_EVERY_S))
        with self._changed:
            for _ in range(slices):
                if self._changed.wait_for(is_over, wait_s / slices) or not while_true():
                    return

    def _on_report(self, event_type: int, information: Dataset) -> int:
        """Take an N-EVENT-REPORT, and give its status (PS3.7 10.1.1.1.8).

        A report that comes twice is taken twice. One about a transaction that this process did not
        ask for is refused: its instances are asked about anew.
        """
        if event_type not in _REPORTS:
            return NO_SUCH_EVENT
        with self._changed:
            transaction = str(information.get("TransactionUID", ""))
            asked = self._asked.get(transaction)
            if asked is None:
                log.warning("a storage commitment was reported that nobody here had asked for")
                return INVALID_ARGUMENT
            for uid, reason in _outcomes(information).items():
                # The failures of an older request say nothing of what was sent since.
                if uid in asked and (reason == COMMITTED or self._newest.get(uid) == transaction):
                    self._answers[uid] = reason
            self._changed.notify_all()
        return SUCCESS


def confirm(
    instances: Sequence[Referenced], endpoint: Endpoint, terms: Confirmation
) -> Mapping[str, int]:
    """Ask a PACS once whether it commits to instances.

    Returns
    -------
    mapping
        By SOP Instance UID: COMMITTED or the Failure Reason; what is missing was not answered.

    Raises
    ------
    PeerUnavailable, DeliveryRefused, ConfigError
        As `Confirmer.ask` and `Confirmer.listening`.
    """
    with Confirmer(endpoint=endpoint, terms=terms).listening() as confirmer:
        return confirmer.ask(instances)


def _check_offered(association: Association) -> None:
    offered = {str(one.abstract_syntax) for one in association.accepted_contexts}
    if STORAGE_COMMITMENT not in offered:
        raise DeliveryRefused("The PACS does not offer storage commitment to us.")


def _check_taken(status: int | None) -> None:
    """Check the answer to the N-ACTION (PS3.7 10.1.4.1.10)."""
    try:
        check_answer(status)
    except DeliveryRefused as error:
        raise DeliveryRefused(
            f"The PACS does not take our request for storage commitment (status 0x{status:04X})."
        ) from error


def _request(transaction: str, instances: Sequence[Referenced]) -> Dataset:
    """Make the Action Information (PS3.4 J.3.2.1.1)."""
    made = Dataset()
    made.TransactionUID = transaction
    made.ReferencedSOPSequence = [_item(one) for one in instances]
    return made


def _item(one: Referenced) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = one.sop_class_uid
    item.ReferencedSOPInstanceUID = one.sop_instance_uid
    return item


def _outcomes(information: Dataset) -> dict[str, int]:
    """Read the Event Information (PS3.4 J.3.3.1.1); what is in both lists has failed."""
    found: dict[str, int] = {}
    for item in _listed(information, "ReferencedSOPSequence"):
        found[str(item.get("ReferencedSOPInstanceUID", ""))] = COMMITTED
    for item in _listed(information, "FailedSOPSequence"):
        reason = item.get("FailureReason")
        found[str(item.get("ReferencedSOPInstanceUID", ""))] = int(reason or PROCESSING_FAILURE)
    return found


def _listed(information: Dataset, keyword: str) -> Sequence[Any]:
    return information.get(keyword) or ()

"""Storage commitment at the node's own socket: taking requests, and answering on the same wire.

A request is answered with success once it was committed to the receipts store. What is answered
about its objects is decided elsewhere (`answerer`), and told on a new association, or here on one
that the scanner opened.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from appliance.errors import ApplianceError, InvalidInstance, TransientError
from appliance.settings import Commitment as Terms
from appliance.stores.commitments import Commitments
from appliance.worker import retry_after_s
from dicom_node.commitment.report import send_report
from dicom_node.commitment.request import (
    INVALID_ARGUMENT,
    NOT_AUTHORIZED,
    RESOURCE_LIMITATION,
    SUCCESS,
    CommitmentRequest,
    RefusedRequest,
    check_command,
    read_request,
)
from dicom_node.contexts import STORAGE_COMMITMENT
from dicom_node.headers import pydicom_door
from dicom_node.receive.scp import opaque_name

log = logging.getLogger(__name__)

LEASE_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.1
_QUIET_S: Final = 0.3
"""Most scanners are confused by a request of ours between two of theirs."""

Service = tuple[evt.EventType, Callable[..., Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentSCP:
    """What a listening process does about storage commitment; give `services` to the StorageSCP.

    Attributes
    ----------
    commitments
        The store.
    terms
        By calling AE title what was agreed with the scanner; others are refused.
    open_associations
        Opaque names of the associations that are open in any process.
    in_flight
        Opaque names of the associations over which an object is coming.
    name_of
        Gives the opaque name of an association.
    refused
        Told in one sentence about a request that was not taken.
    """

    commitments: Commitments
    terms: Mapping[str, Terms]
    open_associations: Callable[[], Collection[str]] = frozenset
    in_flight: Callable[[], Collection[str]] = frozenset
    name_of: Callable[[Association], str] = opaque_name
    refused: Callable[[str], None] = log.warning

    @property
    def services(self) -> Sequence[Service]:
        """Events of the library and their handlers."""
        return [(evt.EVT_N_ACTION, self.on_action), (evt.EVT_ESTABLISHED, self.on_established)]

    def on_action(self, event: Event) -> tuple[int, Dataset | None]:
        """Take a request (N-ACTION); give its DIMSE status."""
        scanner = event.assoc.requestor.ae_title.strip()
        try:
            request = self._read(event, scanner)
            known = self.commitments.ask(
                request.references,
                transaction_uid=request.transaction_uid,
                calling_ae_title=scanner,
                association=self.name_of(event.assoc),
            )
        except RefusedRequest as refusal:
            self._say(scanner, refusal.status)
            return refusal.status, None
        except TransientError as error:
            log.warning("%s", error)
            self._say(scanner, RESOURCE_LIMITATION)
            return RESOURCE_LIMITATION, None
        if not known:
            self._say(scanner, INVALID_ARGUMENT)
            return INVALID_ARGUMENT, None
        return SUCCESS, None

    def on_established(self, event: Event) -> None:
        """Answer on this association when that is how the scanner wants it."""
        association = event.assoc
        terms = self.terms.get(association.requestor.ae_title.strip())
        offered = {one.abstract_syntax for one in association.accepted_contexts}
        if terms is not None and terms.answer == "same" and STORAGE_COMMITMENT in offered:
            threading.Thread(
                target=_Attendant(scp=self, association=association).run,
                name="commitment",
                daemon=True,
            ).start()

    def _read(self, event: Event, scanner: str) -> CommitmentRequest:
        request: Any = event.request
        check_command(
            sop_class_uid=str(request.RequestedSOPClassUID),
            sop_instance_uid=str(request.RequestedSOPInstanceUID),
            action_type=request.ActionTypeID,
        )
        if scanner not in self.terms:
            raise RefusedRequest(NOT_AUTHORIZED)
        try:
            with pydicom_door():
                return read_request(event.action_information)
        except InvalidInstance as error:
            raise RefusedRequest(INVALID_ARGUMENT) from error

    def _say(self, scanner: str, status: int) -> None:
        words = _WORDS.get(status, "it is not one that the standard knows")
        self.refused(f"A storage commitment request of {scanner} was refused: {words}.")


_WORDS: Final = {
    NOT_AUTHORIZED: "the settings say nothing about commitment for this scanner",
    RESOURCE_LIMITATION: "it cannot be recorded now",
    INVALID_ARGUMENT: "what it asks for is malformed, or was asked otherwise before",
}


@dataclass(slots=True, kw_only=True)
class _Attendant:
    """Gives a scanner its answers over one association for as long as that is open."""

    scp: CommitmentSCP
    association: Association
    _heard_at: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Look again and again whether there is something to answer; ends with the association."""
        for event in (evt.EVT_DIMSE_RECV, evt.EVT_DIMSE_SENT):
            self.association.bind(event, self._hear)
        while self.association.is_established:
            try:
                self._answer()
            except ApplianceError as error:
                log.warning("%s", error)
            time.sleep(_LOOK_EVERY_S)

    def _hear(self, _event: Event) -> None:
        self._heard_at = time.monotonic()

    def _answer(self) -> None:
        if time.monotonic() - self._heard_at < _QUIET_S:
            return
        me = self.scp.name_of(self.association)
        scanner = self.association.requestor.ae_title.strip()
        due = [one for one in self.scp.commitments.due() if one.calling_ae_title == scanner]
        if not due or me in self.scp.in_flight():
            return
        others = set(self.scp.open_associations()) - {me}
        mine = [one.number for one in due if one.association not in others]
        for one in self.scp.commitments.claim(mine[:1], lease_s=LEASE_S):
            try:
                send_report(self.association, one)
            except ApplianceError:
                self.scp.commitments.put_back([one.number], after_s=retry_after_s(one.attempts))
                raise
            self.scp.commitments.answered(one.number)

"""Deciding on requests for storage commitment, and answering them on associations that we open."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pynetdicom import build_role

from appliance.errors import ApplianceError
from appliance.settings import Commitment as Terms
from appliance.stores.commitments import COMMITTED, Commitment, Commitments, Reference
from appliance.stores.held import HeldInstance
from appliance.worker import retry_after_s
from dicom_node.commitment.decision import (
    CLASS_CONFLICT,
    CLASS_NOT_SUPPORTED,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    Held,
    decide,
)
from dicom_node.commitment.report import send_report
from dicom_node.commitment.request import NO_SUCH_SOP_INSTANCE
from dicom_node.contexts import STORAGE_COMMITMENT, commitment_context
from dicom_node.send.association import Endpoint, associated
from dicom_node.slides.content import Content, look

log = logging.getLogger(__name__)

LEASE_S: Final = 900.0
_ANSWER_LIMIT_S: Final = 30.0
"""A scanner that is silent for longer keeps the others from their answers."""
_LOOK_AGAIN_S: Final = 2.0
"""At a request that waits for an archive."""

Note = Callable[[str, str | None], None]
"""Puts a sentence into the journal, about a slide or about none."""


@dataclass(slots=True, kw_only=True)
class CommitmentAnswerer:
    """Works on requests that were taken; `decide` and `answer` are steps of the node daemon.

    Attributes
    ----------
    commitments
        The store.
    terms
        By calling AE title what was agreed with the scanner.
    ae_title
        Ours.
    path_of
        Where the object with a content hash lies.
    open_associations
        Opaque names of the associations that are open in any process.
    note
        For what the technician should read.
    clock
        Seconds since the epoch.
    """

    commitments: Commitments
    terms: Mapping[str, Terms]
    ae_title: str
    path_of: Callable[[str], Path]
    open_associations: Callable[[], Collection[str]]
    note: Note = lambda text, _slide: log.info("%s", text)
    clock: Callable[[], float] = time.time
    _look_again_at: dict[int, float] = field(default_factory=dict)
    _unanswered: set[str] = field(default_factory=set)

    def decide(self) -> bool:
        """Decide on what was asked; False, so that the daemon waits before the next look."""
        asked = self.commitments.asked()
        self._look_again_at = {
            one.number: self._look_again_at.get(one.number, 0.0) for one in asked
        }
        for one in asked:
            terms = self.terms.get(one.calling_ae_title)
            if terms is not None and self._look_again_at[one.number] <= self.clock():
                self._decide(one, terms)
        return False

    def answer(self) -> bool:
        """Give the answers that are due; False, so that the daemon waits before the next look."""
        due = self.commitments.due()
        open_ = self.open_associations() if due else frozenset()
        by_scanner: dict[str, list[int]] = {}
        for one in due:
            terms = self.terms.get(one.calling_ae_title)
            if terms is None or not terms.host:
                continue
            if terms.answer == "new" or one.association not in open_:
                by_scanner.setdefault(one.calling_ae_title, []).append(one.number)
        for scanner, numbers in by_scanner.items():
            claimed = self.commitments.claim(numbers, lease_s=LEASE_S)
            if claimed:
                self._answer(scanner, claimed)
        return False

    def _decide(self, request: Commitment, terms: Terms) -> None:
        held = self.commitments.held({one.sop_instance_uid for one in request.reasons})
        given_up = self.clock() - request.requested_at >= terms.give_up_s
        believed = {
            one: [_held(kept, Content.SOUND) for kept in held.get(one.sop_instance_uid, ())]
            for one in request.reasons
        }
        if decide(believed, terms.means, given_up=given_up) is None:
            self._look_again_at[request.number] = self.clock() + _LOOK_AGAIN_S
            return
        seen = {
            one: [
                _held(kept, self._content(kept, terms))
                for kept in held.get(one.sop_instance_uid, ())
            ]
            for one in request.reasons
        }
        reasons = decide(seen, terms.means, given_up=given_up)
        if reasons is None:
            return
        self.commitments.decide(request, reasons)
        slides = {kept.stored.slide_id for some in held.values() for kept in some}
        for slide_id in slides or {None}:
            self.note(words(reasons), slide_id)

    def _content(self, kept: HeldInstance, terms: Terms) -> Content:
        if kept.stored.purged_at is not None:
            return Content.MISSING
        receipt = kept.stored.receipt
        return look(self.path_of(receipt.sha256), receipt, terms.verify)

    def _answer(self, scanner: str, claimed: Sequence[Commitment]) -> None:
        waiting = {one.number: one for one in claimed}
        try:
            with associated(
                self._endpoint(scanner),
                [commitment_context()],
                roles=[build_role(STORAGE_COMMITMENT, scp_role=True)],
            ) as association:
                association.dimse_timeout = _ANSWER_LIMIT_S
                for one in claimed:
                    send_report(association, one)
                    self.commitments.answered(one.number)
                    del waiting[one.number]
        except ApplianceError as error:
            attempts = max((one.attempts for one in waiting.values()), default=0)
            self.commitments.put_back(waiting, after_s=retry_after_s(attempts))
            if waiting and scanner not in self._unanswered:
                self._unanswered.add(scanner)
                self.note(f"A storage commitment cannot be told to its scanner: {error}", None)
        else:
            self._unanswered.discard(scanner)

    def _endpoint(self, scanner: str) -> Endpoint:
        terms = self.terms[scanner]
        return Endpoint(
            host=terms.host,
            port=terms.port,
            called_ae_title=scanner,
            calling_ae_title=self.ae_title,
            tls=terms.tls,
        )


def words(reasons: Mapping[Reference, int]) -> str:
    """Say in a sentence what was decided."""
    counted = Counter(reasons.values())
    said = [f"{counted.pop(COMMITTED, 0)} of {len(reasons)} objects are committed"]
    said += [f"{n} {_WORDS.get(one, 'not')}" for one, n in sorted(counted.items())]
    return f"Storage commitment: {', '.join(said)}."


_WORDS: Final = {
    PROCESSING_FAILURE: "missing, damaged, or not confirmed by an archive in time",
    NO_SUCH_SOP_INSTANCE: "never received or not held any more",
    CLASS_CONFLICT: "of another SOP Class than was asked for",
    CLASS_NOT_SUPPORTED: "of a SOP Class that is not received here",
    RESOURCE_LIMITATION: "not readable now",
}


def _held(one: HeldInstance, content: Content) -> Held:
    return Held(
        sop_class_uid=one.stored.receipt.sop_class_uid,
        content=content,
        purged=one.stored.purged_at is not None,
        archived=one.archived,
    )

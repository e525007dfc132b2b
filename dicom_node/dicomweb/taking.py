"""Taking a Store request whose head was admitted: all of it happens in one thread."""

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from appliance.settings import Scanner
from dicom_node.dicomweb.answer import Outcome
from dicom_node.dicomweb.body import Body
from dicom_node.dicomweb.intake import Intake, TooManyInstances
from dicom_node.dicomweb.multipart import MalformedBody, MultipartReader
from dicom_node.dicomweb.pace import TooSlow
from dicom_node.dicomweb.request import BUSY, TIMED_OUT, Admitted, Refused
from dicom_node.receive.admission import Pace
from dicom_node.receive.spool import Spool
from dicom_node.receive.transfer import Announced, Transfer

log = logging.getLogger(__name__)

_ROOM_AFTER_S = "60"
_PLACE_AFTER_S = "5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """Takes requests; in the spool each is an association of its scanner.

    Attributes
    ----------
    spool, store
        Where data sets go, and who keeps them.
    refused
        Told in one sentence what the technician should read.
    maximum_associations
        Open in all, DIMSE associations too.
    sleep
        Waits for so many seconds.
    is_drained
        Whether an operator lets the line run empty.
    """

    spool: Spool
    store: Callable[[Announced, Transfer], int]
    refused: Callable[[str], None]
    maximum_associations: int
    sleep: Callable[[float], None] = time.sleep
    is_drained: Callable[[], bool] = lambda: False

    def take(self, admitted: Admitted, body: Body) -> Outcome:
        """Keep the instances of a request; called in a thread.

        Raises
        ------
        Refused
            There is no room or no place for now, or the client stalls.
        ClientGone
            Nobody is there any more to be answered. What was kept stays kept.
        """
        scanner = admitted.scanner
        self._check_room(scanner)
        intake = Intake(
            spool=self.spool,
            store=self.store,
            association=secrets.token_hex(8),
            scanner=scanner.ae_title.strip(),
            study_instance_uid=admitted.study_instance_uid,
            refused=self.refused,
        )
        self.spool.begin_association(intake.association, scanner=intake.scanner)
        try:
            return self._read(admitted, body, intake)
        except TooSlow as error:
            words = (
                f"A DICOMweb request of {scanner.name} was dropped: it stalled or took too long."
            )
            raise Refused(TIMED_OUT, "The request came too slowly.", notice=words) from error
        finally:
            intake.break_off()
            self.spool.end_association(intake.association)

    def _read(self, admitted: Admitted, body: Body, intake: Intake) -> Outcome:
        pace = Pace(admitted.scanner.maximum_mb_s)
        is_malformed = is_too_large = False
        try:
            reader = MultipartReader(admitted.boundary, intake)
            for fragment in body.fragments():
                reader.feed(fragment)
                now = time.monotonic()
                self.sleep(max(0.0, pace.after(len(fragment), now) - now))
            reader.finish()
        except MalformedBody:
            is_malformed = True
        except TooManyInstances:
            is_too_large = True
        intake.break_off()
        return Outcome(
            results=tuple(intake.results), is_malformed=is_malformed, is_too_large=is_too_large
        )

    def _check_room(self, scanner: Scanner) -> None:
        if self.is_drained():
            raise Refused(
                BUSY,
                "No new slides are taken for now.",
                headers={"retry-after": _ROOM_AFTER_S},
                notice=f"A DICOMweb request of {scanner.name} was refused: no new slides are taken "
                "for now, as an operator asked.",
            )
        if not self.spool.takes_new():
            raise Refused(
                BUSY,
                "Free disk space is below the limit.",
                headers={"retry-after": _ROOM_AFTER_S},
                notice=f"A DICOMweb request of {scanner.name} was refused: free disk space is "
                "below the limit.",
            )
        open_ones = Counter(self.spool.open_associations().values())
        is_full = open_ones.total() >= self.maximum_associations
        if is_full or open_ones[scanner.ae_title.strip()] >= scanner.maximum_associations:
            raise too_many(scanner.name)


def too_many(scanner: str) -> Refused:
    """Refuse a request because too many are open, or came in the last minute."""
    return Refused(
        BUSY,
        "Too many requests are open, or came in the last minute.",
        headers={"retry-after": _PLACE_AFTER_S},
        notice=f"A DICOMweb request of {scanner} was refused: too many are open, or came in the "
        "last minute.",
    )

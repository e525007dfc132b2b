"""The instances of one request on their way into the spool: one thread takes them in their order.

An instance is named as stored only after `store` said so: its file, its name and its receipt are
durable then. What fails fails alone; the others of its request go on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from appliance.errors import ApplianceError, InvalidInstance
from appliance.storage import storage_errors
from dicom_node.contexts import PATHOLOGY_SOP_CLASSES, TRANSFER_SYNTAXES
from dicom_node.dicomweb.answer import Failed, Stored
from dicom_node.dicomweb.multipart import media_type
from dicom_node.dicomweb.part10 import HeadReader
from dicom_node.dicomweb.request import DICOM
from dicom_node.headers import peek
from dicom_node.receive.spool import Spool
from dicom_node.receive.transfer import Announced, Transfer
from dicom_node.status import CANNOT_UNDERSTAND, DOES_NOT_MATCH, SUCCESS, store_status

CLASS_NOT_SUPPORTED: Final = 0x0122
SYNTAX_NOT_SUPPORTED: Final = 0xC122

_PLAIN_ENCODINGS: Final = frozenset({"", "binary", "8bit", "7bit"})
_SYNTAXES: Final = frozenset(str(one) for one in TRANSFER_SYNTAXES)


class TooManyInstances(Exception):
    """A request holds more instances than are taken at a time."""


class _Failure(Exception):
    """Why a part is not kept."""

    def __init__(self, reason: int, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


@dataclass(slots=True)
class _Part:
    head: HeadReader = field(default_factory=HeadReader)
    announced: Announced | None = None
    transfer: Transfer | None = None
    failure: _Failure | None = None


@dataclass(slots=True, kw_only=True)
class Intake:
    """Takes the parts of one request.

    Attributes
    ----------
    spool, store
        Where data sets go, and who keeps them.
    association, scanner
        Opaque name of the request in the spool, and the scanner's AE title.
    study_instance_uid
        Instances of another study are refused; None takes any.
    refused
        Told in one sentence about an object that was not kept.
    maximum_instances
        Of one request.
    """

    spool: Spool
    store: Callable[[Announced, Transfer], int]
    association: str
    scanner: str
    study_instance_uid: str | None
    refused: Callable[[str], None]
    maximum_instances: int = 10_000
    results: list[Stored | Failed] = field(default_factory=list)
    _part: _Part | None = None

    def begin(self, headers: Mapping[str, str]) -> None:
        """Begin a part.

        Raises
        ------
        TooManyInstances
            The request is too long.
        """
        if len(self.results) >= self.maximum_instances:
            raise TooManyInstances
        self._part = _Part()
        kind, _ = media_type(headers.get("content-type", DICOM))
        encoding = headers.get("content-transfer-encoding", "").lower()
        if kind != DICOM or encoding not in _PLAIN_ENCODINGS:
            self._part.failure = _Failure(
                CANNOT_UNDERSTAND, "It does not come as a DICOM file (application/dicom)."
            )

    def data(self, fragment: memoryview) -> None:
        """Take the next bytes of a part; those of one that failed are thrown away."""
        part = self._part
        assert part is not None  # noqa: S101  the reader begins a part first
        if part.failure is not None:
            return
        if part.transfer is not None:
            part.transfer.write(fragment)
            return
        try:
            with storage_errors():
                self._take_head(part, fragment)
        except _Failure as failure:
            part.failure = failure
        except ApplianceError as error:
            part.failure = _Failure(store_status(error), str(error))

    def end(self) -> None:
        """End a part that came whole: keep its instance."""
        part, self._part = self._part, None
        assert part is not None  # noqa: S101  the reader began it
        try:
            self.results.append(self._kept(part))
        finally:
            if part.transfer is not None:
                self.spool.close(part.transfer)

    def break_off(self) -> None:
        """Count the part that never came whole, if there is one, as failed.

        What came of it is removed with its association.
        """
        part, self._part = self._part, None
        if part is not None:
            self.results.append(_failed(part.announced, CANNOT_UNDERSTAND))

    def _take_head(self, part: _Part, fragment: memoryview) -> None:
        head = part.head.feed(fragment)
        if head is None:
            return
        part.announced = head.announced
        _check_kind(head.announced)
        part.transfer = self.spool.open(association=self.association, scanner=self.scanner)
        part.transfer.begin(
            sop_class_uid=head.announced.sop_class_uid,
            sop_instance_uid=head.announced.sop_instance_uid,
            transfer_syntax_uid=head.announced.transfer_syntax_uid,
        )
        part.transfer.write(head.data_set)

    def _kept(self, part: _Part) -> Stored | Failed:
        try:
            announced, transfer = _whole(part)
            self._check_study(transfer)
        except _Failure as failure:
            self.refused(f"An object from {self.scanner} was refused: {failure.sentence}")
            return _failed(part.announced, failure.reason)
        status = self.store(announced, transfer)
        if status != SUCCESS:
            return _failed(announced, status)
        return Stored(
            sop_class_uid=announced.sop_class_uid, sop_instance_uid=announced.sop_instance_uid
        )

    def _check_study(self, transfer: Transfer) -> None:
        if self.study_instance_uid is None:
            return
        instance = peek(transfer.path)
        # What cannot be read has no study; `store` says what is wrong with it.
        if instance is not None and instance.study_instance_uid != self.study_instance_uid:
            raise _Failure(DOES_NOT_MATCH, "It is of another study than the request names.")


def _check_kind(announced: Announced) -> None:
    if announced.sop_class_uid not in PATHOLOGY_SOP_CLASSES:
        raise _Failure(CLASS_NOT_SUPPORTED, "It is no pathology image.")
    if announced.transfer_syntax_uid not in _SYNTAXES:
        raise _Failure(SYNTAX_NOT_SUPPORTED, "Its transfer syntax is not one that is taken here.")


def _whole(part: _Part) -> tuple[Announced, Transfer]:
    if part.failure is not None:
        raise part.failure
    if part.announced is None or part.transfer is None:
        error = InvalidInstance("The object is no DICOM file with a data set (PS3.10).")
        raise _Failure(store_status(error), str(error))
    return part.announced, part.transfer


def _failed(announced: Announced | None, reason: int) -> Failed:
    if announced is None:
        return Failed(reason=reason)
    return Failed(
        reason=reason,
        sop_class_uid=announced.sop_class_uid,
        sop_instance_uid=announced.sop_instance_uid,
    )

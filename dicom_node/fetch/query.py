"""Asking a PACS which slides it holds: C-FIND in the Study Root model (PS3.4 C.4.1, C.6.2).

Keys are hierarchical, never relational: a study is found first, then its series. What an answer
says about a patient is not asked for and not kept. An answer about something else than what was
asked is left out, because a PACS that does not know a key may answer with all that it has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from appliance.errors import (
    DeliveryRefused,
    ForbiddenAction,
    InvalidInstance,
    PeerUnavailable,
    RejectedError,
)
from dicom_node.send.association import Endpoint, associated
from dicom_node.status import SUCCESS

STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
SLIDE_MICROSCOPY: Final = "SM"

MAXIMUM_STUDIES: Final = 100
MAXIMUM_SERIES: Final = 1_000
MAXIMUM_INSTANCES: Final = 20_000

_MESSAGE_ID: Final = 1
_PENDING: Final = (0xFF00, 0xFF01)
_CANCELLED: Final = 0xFE00
_NO_RESOURCES: Final = range(0xA700, 0xA800)
_TRY_LATER: Final = 0x0213
_NOT_OFFERED: Final = 0x0122
_NOT_ALLOWED: Final = 0x0124
_NOT_UNDERSTOOD: Final = 0xA900
_WILDCARDS: Final = frozenset("*?\\")
_UNIQUE_KEYS: Final = ("StudyInstanceUID", "SeriesInstanceUID")
_LENGTHS: Final = {"accession_number": 16, "patient_id": 64}
"""Of the value representations SH and LO (PS3.5 6.2)."""


class UnclearQuestion(ForbiddenAction):
    """What is to be imported was not said clearly."""

    code = "unclear-question"


class QueryRefused(DeliveryRefused):
    """A PACS does not answer what was asked."""

    code = "query-refused"


class NothingFound(RejectedError):
    """The PACS holds no such slides."""

    code = "nothing-found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which slides: one accession number, study or patient, and perhaps one series of it.

    Raises
    ------
    UnclearQuestion
        None or several are given, or a value can be no such thing.
    """

    accession_number: str = ""
    study_instance_uid: str = ""
    patient_id: str = ""
    series_instance_uid: str = ""

    def __post_init__(self) -> None:
        asked = [self.accession_number, self.study_instance_uid, self.patient_id]
        if sum(map(bool, asked)) != 1:
            raise UnclearQuestion("One of accession number, study and patient has to be given.")
        for uid in (self.study_instance_uid, self.series_instance_uid):
            if uid and not UID(uid).is_valid:
                raise UnclearQuestion("What was given as a UID is none.")
        for name, length in _LENGTHS.items():
            value = getattr(self, name)
            if len(value) > length or not value.isprintable() or _WILDCARDS & set(value):
                words = name.replace("_", " ")
                raise UnclearQuestion(f"What was given as {words} can be none.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series of slides that a PACS holds."""

    study_instance_uid: str
    series_instance_uid: str
    n_instances: int
    modality: str = SLIDE_MICROSCOPY


def find_slides(endpoint: Endpoint, question: Question) -> tuple[Series, ...]:
    """Find the series of modality SM that a question is about, in the order of the answers.

    Raises
    ------
    NothingFound
        There is none.
    QueryRefused
        The PACS does not answer such questions, or has too many answers.
    PeerUnavailable, DeliveryRefused
        As `sender.associated`.
    """
    contexts = [build_context(STUDY_ROOT_FIND), build_context(Verification)]
    with associated(endpoint, contexts) as association:
        check_offered(association, STUDY_ROOT_FIND)
        found = [
            series
            for study in _studies(association, question)
            for series in _series(association, study, question.series_instance_uid)
        ]
    if not found:
        raise NothingFound("The PACS knows no slides by what was asked for.")
    return tuple(found)


def check_offered(association: Association, service: str) -> None:
    """Check that a peer accepted a query/retrieve service; raises QueryRefused."""
    if service not in {str(one.abstract_syntax) for one in association.accepted_contexts}:
        raise QueryRefused("The peer of this route does not offer the query/retrieve service.")


def check_result(status: int | None) -> None:
    """Check the last answer to a C-FIND, C-MOVE or C-GET request (PS3.4 C.4).

    Parameters
    ----------
    status
        None when there was no answer.

    Raises
    ------
    PeerUnavailable
        It may work later.
    QueryRefused
        The PACS does not do this.
    """
    if status is None:
        raise PeerUnavailable("The PACS ended the association before it answered.")
    if status == SUCCESS:
        return
    if status == _CANCELLED:
        raise PeerUnavailable("The PACS cancelled the request.")
    if status in _NO_RESOURCES or status == _TRY_LATER:
        raise PeerUnavailable(f"The PACS is out of resources (status 0x{status:04X}).")
    words = {
        _NOT_OFFERED: "does not offer this service",
        _NOT_ALLOWED: "does not allow this to us",
        _NOT_UNDERSTOOD: "does not understand a key of the request",
    }.get(status, "could not process the request")
    raise QueryRefused(f"The PACS {words} (status 0x{status:04X}).")


def is_pending(status: int | None) -> bool:
    """Whether more answers follow (PS3.7 C.4)."""
    return status in _PENDING


def _studies(association: Association, question: Question) -> list[str]:
    """UIDs of the studies; the one that was given needs no question."""
    if question.study_instance_uid:
        return [question.study_instance_uid]
    keys = {"AccessionNumber": question.accession_number, "PatientID": question.patient_id}
    asked = {keyword: value for keyword, value in keys.items() if value}
    answers = _ask(association, "STUDY", asked, ["StudyInstanceUID"], limit=MAXIMUM_STUDIES)
    return _distinct(answers, "StudyInstanceUID")


def _series(association: Association, study: str, only: str) -> Iterator[Series]:
    asked = {"StudyInstanceUID": study, "Modality": SLIDE_MICROSCOPY}
    if only:
        asked["SeriesInstanceUID"] = only
    returned = ["SeriesInstanceUID", "NumberOfSeriesRelatedInstances"]
    answers = _ask(association, "SERIES", asked, returned, limit=MAXIMUM_SERIES)
    counts = {_text(one, "SeriesInstanceUID"): _count(one) for one in answers}
    for uid in _distinct(answers, "SeriesInstanceUID"):
        yield Series(
            study_instance_uid=study,
            series_instance_uid=uid,
            n_instances=counts[uid] or _count_instances(association, study, uid),
        )


def _count_instances(association: Association, study: str, series: str) -> int:
    """Count at the level IMAGE, because the number in a series is optional (PS3.4 C.6.2.1.3)."""
    asked = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    answers = _ask(association, "IMAGE", asked, ["SOPInstanceUID"], limit=MAXIMUM_INSTANCES)
    return len(_distinct(answers, "SOPInstanceUID"))


def _ask(
    association: Association,
    level: str,
    asked: Mapping[str, str],
    returned: Sequence[str],
    *,
    limit: int,
) -> list[Dataset]:
    """Ask once; give the answers that say what was asked for."""
    found: list[Dataset] = []
    n_answers = 0
    for status, answer in _requested(association, _identifier(level, asked, returned)):
        if not is_pending(status):
            if n_answers <= limit:
                check_result(status)
            break
        n_answers += 1
        if n_answers == limit + 1:
            association.send_c_cancel(_MESSAGE_ID, query_model=STUDY_ROOT_FIND)
        if n_answers > 2 * limit:  # it does not listen: the association is aborted
            break
        found += [answer] if answer is not None and _is_about(answer, asked) else []
    if n_answers > limit:
        raise QueryRefused(f"The PACS has more than {limit} answers to this; ask more narrowly.")
    return found


def _identifier(level: str, asked: Mapping[str, str], returned: Sequence[str]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    if not all(map(str.isascii, asked.values())):
        identifier.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*asked, *returned):
        setattr(identifier, keyword, asked.get(keyword, ""))
    return identifier


def _is_about(answer: Dataset, asked: Mapping[str, str]) -> bool:
    """Whether an answer says what was asked for; a unique key may go without saying."""
    for keyword, value in asked.items():
        said = _text(answer, keyword)
        if said != value and (said or keyword not in _UNIQUE_KEYS):
            return False
    return True


def _requested(
    association: Association, identifier: Dataset
) -> Iterator[tuple[int | None, Dataset | None]]:
    try:
        for status, answer in association.send_c_find(
            identifier, STUDY_ROOT_FIND, msg_id=_MESSAGE_ID
        ):
            yield status.get("Status"), answer
    except RuntimeError as error:  # the association ended between two requests
        raise PeerUnavailable("The PACS ended the association.") from error


def _distinct(answers: Sequence[Dataset], keyword: str) -> list[str]:
    """Give the valid UIDs among the answers, each once, in their order."""
    uids = dict.fromkeys(_text(one, keyword) for one in answers)
    return [uid for uid in uids if uid and UID(uid).is_valid]


def _count(answer: Dataset) -> int:
    words = _text(answer, "NumberOfSeriesRelatedInstances")
    return int(words) if words.isdecimal() else 0


def _text(answer: Dataset, keyword: str) -> str:
    """Give a value as text; the library's message about a damaged one would contain it."""
    try:
        return str(answer.get(keyword) or "").strip(" \0")
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise InvalidInstance("The PACS sent an answer that cannot be read.") from error

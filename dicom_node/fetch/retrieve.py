"""Fetching slides from a PACS: C-MOVE to our own node, or C-GET into a folder (PS3.4 C.4.2, C.4.3).

Everything is asked for series by series, so that only slides come, never the reports beside them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pynetdicom import build_role, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from appliance.errors import PeerUnavailable
from dicom_node.contexts import PATHOLOGY_SOP_CLASSES, TRANSFER_SYNTAXES
from dicom_node.fetch.fetching import Arriving, FetchingDimse
from dicom_node.fetch.query import QueryRefused, Series, check_offered, check_result, is_pending
from dicom_node.receive.spool import Spool
from dicom_node.send.association import Endpoint, associated
from dicom_node.status import SUCCESS

STUDY_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"

SILENCE_LIMIT_S: Final = 1_800.0
"""A PACS may fetch a slide from tape, or send one of many gigabytes, between two answers."""

_WARNING: Final = 0xB000
_UNKNOWN_DESTINATION: Final = 0xA801
_COULD_NOT_SEND: Final = (0xA702, *range(0xC000, 0xD000))
"""Sub-operations cannot be done, and what a PACS answers that has no better word for it."""


class MoveRefused(QueryRefused):
    """A PACS could not send to our node."""

    code = "move-refused"


class RetrieveIncomplete(QueryRefused):
    """Some objects did not come."""

    code = "retrieve-incomplete"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubOperations:
    """Objects of a request, by what became of them (PS3.7 9.1.3.1, 9.1.4.1)."""

    remaining: int = 0
    completed: int = 0
    failed: int = 0
    warning: int = 0

    @property
    def arrived(self) -> int:
        """Objects that were stored, with or without a warning."""
        return self.completed + self.warning

    def __add__(self, other: "SubOperations") -> "SubOperations":
        return SubOperations(
            remaining=self.remaining + other.remaining,
            completed=self.completed + other.completed,
            failed=self.failed + other.failed,
            warning=self.warning + other.warning,
        )


Progress = Callable[[SubOperations], None]
"""Told how far the request has come, all of its series together."""


def move(
    endpoint: Endpoint, series: Sequence[Series], *, destination: str, progress: Progress
) -> SubOperations:
    """Have a PACS send series to the node of an AE title.

    Raises
    ------
    MoveRefused
        The PACS does not know the destination, or could send nothing to it.
    RetrieveIncomplete
        Some objects were not sent, or were refused by our node.
    QueryRefused, PeerUnavailable, DeliveryRefused
        As `query.find_slides`.
    """
    contexts = [build_context(STUDY_ROOT_MOVE), build_context(Verification)]
    with associated(endpoint, contexts) as association:
        check_offered(association, STUDY_ROOT_MOVE)

        def ask(identifier: Dataset, message_id: int) -> Iterator[tuple[Dataset, Dataset | None]]:
            return association.send_c_move(
                identifier, destination, STUDY_ROOT_MOVE, msg_id=message_id
            )

        done, status = _each(association, series, ask, progress)
    if status == _UNKNOWN_DESTINATION:
        raise MoveRefused(f"The PACS does not know {destination} as a destination.")
    if not done.arrived and (done.failed or status in _COULD_NOT_SEND):
        raise MoveRefused(f"The PACS could send nothing to {destination}.")
    _check_complete(done, status)
    return done


def get(
    endpoint: Endpoint, series: Sequence[Series], *, spool: Spool, progress: Progress
) -> tuple[Path, ...]:
    """Fetch series over our own association; give the files, as the PACS encoded them.

    Memory stays flat, whatever the size of an object. The files belong to the spool, which the
    caller has joined, and go when it is left.

    Raises
    ------
    RetrieveIncomplete
        Some objects did not come, or were damaged.
    QueryRefused, PeerUnavailable, DeliveryRefused
        As `query.find_slides`.
    """
    arriving = Arriving()
    with associated(
        endpoint,
        [build_context(STUDY_ROOT_GET), build_context(Verification), *_storage_contexts()],
        roles=[build_role(one, scp_role=True) for one in PATHOLOGY_SOP_CLASSES],
        handlers=[(evt.EVT_C_STORE, arriving.store)],
        provider=lambda association: FetchingDimse(association, spool),
    ) as association:
        check_offered(association, STUDY_ROOT_GET)

        def ask(identifier: Dataset, message_id: int) -> Iterator[tuple[Dataset, Dataset | None]]:
            return association.send_c_get(identifier, STUDY_ROOT_GET, msg_id=message_id)

        done, status = _each(association, series, ask, progress)
    if arriving.failure is not None:
        raise arriving.failure
    _check_complete(done, status)
    if len(arriving.files) < done.arrived:
        raise RetrieveIncomplete("The PACS counts more objects than it sent.")
    return tuple(arriving.files)


def _storage_contexts() -> list[PresentationContext]:
    """Give one transfer syntax a context, so that nothing has to be decompressed to be sent to us.

    Best first: some archives take the first context of a SOP class, whatever the object's encoding.
    """
    return [
        build_context(sop_class, syntax)
        for sop_class in PATHOLOGY_SOP_CLASSES
        for syntax in TRANSFER_SYNTAXES
    ]


Ask = Callable[[Dataset, int], Iterator[tuple[Dataset, Dataset | None]]]


def _each(
    association: Association, series: Sequence[Series], ask: Ask, progress: Progress
) -> tuple[SubOperations, int | None]:
    """Ask for one series after the other; give the counts, and the first status that is bad."""
    association.dimse_timeout = SILENCE_LIMIT_S
    done = SubOperations()
    for message_id, one in enumerate(series, start=1):
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "SERIES"
        identifier.StudyInstanceUID = one.study_instance_uid
        identifier.SeriesInstanceUID = one.series_instance_uid
        counted = SubOperations(remaining=one.n_instances)
        status = None
        with _ended_association():
            for answer, _ in ask(identifier, message_id):
                status = answer.get("Status")
                counted = _counted(answer, counted)
                progress(done + counted)
        done += counted
        if status != SUCCESS:
            return done, status
    return done, SUCCESS


def _counted(answer: Dataset, before: SubOperations) -> SubOperations:
    """Read the counts of an answer; each of them is optional."""

    def count(keyword: str, known: int) -> int:
        value = answer.get(keyword)
        return known if value is None else int(value)

    final = not is_pending(answer.get("Status"))
    now = SubOperations(
        remaining=0 if final else count("NumberOfRemainingSuboperations", before.remaining),
        completed=count("NumberOfCompletedSuboperations", before.completed),
        failed=count("NumberOfFailedSuboperations", before.failed),
        warning=count("NumberOfWarningSuboperations", before.warning),
    )
    if answer.get("Status") == SUCCESS and "NumberOfCompletedSuboperations" not in answer:
        return replace(now, completed=now.completed or before.remaining)
    return now


def _check_complete(done: SubOperations, status: int | None) -> None:
    if done.failed:
        n_all = done.arrived + done.failed
        raise RetrieveIncomplete(f"{done.failed} of {n_all} objects could not be fetched.")
    if status == _WARNING:
        raise RetrieveIncomplete("The PACS says that some objects could not be fetched.")
    check_result(status)
    if not done.arrived:
        raise RetrieveIncomplete("The PACS says that all is done, and sent nothing.")


@contextmanager
def _ended_association() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # between two requests
        raise PeerUnavailable("The PACS ended the association.") from error

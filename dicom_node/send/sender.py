"""Sending DICOM files as they are: a storage SCU that never decodes and never re-encodes."""

import logging
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pynetdicom.association import Association

from appliance.errors import DeliveryRefused, InvalidInstance, PeerUnavailable
from dicom_node.contexts import proposals
from dicom_node.send.association import NOT_TAKEN, Endpoint, associated, echo, status_of
from dicom_node.send.presence import holds
from dicom_node.status import AlreadyThere, check_answer, refusal_of

__all__ = [
    "Endpoint",
    "Outgoing",
    "Progress",
    "associated",
    "dicom_files",
    "echo",
    "outgoing",
    "send",
]

log = logging.getLogger(__name__)

MAXIMUM_CONTEXTS: Final = 128
_NOT_TO_BE_SENT: Final = "The UIDs of an object are not what DICOM allows, so it cannot be sent."


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A DICOM file that is to be sent."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    size_bytes: int


Progress = Callable[[int, int], None]
"""Called with the number of objects answered with success, and bytes of them."""


def outgoing(path: Path) -> Outgoing:
    """Look at a file.

    Raises
    ------
    InvalidInstance
        It is no DICOM file.
    """
    try:
        meta = read_file_meta_info(path)
        return Outgoing(
            path=path,
            sop_class_uid=str(meta.MediaStorageSOPClassUID),
            sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
            transfer_syntax_uid=str(meta.TransferSyntaxUID),
            size_bytes=path.stat().st_size,
        )
    except (InvalidDicomError, AttributeError, EOFError, ValueError, struct.error) as error:
        raise InvalidInstance(f"{path.name} is not a DICOM file.") from error


def dicom_files(folder: Path) -> tuple[Outgoing, ...]:
    """Find the DICOM files of a folder, by name; other files are left out.

    Raises
    ------
    InvalidInstance
        There is none.
    """
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    found = []
    for path in paths:
        try:
            if path.is_file() and path.name != "DICOMDIR":
                found.append(outgoing(path))
        except InvalidInstance:
            log.debug("a file that is not DICOM was left out")
    if not found:
        raise InvalidInstance(f"There is no DICOM file in {folder}.")
    return tuple(found)


def send(
    files: Sequence[Outgoing], endpoint: Endpoint, progress: Progress = lambda _n, _bytes: None
) -> None:
    """Send files in their order, as they are, over one association (more for many kinds).

    What the peer refuses does not keep it from getting the others. What it says to have already
    (status 0x0111) counts as sent after a check: a C-FIND must find an instance of the same SOP
    Instance and SOP Class UID there. The bytes are not compared; our UIDs stand for one content
    each.

    Parameters
    ----------
    files
        What to send; one presentation context for each of their kinds is proposed.
    endpoint
        The peer.
    progress
        Called after every object.

    Raises
    ------
    PeerUnavailable
        The peer is not there, ended the association, or is out of resources for now.
    DeliveryRefused
        The peer does not take an object, or does not want us.
    ConfigError
        A file of TLS cannot be read.
    """
    refusals: list[DeliveryRefused] = []
    n_sent, n_bytes = 0, 0
    for group in groups(files):
        with associated(endpoint, proposals(_kinds(group))) as association:
            accepted = _kinds_accepted(association)
            for one in group:
                try:
                    _send_one(one, association, accepted)
                except AlreadyThere as error:
                    if not holds(endpoint, one.path):
                        refusals.append(error)
                        continue
                except DeliveryRefused as error:
                    refusals.append(error)
                    continue
                n_sent, n_bytes = n_sent + 1, n_bytes + one.size_bytes
                progress(n_sent, n_bytes)
    if refusals:
        raise refusal_of(refusals, n_objects=len(files))


def groups(files: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    """Split files so that an association has a context for each kind (PS3.8 9.3.2: at most 128)."""
    group: list[Outgoing] = []
    kinds: set[tuple[str, str]] = set()
    for one in files:
        kinds |= _kinds([one])
        if len(kinds) > MAXIMUM_CONTEXTS:
            yield group
            group, kinds = [], _kinds([one])
        group.append(one)
    if group:
        yield group


def _kinds(files: Sequence[Outgoing]) -> set[tuple[str, str]]:
    return {(one.sop_class_uid, one.transfer_syntax_uid) for one in files}


def _kinds_accepted(association: Association) -> set[tuple[str, str]]:
    return {
        (str(one.abstract_syntax), str(one.transfer_syntax[0]))
        for one in association.accepted_contexts
    }


def _send_one(one: Outgoing, association: Association, accepted: set[tuple[str, str]]) -> None:
    if (one.sop_class_uid, one.transfer_syntax_uid) not in accepted:
        raise DeliveryRefused(NOT_TAKEN)
    check_answer(_store(association, one.path))


def _store(association: Association, path: Path) -> int | None:
    try:
        return status_of(lambda: association.send_c_store(path))
    except OSError as error:
        raise PeerUnavailable("A file could not be read while it was sent.") from error
    except (ValueError, AttributeError) as error:  # what pynetdicom will not write
        raise DeliveryRefused(_NOT_TO_BE_SENT) from error

"""Sending DICOM files as they are: a storage SCU that never decodes and never re-encodes."""

import logging
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from appliance.errors import (
    ApplianceError,
    DeliveryRefused,
    InvalidInstance,
    PeerUnavailable,
)
from appliance.settings import ClientTls, Peer
from dicom_node.client_tls import ClientContext, client_context
from dicom_node.contexts import proposals
from dicom_node.quiet import silence_libraries
from dicom_node.status import check_answer, rejection
from dicom_node.wire import MAXIMUM_PDU_BYTES, Client

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 10.0
ANSWER_TIMEOUT_S: Final = 300.0
"""A peer may take long to make a large object durable."""
MAXIMUM_CONTEXTS: Final = 128
_NOT_TAKEN: Final = "The peer does not take objects of this kind or encoding."


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A peer, and who we are to it."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    tls: ClientTls | None = None
    """None means clear text."""

    @classmethod
    def of(cls, peer: Peer) -> "Endpoint":
        """Give the endpoint that the settings name."""
        return cls(
            host=peer.host,
            port=peer.port,
            called_ae_title=peer.ae_title,
            calling_ae_title=peer.calling_ae_title,
            tls=peer.tls,
        )


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
                    if not holds(endpoint, one):
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
    for one in files:
        if len(_kinds([*group, one])) > MAXIMUM_CONTEXTS:
            yield group
            group = []
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
        raise DeliveryRefused(_NOT_TAKEN)
    check_answer(_store(association, one.path))


def echo(endpoint: Endpoint) -> None:
    """Ask a peer whether it is alive (C-ECHO); raises as `send` does."""
    with associated(endpoint, [build_context(Verification)]) as association:
        if not association.accepted_contexts:
            raise DeliveryRefused("The peer does not answer Verification.")
        answer = association.send_c_echo()
        check_answer(answer.get("Status"))


@contextmanager
def associated(
    endpoint: Endpoint,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[EventHandlerType] = (),
    provider: Callable[[Association], DIMSEServiceProvider] | None = None,
) -> Iterator[Association]:
    """Open an association and release it at the end, or abort it when something is raised.

    Parameters
    ----------
    endpoint
        Whom to meet, and as whom.
    contexts
        What is proposed.
    roles
        For services in which the peer asks and we answer.
    handlers
        What answers then: events of the library and their handlers.
    provider
        Makes what takes in the peer's messages; None means the library's own.

    Raises
    ------
    PeerUnavailable
        Not reachable, rejected as transient, or aborted.
    DeliveryRefused
        Rejected as permanent.
    """
    silence_libraries()
    _config.STORE_SEND_CHUNKED_DATASET = True
    entity = Client(ae_title=endpoint.calling_ae_title)
    entity.connection_timeout = CONNECT_TIMEOUT_S
    entity.acse_timeout = CONNECT_TIMEOUT_S
    entity.dimse_timeout = ANSWER_TIMEOUT_S
    entity.network_timeout = ANSWER_TIMEOUT_S
    entity.provider = provider
    secured = None if endpoint.tls is None else client_context(endpoint.tls)
    association = entity.associate(
        _resolve(endpoint.host),
        endpoint.port,
        contexts=list(contexts),
        ae_title=endpoint.called_ae_title,
        max_pdu=MAXIMUM_PDU_BYTES,
        ext_neg=list(roles),
        evt_handlers=list(handlers),
        tls_args=None if secured is None else (secured, _server_name(endpoint)),
    )
    if not association.is_established:
        raise _not_established(association, secured)
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    association.release()


def _resolve(host: str) -> str:
    """Give the first address of a host; the library wants a number."""
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise PeerUnavailable("The name of the peer cannot be resolved to an address.") from error


def _store(association: Association, path: Path) -> int | None:
    try:
        answer = association.send_c_store(path)
    except RuntimeError as error:  # the association ended between two objects
        raise PeerUnavailable("The peer ended the association.") from error
    except OSError as error:
        raise PeerUnavailable("A file could not be read while it was sent.") from error
    status = answer.get("Status")
    return None if status is None else int(status)


def _server_name(endpoint: Endpoint) -> str:
    named = endpoint.tls.server_name if endpoint.tls is not None else None
    return named or endpoint.host


def _not_established(association: Association, secured: ClientContext | None) -> ApplianceError:
    failure = None if secured is None else secured.described()
    if failure is not None:
        return failure
    answer = association.acceptor.primitive
    if answer is not None and association.is_rejected:
        return rejection(
            int(answer.result or 0), int(answer.result_source or 0), int(answer.diagnostic or 0)
        )
    if answer is not None and association.rejected_contexts:
        return DeliveryRefused(_NOT_TAKEN)
    return PeerUnavailable("The peer does not answer at its address.")

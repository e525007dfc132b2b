"""Associations that we ask for: with whom, how they are protected, and what it means when not."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pydicom.uid import UID
from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.errors import ApplianceError, DeliveryRefused, PeerUnavailable
from appliance.settings import ClientTls, Peer
from dicom_node.quiet import silence_libraries
from dicom_node.receive.pdata import MAXIMUM_PDU_BYTES
from dicom_node.send.client_tls import ClientContext, client_context
from dicom_node.send.requestor import adopt
from dicom_node.send.wire import Client
from dicom_node.status import PeerFailed, check_answer, rejection

CONNECT_TIMEOUT_S: Final = 10.0
ANSWER_TIMEOUT_S: Final = 300.0
"""A peer may take long to make a large object durable."""
NOT_TAKEN: Final = "The peer does not take objects of this kind or encoding."


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

    @property
    def server_name(self) -> str:
        """Name that the certificate of the peer must carry."""
        named = None if self.tls is None else self.tls.server_name
        return named or self.host


@dataclass(slots=True)
class _Ending:
    """What the peer said last, for the library does not always tell it from a lost connection.

    When a peer closes at once behind its A-ASSOCIATE-RJ, the library may see the end first.
    """

    aborted: bool = False
    rejected: ApplianceError | None = None

    def look(self, event: Event) -> None:
        self.aborted |= isinstance(event.pdu, A_ABORT_RQ)
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            said = event.pdu.to_primitive()
            self.rejected = rejection(
                int(said.result or 0), int(said.result_source or 0), int(said.diagnostic or 0)
            )

    def explain(self, error: BaseException) -> ApplianceError | None:
        """Give a better reason for a failure, if there is one."""
        if type(error) is not PeerUnavailable:
            return None
        if self.aborted:
            return PeerFailed("The peer aborted the association.")
        return self.rejected


@contextmanager
def associated(
    endpoint: Endpoint,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[EventHandlerType] = (),
    provider: Callable[[Association], DIMSEServiceProvider] | None = None,
    answer_timeout_s: float = ANSWER_TIMEOUT_S,
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
    answer_timeout_s
        How long an answer to what we ask is waited for.

    Raises
    ------
    PeerUnavailable
        Not reachable, rejected as transient, or aborted (`PeerFailed`).
    DeliveryRefused
        Rejected as permanent, or its TLS is not what we ask for.
    ConfigError
        A file of TLS cannot be read.
    """
    ending = _Ending()
    secured = None if endpoint.tls is None else client_context(endpoint.tls)
    association = _entity(endpoint, provider, answer_timeout_s).associate(
        _resolve(endpoint.host),
        endpoint.port,
        contexts=list(contexts),
        ae_title=endpoint.called_ae_title,
        max_pdu=MAXIMUM_PDU_BYTES,
        ext_neg=list(roles),
        evt_handlers=[(evt.EVT_PDU_RECV, ending.look), *handlers],
        tls_args=None if secured is None else (secured, endpoint.server_name),
    )
    if not association.is_established:
        error = _not_established(association, secured)
        raise ending.explain(error) or error
    ours = adopt(association)
    try:
        yield ours
    except BaseException as error:
        ours.abort()
        better = ending.explain(error)
        if better is not None:
            raise better from error
        raise
    ours.rest()
    ours.release()


def echo(endpoint: Endpoint, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
    """Ask a peer whether it is alive (C-ECHO); raises as `associated` does."""
    contexts = [build_context(Verification)]
    with associated(endpoint, contexts, answer_timeout_s=answer_timeout_s) as association:
        if not association.accepted_contexts:
            raise DeliveryRefused("The peer does not answer Verification.")
        check_answer(status_of(association.send_c_echo))


def status_of(ask: Callable[[], Any]) -> int | None:
    """Ask for a DIMSE service, and give the status; None when there was no answer.

    Raises
    ------
    PeerUnavailable
        The association ended before it could be asked.
    """
    try:
        answer = ask()
    except RuntimeError as error:
        raise PeerUnavailable("The peer ended the association.") from error
    status = answer.get("Status")
    return None if status is None else int(status)


def _entity(
    endpoint: Endpoint,
    provider: Callable[[Association], DIMSEServiceProvider] | None,
    answer_timeout_s: float,
) -> Client:
    silence_libraries()
    _config.STORE_SEND_CHUNKED_DATASET = True
    entity = Client(ae_title=endpoint.calling_ae_title)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = CONNECT_TIMEOUT_S
    entity.acse_timeout = CONNECT_TIMEOUT_S
    entity.dimse_timeout = answer_timeout_s
    entity.network_timeout = answer_timeout_s
    entity.provider = provider
    return entity


def _resolve(host: str) -> str:
    """Give the first address of a host; the library wants a number."""
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise PeerUnavailable("The name of the peer cannot be resolved to an address.") from error


def _not_established(association: Association, secured: ClientContext | None) -> ApplianceError:
    failure = None if secured is None else secured.described()
    if failure is not None:
        return failure
    if association.acceptor.primitive is not None and association.rejected_contexts:
        return DeliveryRefused(NOT_TAKEN)
    return PeerUnavailable("The peer does not answer at its address.")

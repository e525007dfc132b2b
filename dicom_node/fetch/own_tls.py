"""Meeting our own node by TLS: what its certificate is, and how we show that we are on its machine.

Trusted is what the file of the node's own certificate holds, whoever else vouches for it; and where
the node wants certificates of its clients, that same one is shown.
"""

import hashlib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from appliance.errors import ConfigError
from appliance.settings import ClientTls, ServerTls
from dicom_node.receive.server_tls import server_context

_ROUNDS: Final = 8
"""A handshake in memory needs three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTls:
    """How to meet our own node."""

    tls: ClientTls
    shown: str | None
    """`sha256:` and the digest of the certificate that we show; None when we show none."""


def own_tls(tls: ServerTls) -> OwnTls:
    """Tell how to meet a node with these settings.

    Raises
    ------
    ConfigError
        A file is missing or is not what the settings say, or the certificate names no host.
    """
    peer = _met_in_memory(tls)
    described: dict[str, Any] = peer.getpeercert() or {}
    names = [str(name) for _, name in described.get("subjectAltName", ())]
    if not names:
        raise ConfigError(
            f"node.tls.certificate: {tls.certificate} names no host as subjectAltName."
        )
    content = peer.getpeercert(binary_form=True) or b""
    shows = tls.clients == "required"
    return OwnTls(
        tls=ClientTls(
            ca=tls.certificate,
            certificate=tls.certificate if shows else None,
            key=tls.key if shows else None,
            server_name=names[0].replace("*", "node", 1),
        ),
        shown=f"sha256:{hashlib.sha256(content).hexdigest()}" if shows else None,
    )


def _met_in_memory(tls: ServerTls) -> ssl.SSLObject:
    """Shake hands with ourselves: the standard library reads only certificates of peers."""
    server_side = server_context(tls.model_copy(update={"clients": "none"}))
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname = False  # its name is what we want to know
    client_side.load_verify_locations(tls.certificate)
    client_side.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    ends: tuple[Any, Any] = (client, server)
    try:
        for _ in range(_ROUNDS):
            for end in ends:
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
    except ssl.SSLError as error:
        raise ConfigError(
            f"node.tls.certificate: {tls.certificate} is not valid for a server now."
        ) from error
    return client

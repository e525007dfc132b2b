"""TLS of connections that we open: 1.2 or newer, the peer's certificate and name always checked.

The BCP 195 profile (PS3.15 B.13): no version below TLS 1.2, and of TLS 1.2 only the cipher suites
with forward secrecy and authenticated encryption.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from appliance.errors import ApplianceError, ConfigError, DeliveryRefused, PeerUnavailable
from appliance.settings import ClientTls
from dicom_node.receive.server_tls import CIPHERS


class ClientContext(ssl.SSLContext):
    """A context for one peer, which remembers why a handshake failed.

    The libraries above say only that the connection is gone.
    """

    failure: OSError | None = None

    def described(self) -> ApplianceError | None:
        """Give the failure in our words; None when TLS is not to blame."""
        return None if self.failure is None else tls_failure(self.failure)


class _TellingSocket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  as in the base
        try:
            super().do_handshake(block)
        except OSError as error:
            self._tell(error)
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        with self._telling():
            return super().recv(buflen, flags)

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        with self._telling():
            return super().recv_into(buffer, nbytes, flags)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """In TLS 1.3 our certificate is refused after the handshake, at the first reading."""
        try:
            yield
        except ssl.SSLError as error:
            if not isinstance(error, ssl.SSLWantReadError | ssl.SSLZeroReturnError):
                self._tell(error)
            raise

    def _tell(self, error: OSError) -> None:
        if isinstance(self.context, ClientContext):
            self.context.failure = error


def client_context(tls: ClientTls | None) -> ClientContext:
    """Make the context for a peer.

    Parameters
    ----------
    tls
        None trusts the certificate authorities of the system, and shows no certificate.

    Raises
    ------
    ConfigError
        A file is missing or is not what the settings say.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _TellingSocket
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    if tls is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context
    _trust(context, tls.ca)
    if tls.certificate is not None and tls.key is not None:
        _show(context, tls.certificate, tls.key)
    return context


def tls_failure(error: OSError) -> ApplianceError:
    """Say what a failed TLS handshake means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _NAME_MISMATCH:
            return DeliveryRefused("The certificate of the peer is for another host name.")
        return DeliveryRefused("The peer does not present a certificate that we trust.")
    reason = str(getattr(error, "reason", "") or "").upper()
    if any(word in reason for word in _OURS_REFUSED):
        return DeliveryRefused("The peer does not accept our TLS certificate, or wants one.")
    if any(word in reason for word in _NO_COMMON_TLS):
        return DeliveryRefused("The peer does not speak TLS 1.2 or newer at this port.")
    return PeerUnavailable("The TLS handshake with the peer did not come to an end.")


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it may be the peer's own certificate
    try:
        context.load_verify_locations(ca)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"tls.ca: {ca} is missing or holds no certificates in PEM form."
        ) from error


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for name, path in (("certificate", certificate), ("key", key)):
        if not path.is_file():
            raise ConfigError(f"tls.{name}: {path} does not exist.")
    try:
        # Without a password the library would ask at the terminal, and wait for ever.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        raise ConfigError(
            f"tls.key: {key} is no key in PEM form without a password, or does not belong to "
            f"{certificate.name}."
        ) from error


_NAME_MISMATCH: Final = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_OURS_REFUSED: Final = (
    "CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
)
_NO_COMMON_TLS: Final = (
    "WRONG_VERSION_NUMBER",
    "ALERT_PROTOCOL_VERSION",
    "ALERT_HANDSHAKE_FAILURE",
    "UNSUPPORTED_PROTOCOL",
    "UNKNOWN_PROTOCOL",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH_TOO_LONG",
)
"""Reasons as OpenSSL names them; they differ a little between its versions."""

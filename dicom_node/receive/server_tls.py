"""TLS of what listens: 1.2 or newer by BCP 195 (PS3.15 B.13), client certificates as the rule."""

import hashlib
import ssl
from pathlib import Path
from typing import Final

from appliance.errors import ConfigError
from appliance.settings import ServerTls

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption; those of TLS 1.3 are all good."""

_REASONS: Final = (
    ("PEER_DID_NOT_RETURN", "it showed no certificate"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not one that the ca of its tls vouches for"),
    ("HTTP_REQUEST", "it spoke HTTP"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
    ("UNSUPPORTED_PROTOCOL", "it speaks no TLS of version 1.2 or newer"),
    ("NO_SHARED_CIPHER", "it has no cipher suite that is safe enough"),
    ("NO_SUITABLE", "it has no cipher suite that is safe enough"),
    ("ALERT", "it does not accept our certificate"),
)
"""Reasons as OpenSSL names them, and in our words; the first that fits."""


def server_context(tls: ServerTls, *, key: str = "node.tls") -> ssl.SSLContext:
    """Make the context of a listener.

    Parameters
    ----------
    tls
        Its settings.
    key
        Where in the settings file they are.

    Raises
    ------
    ConfigError
        A file is missing or is not what the settings say.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    for name, path in (("certificate", tls.certificate), ("key", tls.key), ("ca", tls.ca)):
        _check_file(f"{key}.{name}", path)
    try:
        # Without a password the library would ask at the terminal, and wait for ever.
        context.load_cert_chain(tls.certificate, tls.key, password="")
    except OSError as error:
        raise ConfigError(
            f"{key}.key: {tls.key} is no key in PEM form without a password, or does not belong "
            f"to the certificate {tls.certificate}."
        ) from error
    if tls.clients == "required" and tls.ca is not None:
        try:
            context.load_verify_locations(tls.ca)
        except OSError as error:
            raise ConfigError(f"{key}.ca: {tls.ca} holds no certificates in PEM form.") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def reason(error: OSError) -> str:
    """Say in our words why a handshake failed; the library's may quote the certificate."""
    if isinstance(error, TimeoutError):
        return "it did not complete the handshake in time"
    said = f"{getattr(error, 'reason', '') or ''}".upper()
    return next((words for part, words in _REASONS if part in said), "it broke the handshake off")


def fingerprint(peer: object) -> str | None:
    """Give `sha256:` and the digest of the certificate that a TLS client showed; None without."""
    if not isinstance(peer, ssl.SSLSocket | ssl.SSLObject):
        return None
    certificate = peer.getpeercert(binary_form=True)
    return f"sha256:{hashlib.sha256(certificate).hexdigest()}" if certificate else None


def _check_file(key: str, path: Path | None) -> None:
    if path is not None and not path.is_file():
        raise ConfigError(f"{key}: {path} does not exist.")

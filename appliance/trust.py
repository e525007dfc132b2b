"""Whose signature counts, and to whom nothing goes any more: `sign.pub` and `retired`.

Release writes both into the folder of keys; whoever checks before sending reads them.
"""

import hashlib
import math
import re
import stat
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from appliance.errors import ConfigError

SignPublicKey = Ed25519PublicKey
"""Type of `sign.pub`, for those who check and otherwise touch no keys."""

_PUBLIC: Final = re.compile(
    rb"\s*(?:Trusted until (?P<until>\S+)\s+)?"
    rb"(?P<pem>-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----)\s*"
)


def read_sign_public(path: Path) -> Ed25519PublicKey:
    """Read the newest key of `sign.pub`; raises ConfigError."""
    return read_sign_publics(path, now=-math.inf)[0]


def read_sign_publics(path: Path, *, now: float) -> tuple[Ed25519PublicKey, ...]:
    """Read `sign.pub`, which manifests are checked with: the newest key, then earlier ones.

    PEM blocks; before an earlier one stands "Trusted until 2026-12-24T12:00:00+00:00" (RFC 7468
    allows such words), since what was signed before a rotation may still be on its way.

    Parameters
    ----------
    path
        The file.
    now
        Seconds since the epoch: keys whose time has run out are left out.

    Raises
    ------
    ConfigError
        It is missing, or holds anything but Ed25519 public keys.
    """
    try:
        mode, keys = path.stat().st_mode, _public_keys(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is missing or not a public key in PEM form.") from error
    if mode & stat.S_IWOTH:
        raise ConfigError(f"{path} can be changed by everybody; close it with: chmod 644 {path}")
    trusted = tuple(key for key, until in keys if now < until)
    signing = tuple(key for key in trusted if isinstance(key, Ed25519PublicKey))
    if not signing or len(signing) != len(trusted):
        raise ConfigError(f"{path} holds a key of another kind; restore it.")
    return signing


def _public_keys(content: bytes) -> list[tuple[object, float]]:
    return [(load_pem_public_key(pem), until) for pem, until in public_entries(content)]


def public_entries(content: bytes) -> list[tuple[bytes, float]]:
    """Give the PEM blocks of `sign.pub`, and until when each is trusted (seconds since the epoch).

    Raises
    ------
    ValueError
        Something else stands in it.
    """
    found = list(_PUBLIC.finditer(content))
    if not found or b"".join(one.group() for one in found) != content:
        raise ValueError("not PEM")
    return [(one["pem"], _until(one["until"])) for one in found]


def _until(words: bytes | None) -> float:
    return math.inf if words is None else datetime.fromisoformat(words.decode()).timestamp()


def read_retired(path: Path) -> frozenset[str]:
    """Read `retired`: recipients to whom nothing is sent any more, one a line.

    A file that is not there retires nobody.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read.") from error
    return frozenset(line.strip() for line in lines if line.strip() and line[0] != "#")


def signer_of(
    signature: bytes, content: bytes, public_keys: Sequence[Ed25519PublicKey]
) -> Ed25519PublicKey | None:
    """Tell which of some keys signed a content; None when none of them did."""
    for public_key in public_keys:
        try:
            public_key.verify(signature, content)
        except InvalidSignature:
            continue
        return public_key
    return None


def key_id(public_key: Ed25519PublicKey) -> str:
    """Short name of a signing key, for telling which one made a manifest."""
    return hashlib.sha256(public_key.public_bytes_raw()).hexdigest()[:16]

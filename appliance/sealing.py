"""Encryption of identity: sealed to the vault's public key on the way in, AES-256-GCM at rest.

Whoever seals cannot read: `node` holds the public key only and writes ciphertext, `release` holds
the private key and opens it. HPKE is RFC 9180 base mode; the associated words (the slide id) are
its `info`, so a ciphertext that is moved to another slide does not open.
"""

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from appliance.errors import ConfigError, IdentityDoubt

SealPublicKey = X25519PublicKey
"""Type of `seal.pub`, for those who seal and otherwise touch no keys."""

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MAGIC: Final = b"coverslip-sealed-1\n"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def read_seal_public(path: Path) -> X25519PublicKey:
    """Read `seal.pub`, which identities are sealed to (PEM).

    Raises
    ------
    ConfigError
        It is missing, or no X25519 public key.
    """
    try:
        mode, key = path.stat().st_mode, load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is missing or not a public key in PEM form.") from error
    if mode & stat.S_IWOTH:
        raise ConfigError(f"{path} can be changed by everybody; close it with: chmod 644 {path}")
    if not isinstance(key, X25519PublicKey):
        raise ConfigError(f"{path} holds a key of another kind; restore it.")
    return key


def seal(public_key: X25519PublicKey, content: bytes, associated: str) -> bytes:
    """Encrypt for the holder of the private key only.

    Parameters
    ----------
    public_key
        Public key of the vault (`seal.pub`).
    content
        What to seal.
    associated
        What the content belongs to (the slide id); needed to open it, not stored.
    """
    return _MAGIC + _SUITE.encrypt(content, public_key, info=_info(associated))


def open_sealed(
    private_key: X25519PrivateKey,
    sealed: bytes,
    associated: str,
    *,
    earlier: Sequence[X25519PrivateKey] = (),
) -> bytes:
    """Decrypt what `seal` made for the same associated words.

    `earlier` are private keys from before a rotation: a ciphertext does not say which it was
    sealed to, so each is tried.

    Raises
    ------
    IdentityDoubt
        Damaged, sealed to another key, or sealed for another slide.
    """
    if not sealed.startswith(_MAGIC):
        raise IdentityDoubt("The sealed identity of this slide is damaged.")
    for key in (private_key, *earlier):
        try:
            return _SUITE.decrypt(sealed[len(_MAGIC) :], key, info=_info(associated))
        except (InvalidTag, ValueError):
            continue
    raise IdentityDoubt(
        "The sealed identity does not open for this slide: it is damaged, or another slide's."
    )


def _info(associated: str) -> bytes:
    return b"coverslip/sealed-identity/" + associated.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCipher:
    """AES-256-GCM for single cells of a table.

    Table, row, column and key id are associated data, so a cell that is copied to another place
    does not open there.
    """

    key: bytes
    """Every cell is written with this one."""
    earlier: tuple[bytes, ...] = ()
    """Keys from before a rotation that is not finished: cells are read with them, never written."""

    def __post_init__(self) -> None:
        if any(len(key) != _KEY_BYTES for key in (self.key, *self.earlier)):
            raise ConfigError("vault.key must hold 32 bytes.")

    @property
    def key_id(self) -> str:
        """Short public name of the key, for telling which one a row was written with."""
        return _cell_key_id(self.key)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Names of all keys that cells can be read with, the present one first."""
        return tuple(_cell_key_id(key) for key in (self.key, *self.earlier))

    def encrypt(self, content: bytes, *, table: str, row: str, column: str) -> bytes:
        """Encrypt one cell; the result starts with its random 96-bit nonce."""
        nonce = os.urandom(_NONCE_BYTES)
        place = _place(table, row, column, self.key_id)
        return nonce + AESGCM(self.key).encrypt(nonce, content, place)

    def decrypt(
        self, cell: bytes, *, table: str, row: str, column: str, key_id: str | None = None
    ) -> bytes:
        """Decrypt one cell at the place it was written for.

        `key_id` names the key it was written with; None means the present one.

        Raises
        ------
        IdentityDoubt
            Altered, moved from another row, or written with another key.
        """
        keys = {_cell_key_id(key): key for key in (self.key, *self.earlier)}
        name = key_id or self.key_id
        try:
            nonce, content = cell[:_NONCE_BYTES], cell[_NONCE_BYTES:]
            return AESGCM(keys[name]).decrypt(nonce, content, _place(table, row, column, name))
        # TypeError: SQLite keeps any type in any column.
        except (KeyError, InvalidTag, ValueError, TypeError) as error:
            raise IdentityDoubt(
                f"A row of the vault (table {table}) was altered, moved or written with another "
                "key."
            ) from error


def _cell_key_id(key: bytes) -> str:
    return hashlib.sha256(b"coverslip/vault-key-id/" + key).hexdigest()[:16]


def _place(table: str, row: str, column: str, key_id: str) -> bytes:
    return f"coverslip/vault\x1f{table}\x1f{row}\x1f{column}\x1f{key_id}".encode()

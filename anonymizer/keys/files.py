"""The folder of keys: made once by `coverslip keys init`, never overwritten.

| file | what | form |
|---|---|---|
| pseudonym.key | names, UIDs and dates of de-identified slides | 64 hexadecimal digits |
| sampling.key | which tiles a recipient may ever get | 64 hexadecimal digits |
| vault.key | seals the rows of the vault | 64 hexadecimal digits |
| seal.key, seal.pub | X25519: opens, seals the identity of a slide | PEM |
| sign.key, sign.pub | Ed25519: signs, checks what leaves | PEM |

The secret ones have mode 0600, the public ones 0644. The folder may be one of systemd credentials.
"""

import os
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from anonymizer.pseudonyms import KEY_BYTES, Pseudonyms
from appliance.errors import ConfigError

SECRETS = ("pseudonym.key", "sampling.key", "vault.key")
PAIRS = ("seal", "sign")
NAMES = (*SECRETS, "seal.key", "seal.pub", "sign.key", "sign.pub")

_WRONG_KIND = "{} holds a key of another kind; restore it."
_HOW_TO_MAKE = "make keys with: coverslip keys init"
_FEWEST_DIFFERENT_BYTES = 16  # 32 random bytes have fewer once in 10^15
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP


def init_keys(folder: Path) -> tuple[Path, ...]:
    """Make every key in `folder`, and return their files.

    Raises
    ------
    ConfigError
        One of the files is there already: nothing is written then.
    """
    present = [name for name in NAMES if (folder / name).exists()]
    if present:
        raise ConfigError(f"{folder / present[0]} is there already; keys are never overwritten.")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in SECRETS:
            _write(folder / name, secrets.token_hex(KEY_BYTES).encode() + b"\n", mode=0o600)
        _write_pair(folder, "seal", X25519PrivateKey.generate())
        _write_pair(folder, "sign", Ed25519PrivateKey.generate())
        _sync(folder)
    except OSError as error:
        raise ConfigError(f"The keys cannot be written to {folder}.") from error
    return tuple(folder / name for name in NAMES)


def read_secret(folder: Path, name: str) -> bytes:
    """Read one of the 32-byte secrets, such as "vault.key".

    Raises
    ------
    ConfigError
        It is missing, readable by others, damaged or guessable.
    """
    path = folder / name
    text = _read(path, secret=True)
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError as error:
        raise ConfigError(f"{path} does not hold hexadecimal digits; restore it.") from error
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{path} holds {len(key)} bytes instead of {KEY_BYTES}; restore it.")
    if len(set(key)) < _FEWEST_DIFFERENT_BYTES:
        raise ConfigError(f"{path} is not random and could be guessed; {_HOW_TO_MAKE}.")
    return key


def read_pseudonyms(folder: Path) -> Pseudonyms:
    """Read `pseudonym.key`. Raises ConfigError as `read_secret` does."""
    return Pseudonyms(read_secret(folder, "pseudonym.key"))


def read_seal_key(folder: Path) -> X25519PrivateKey:
    """Read the private key that opens sealed identities (release only)."""
    key = _private(folder / "seal.key")
    if not isinstance(key, X25519PrivateKey):
        raise ConfigError(_WRONG_KIND.format(folder / "seal.key"))
    return key


def read_seal_pub(folder: Path) -> X25519PublicKey:
    """Read the public key that identities are sealed to."""
    key = _public(folder / "seal.pub")
    if not isinstance(key, X25519PublicKey):
        raise ConfigError(_WRONG_KIND.format(folder / "seal.pub"))
    return key


def read_sign_key(folder: Path) -> Ed25519PrivateKey:
    """Read the private key that signs manifests (release only)."""
    key = _private(folder / "sign.key")
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(_WRONG_KIND.format(folder / "sign.key"))
    return key


def read_sign_pub(folder: Path) -> Ed25519PublicKey:
    """Read the public key that signatures are checked with."""
    key = _public(folder / "sign.pub")
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(_WRONG_KIND.format(folder / "sign.pub"))
    return key


def _private(path: Path) -> object:
    data = _read(path, secret=True)
    try:
        return serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is not a private key in PEM form; restore it.") from error


def _public(path: Path) -> object:
    data = _read(path, secret=False)
    try:
        return serialization.load_pem_public_key(data)
    except ValueError as error:
        raise ConfigError(f"{path} is not a public key in PEM form; restore it.") from error


def _read(path: Path, *, secret: bool) -> bytes:
    try:
        mode = path.stat().st_mode
        data = path.read_bytes().strip()
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing; {_HOW_TO_MAKE}.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read by this user.") from error
    if secret and mode & _TOO_OPEN:
        raise ConfigError(f"{path} is open to others; close it with: chmod 600 {path}")
    return data


def _write_pair(folder: Path, name: str, key: X25519PrivateKey | Ed25519PrivateKey) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write(folder / f"{name}.key", private, mode=0o600)
    _write(folder / f"{name}.pub", public, mode=0o644)


def _write(path: Path, data: bytes, *, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

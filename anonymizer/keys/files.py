"""The folder of keys: made once by `coverslip keys init`, never overwritten.

| file | what | form |
|---|---|---|
| pseudonym.key | names, UIDs and dates of de-identified slides | 64 hexadecimal digits |
| sampling.key | which tiles a recipient may ever get | 64 hexadecimal digits |
| vault.key | seals the rows of the vault | 64 hexadecimal digits |
| seal.key, seal.pub | X25519: opens, seals the identity of a slide | PEM |
| sign.key, sign.pub | Ed25519: signs, checks what leaves | PEM |
| retired | recipients to whom nothing is released any more | one name a line |
| certificates/ | what the attack could rebuild of each release plan, signed | JSON |

The secret ones have mode 0600, the others 0644. After a rotation vault.key, seal.key and sign.pub
hold earlier keys too, the newest first: one file is replaced at a time, so whoever is killed in
between leaves a folder that works. A systemd credential of the same name stands before the file.
"""

import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from anonymizer.keys.guessing import is_guessable
from anonymizer.pseudonyms import KEY_BYTES, CodeList, Pseudonyms
from appliance.certificate import CERTIFICATES
from appliance.errors import ConfigError
from appliance.sealing import CellCipher, read_seal_public
from appliance.settings import credential
from appliance.storage import fsync_folder
from appliance.trust import read_retired, read_sign_public

SECRETS = ("pseudonym.key", "sampling.key", "vault.key")
RETIRED = "retired"
NAMES = (*SECRETS, "seal.key", "seal.pub", "sign.key", "sign.pub", RETIRED)

_WRONG_KIND = "{} holds a key of another kind; restore it."
_HOW_TO_MAKE = "make keys with: coverslip keys init"
_GUESSABLE = "{} is not random and could be guessed; {}."
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP
_PRIVATE = re.compile(rb"-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\s*")
_NOBODY = b"# Recipients to whom nothing is released any more; written by: coverslip keys retire\n"

PrivateKey = X25519PrivateKey | Ed25519PrivateKey


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
    seal, sign = X25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in SECRETS:
            _write(folder / name, hexadecimal(secrets.token_bytes(KEY_BYTES)), mode=0o600)
        for name, key in (("seal", seal), ("sign", sign)):
            _write(folder / f"{name}.key", private_pem(key), mode=0o600)
            _write(folder / f"{name}.pub", public_pem(key.public_key()), mode=0o644)
        _write(folder / RETIRED, _NOBODY, mode=0o644)
        (folder / CERTIFICATES).mkdir(mode=0o755, exist_ok=True)
        fsync_folder(folder)
    except OSError as error:
        raise ConfigError(f"The keys cannot be written to {folder}.") from error
    return tuple(folder / name for name in NAMES)


def read_secret(folder: Path, name: str) -> bytes:
    """Read one of the 32-byte secrets, such as "vault.key": the newest one.

    Raises
    ------
    ConfigError
        It is missing, readable by others, damaged or guessable.
    """
    return read_secrets(folder, name)[0]


def read_secrets(folder: Path, name: str) -> tuple[bytes, ...]:
    """Read every key of a 32-byte secret, the newest first; only vault.key may hold several.

    Raises ConfigError as `read_secret` does.
    """
    path = folder / name
    lines = read_file(path, secret=True).split() or [b""]
    if len(lines) > 1 and name != "vault.key":
        raise ConfigError(f"{path} holds more than one key; restore it.")
    return tuple(_secret(path, line) for line in lines)


def _secret(path: Path, line: bytes) -> bytes:
    try:
        key = bytes.fromhex(line.decode("ascii"))
    except ValueError as error:
        raise ConfigError(f"{path} does not hold hexadecimal digits; restore it.") from error
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{path} holds {len(key)} bytes instead of {KEY_BYTES}; restore it.")
    if is_guessable(key):
        raise ConfigError(_GUESSABLE.format(path, _HOW_TO_MAKE))
    return key


def read_pseudonyms(folder: Path, codes: CodeList | None = None) -> Pseudonyms:
    """Read `pseudonym.key`. Raises ConfigError as `read_secret` does.

    `codes` are a study's own pseudonyms (`code_list.read_code_list`).
    """
    return Pseudonyms(read_secret(folder, "pseudonym.key"), codes)


def cipher_of(folder: Path) -> CellCipher:
    """Give the cipher of the vault: its key, and those before it while a rotation is unfinished."""
    key, *earlier = read_secrets(folder, "vault.key")
    return CellCipher(key=key, earlier=tuple(earlier))


def read_seal_keys(folder: Path) -> tuple[X25519PrivateKey, ...]:
    """Read the private keys that open sealed identities (release only), the newest first."""
    keys = _private(folder / "seal.key")
    known = tuple(key for key in keys if isinstance(key, X25519PrivateKey))
    if len(known) != len(keys):
        raise ConfigError(_WRONG_KIND.format(folder / "seal.key"))
    return known


def read_seal_key(folder: Path) -> X25519PrivateKey:
    """Read the newest private key that opens sealed identities (release only)."""
    return read_seal_keys(folder)[0]


def read_seal_pub(folder: Path) -> X25519PublicKey:
    """Read the public key that identities are sealed to."""
    return read_seal_public(credential(folder / "seal.pub"))


def read_sign_key(folder: Path) -> Ed25519PrivateKey:
    """Read the private key that signs manifests (release only)."""
    key, *more = _private(folder / "sign.key")
    if more or not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(_WRONG_KIND.format(folder / "sign.key"))
    return key


def read_sign_pub(folder: Path) -> Ed25519PublicKey:
    """Read the newest public key that signatures are checked with."""
    return read_sign_public(credential(folder / "sign.pub"))


def read_sampling_id(folder: Path) -> str:
    """Give the public name of `sampling.key`."""
    key = read_secret(folder, "sampling.key")
    return hmac.digest(key, b"coverslip/sampling-key-id", "sha256")[:8].hex()


def read_retired_recipients(folder: Path) -> frozenset[str]:
    """Read who is retired; here the file must be there, so that losing it retires no one less."""
    read_file(folder / RETIRED, secret=False)
    return read_retired(credential(folder / RETIRED))


def _private(path: Path) -> tuple[PrivateKey, ...]:
    data = read_file(path, secret=True)
    blocks = _PRIVATE.findall(data)
    try:
        if not blocks or b"".join(blocks) != data:
            raise ValueError  # noqa: TRY301  as for a block that is damaged
        keys = [serialization.load_pem_private_key(block, password=None) for block in blocks]
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is not a private key in PEM form; restore it.") from error
    known = tuple(key for key in keys if isinstance(key, PrivateKey))
    if len(known) != len(keys):
        raise ConfigError(_WRONG_KIND.format(path))
    if any(is_guessable(key.private_bytes_raw()) for key in known):
        raise ConfigError(_GUESSABLE.format(path, _HOW_TO_MAKE))
    return known


def read_file(path: Path, *, secret: bool) -> bytes:
    """Read a file of the folder, or the systemd credential of its name, without blanks around it.

    Raises
    ------
    ConfigError
        Missing, or a secret that others may read.
    """
    path = credential(path)
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


def hexadecimal(key: bytes) -> bytes:
    """Give a line of a file of secrets."""
    return key.hex().encode("ascii") + b"\n"


def private_pem(key: PrivateKey) -> bytes:
    """Encode a private key as it stands in its file."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_pem(key: X25519PublicKey | Ed25519PublicKey) -> bytes:
    """Encode a public key as it stands in its file."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def replace(path: Path, data: bytes) -> None:
    """Put new content in place of a key file, whole or not at all; owner and mode stay."""
    part = path.with_name(f".{path.name}.part")
    try:
        before = path.stat()
        part.unlink(missing_ok=True)
        _write(part, data, mode=stat.S_IMODE(before.st_mode))
        os.chown(part, before.st_uid, before.st_gid)
        part.rename(path)
        fsync_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"{path} cannot be replaced by this user.") from error


def _write(path: Path, data: bytes, *, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)

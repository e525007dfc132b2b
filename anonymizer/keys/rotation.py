"""New keys for old: which may be changed, in which order, so that a kill at any step does no harm.

Vault, signing and sealing keys rotate. Pseudonym and sampling keys do not: they are what makes a
patient the same patient and a sample the only sample, so they belong to a recipient for ever. Those
of a recipient are derived from one key by the recipient's name (HKDF); to retire a recipient is to
write its name down, and nothing is released to that name again. Its keys can then still be derived
for an audit, and taking the name off the list would bring the same pseudonyms back, never others.
"""

import math
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from anonymizer.keys.files import (
    RETIRED,
    hexadecimal,
    private_pem,
    public_pem,
    read_file,
    read_retired_recipients,
    read_seal_keys,
    read_secrets,
    read_sign_key,
    replace,
)
from anonymizer.keys.names import seal_id
from anonymizer.pseudonyms import KEY_BYTES
from appliance.errors import ConfigError, ForbiddenAction
from appliance.sealing import CellCipher
from appliance.trust import key_id, public_entries

TRUSTED_FOR_S: Final = 31 * 86_400.0
"""How long an earlier signing key is trusted: a parcel may leave for 30 days after its signing."""


def rotate_vault(folder: Path, rewrite: Callable[[CellCipher], None]) -> str:
    """Give the vault a new key, or finish a rotation that was interrupted.

    Parameters
    ----------
    folder
        The keys.
    rewrite
        Brings every row of the vault under the cipher's present key.

    Returns
    -------
    str
        Public name of the new key.
    """
    keys = read_secrets(folder, "vault.key")
    if len(keys) == 1:
        keys = (secrets.token_bytes(KEY_BYTES), *keys)
        replace(folder / "vault.key", b"".join(hexadecimal(key) for key in keys))
    cipher = CellCipher(key=keys[0], earlier=keys[1:])
    rewrite(cipher)
    replace(folder / "vault.key", hexadecimal(keys[0]))
    return cipher.key_id


def rotate_sign(folder: Path, *, now: float) -> str:
    """Make a new signing pair; the old public key is trusted while what it signed may leave.

    The new public key is there before anything is signed with it.
    """
    old, new = read_sign_key(folder).public_key(), Ed25519PrivateKey.generate()
    entries = [_entry(public_pem(old), now + TRUSTED_FOR_S), *_still_trusted(folder, old, now)]
    replace(folder / "sign.pub", public_pem(new.public_key()) + b"".join(entries))
    replace(folder / "sign.key", private_pem(new))
    return key_id(new.public_key())


def _still_trusted(folder: Path, old: Ed25519PublicKey, now: float) -> list[bytes]:
    """Entries of earlier keys; one that never signed, since a rotation was cut off, has none."""
    path = folder / "sign.pub"
    try:
        entries = public_entries(read_file(path, secret=False))
    except ValueError as error:
        raise ConfigError(f"{path} is not a public key in PEM form; restore it.") from error
    return [
        _entry(pem + b"\n", until)
        for pem, until in entries
        if now < until < math.inf and pem.strip() != public_pem(old).strip()
    ]


def _entry(pem: bytes, until: float) -> bytes:
    moment = datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")
    return f"Trusted until {moment}\n".encode() + pem


def rotate_seal(folder: Path) -> str:
    """Make a new sealing pair; earlier private keys stay, for what was sealed to them.

    The new private key is there before anything is sealed to it.
    """
    new = X25519PrivateKey.generate()
    keys = (new, *read_seal_keys(folder))
    replace(folder / "seal.key", b"".join(private_pem(key) for key in keys))
    replace(folder / "seal.pub", public_pem(new.public_key()))
    return seal_id(new)


def retire(folder: Path, recipient: str) -> None:
    """Write down that nothing is released to a recipient any more.

    Raises
    ------
    ForbiddenAction
        It is retired already.
    """
    if recipient in read_retired_recipients(folder):
        raise ForbiddenAction(f"The recipient {recipient} is retired already.")
    lines = read_file(folder / RETIRED, secret=False)
    replace(folder / RETIRED, lines + f"\n{recipient}\n".encode("ascii"))

"""Public names of the keys: what may be printed, compared and written into reports."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from anonymizer.keys.files import (
    cipher_of,
    read_pseudonyms,
    read_retired_recipients,
    read_sampling_id,
    read_seal_keys,
    read_sign_key,
)
from appliance.settings import credential
from appliance.trust import key_id, read_sign_publics


def names_of(folder: Path, *, now: float) -> Mapping[str, tuple[str, ...]]:
    """Name every key of a folder, the present one first, and the retired recipients.

    Raises
    ------
    ConfigError
        A key is missing, damaged, guessable or open to others.
    """
    trusted = read_sign_publics(credential(folder / "sign.pub"), now=now)
    return {
        "pseudonym": (read_pseudonyms(folder).key_id,),
        "sampling": (read_sampling_id(folder),),
        "vault": cipher_of(folder).key_ids,
        "seal": tuple(seal_id(key) for key in read_seal_keys(folder)),
        "sign": (key_id(read_sign_key(folder).public_key()),),
        "trusted": tuple(key_id(key) for key in trusted),
        "retired": tuple(sorted(read_retired_recipients(folder))),
    }


def seal_id(key: X25519PrivateKey) -> str:
    """Name a sealing key by its public half."""
    return hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:16]

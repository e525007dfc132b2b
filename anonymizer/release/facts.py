"""What release tells of itself: its keys by their public names, and the schema of the vault."""

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from anonymizer.release.opened import ReleaseKeys
from appliance.facts import Facts, KeyAge, StoreVersion
from appliance.stores.vault import Vault
from appliance.trust import key_id


def release_facts(keys: ReleaseKeys, sampling_id: str, vault: Vault, folder: Path) -> Facts:
    """Name the keys that release works with, never their content.

    Parameters
    ----------
    keys
        As they were read when the daemon started.
    sampling_id
        Public name of `sampling.key`.
    vault
        The open vault.
    folder
        Of the key files, for how old they are.
    """
    named = (
        ("sign", key_id(keys.sign_key.public_key()), 0),
        ("seal", _seal_id(keys.seal_key), len(keys.earlier_seal_keys)),
        ("vault", keys.cipher.key_id, len(keys.cipher.earlier)),
        ("pseudonym", keys.pseudonyms.key_id, 0),
        ("sampling", sampling_id, 0),
    )
    return Facts(
        keys=tuple(
            KeyAge(name=name, key_id=id_, since=_since(folder / f"{name}.key"), n_earlier=n_earlier)
            for name, id_, n_earlier in named
        ),
        stores=(StoreVersion(store="vault", schema=vault.schema()),),
    )


def _seal_id(key: X25519PrivateKey) -> str:
    return hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:16]


def _since(path: Path) -> float | None:
    """When a key file was written; a credential of systemd is a copy, and tells nothing."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None
